// What a control plane measures: calls, the way of a change to the nodes, usage that comes back, and the database.

import Postgres
import Synchronization
import Telemetry

/// A control plane's metrics; any task.
final class ControlMeasures: Sendable {
    /// Series of calls: some seventy templates with a few methods and statuses each; further ones share one.
    private static let maxCallSeries = 1_000

    private struct CallKey: Hashable {
        let method: String
        let template: String
        let status: Int
    }

    let registry: MetricRegistry
    let tracer: ControlTracer
    let compile: Histogram
    let publish: Histogram
    let ingest: Histogram
    let records: Counter
    let duplicates: Counter
    let refusedBatches: Counter
    private let activeCalls: [String: Gauge]
    private let calls = Mutex<[CallKey: Histogram]>([:])
    private let others: Histogram

    init(_ telemetry: ControlTelemetry) {
        let registry = telemetry.registry
        self.registry = registry
        tracer = ControlTracer(telemetry)
        func duration(_ name: String, _ help: String) -> Histogram {
            registry.histogram(name, unit: .nanoseconds, help: help)
        }
        compile = duration("weir.snapshot.compile.duration", "of compiling a snapshot that had changed")
        publish = duration("weir.snapshot.publish.duration", "of putting a snapshot into Redis")
        ingest = duration("weir.usage.ingest.duration", "of merging a batch of usage records")
        let unit = MetricUnit.count("{record}")
        records = registry.counter("weir.usage.records", unit: unit, help: "usage records taken in")
        duplicates = registry.counter("weir.usage.duplicates", unit: unit, help: "usage records that were known")
        refusedBatches = registry.counter("weir.usage.batches.refused", help: "usage batches that could not be read")
        let active = Self.methods.union([Self.otherMethod]).map { method in
            let cell = registry.upDownCounter(
                "http.server.active_requests",
                unit: .count("{request}"),
                help: "calls that are not answered yet",
                labels: [MetricLabel("http.request.method", method), Self.scheme]
            )
            return (method, cell)
        }
        activeCalls = Dictionary(uniqueKeysWithValues: active)
        others = Self.callHistogram(registry, [MetricLabel("http.request.method", LabelCap.other), Self.scheme])
    }

    /// What counts as a method of its own; the conventions' word stands for all others.
    private static let methods: Set = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    private static let otherMethod = "_OTHER"
    /// TLS ends before the control plane, which speaks plain HTTP.
    private static let scheme = MetricLabel("url.scheme", "http")

    /// A method as metrics and traces know it.
    static func known(_ method: String) -> String { methods.contains(method) ? method : otherMethod }

    /// Shows a pool's gauges.
    func show(_ pool: PoolGauges) {
        func connections(_ state: String, _ count: @escaping @Sendable () -> Int) {
            registry.observe(
                "weir.postgres.connections",
                unit: .count("{connection}"),
                help: "connections to PostgreSQL",
                labels: [MetricLabel("state", state)]
            ) { Int64(count()) }
        }
        connections("idle") { pool.idleCount }
        connections("used") { max(pool.openCount - pool.idleCount, 0) }
        registry.observe(
            "weir.postgres.waiting",
            unit: .count("{request}"),
            help: "callers that wait for a connection to PostgreSQL"
        ) { Int64(pool.waitingCount) }
    }

    /// Hears of statements' ends.
    static func statementObserver(
        _ registry: MetricRegistry
    ) -> @Sendable (_ nanoseconds: UInt64, _ failure: PostgresError.Kind?) -> Void {
        @Sendable func histogram(_ failure: PostgresError.Kind?) -> Histogram {
            registry.histogram(
                "db.client.operation.duration",
                unit: .nanoseconds,
                help: "of statements, by how they failed",
                labels: [MetricLabel("db.system.name", "postgresql")]
                    + (failure.map { [MetricLabel("error.type", "\($0)")] } ?? [])
            )
        }
        let succeeded = histogram(nil)
        let failed = Mutex<[String: Histogram]>([:])
        return { nanoseconds, failure in
            guard let failure else { return succeeded.record(nanoseconds) }
            let cell = failed.withLock { failed in
                let name = "\(failure)"
                if let cell = failed[name] { return cell }
                let cell = histogram(failure)
                failed[name] = cell
                return cell
            }
            cell.record(nanoseconds)
        }
    }

    /// A call is there; its method is one of ``known(_:)``.
    func callDidBegin(_ method: String) { activeCalls[method]?.add(1) }

    /// Counts a call that is over, by its route's template; nil for a path that there is not.
    func callDidEnd(_ method: String, template: String?, status: Int, nanoseconds: UInt64, exemplar: TraceContext?) {
        activeCalls[method]?.add(-1)
        let key = CallKey(method: method, template: template ?? "", status: status)
        let cell = calls.withLock { calls in
            if let cell = calls[key] { return cell }
            guard calls.count < Self.maxCallSeries else { return others }
            var labels = [MetricLabel("http.request.method", method), Self.scheme]
            if let template { labels.append(MetricLabel("http.route", template)) }
            labels.append(MetricLabel("http.response.status_code", "\(status)"))
            if status >= 500 { labels.append(MetricLabel("error.type", "\(status)")) }
            let cell = Self.callHistogram(registry, labels)
            calls[key] = cell
            return cell
        }
        cell.record(nanoseconds, exemplar: exemplar)
    }

    private static func callHistogram(_ registry: MetricRegistry, _ labels: [MetricLabel]) -> Histogram {
        registry.histogram(
            "http.server.request.duration",
            unit: .nanoseconds,
            help: "from a call's head to its answer",
            labels: labels
        )
    }
}
