// One look at a fleet, and what two looks say about the time between them.

import Stack

/// One look.
struct TopReading: Sendable {
    /// A gateway node.
    struct Node: Sendable {
        let id: String
        let url: String
        let version: Int64
        let isLive: Bool
        /// Why it refuses the newest snapshot; nil when it does not.
        let refusal: String?
        /// nil when it did not answer in time.
        var page: MetricsPage?
        /// What it does without: dependency, state, reason.
        var breakers: [(name: String, state: String, reason: String)] = []
        /// What the control plane heard of it last: for a node that cannot be reached from here.
        var report = Report()
    }

    /// Of a node's last report; nil where its build does not tell.
    struct Report: Sendable {
        var requests: Double?
        var refusals: Double?
        var errors: Double?
        var queued: Double?
    }

    /// When, in seconds of a clock that does not go back.
    let time: Double
    /// The newest version that the control plane has compiled; nil when it did not answer.
    var version: Int64?
    var lineage = ""
    var isPublished = false
    var nodes: [Node] = []
    /// Why the control plane has nothing to say; nil when it has.
    var trouble: String?
}

/// A node over the time between two looks.
struct TopRow: Sendable {
    let id: String
    let version: Int64
    let state: String
    var age: Double = 0
    var requests: Double = 0
    var refusals: Double = 0
    var errors: Double = 0
    /// Of what Weir adds, in milliseconds; nil when nothing was answered.
    var overheadP50: Double?
    var overheadP99: Double?
    var tokens: Double = 0
    var active: Double = 0
    var queued: Double = 0
    var breakers: [String] = []

    init(_ node: TopReading.Node, before: TopReading.Node?, seconds: Double, newest: Int64?) {
        id = node.id
        version = node.version
        breakers = node.breakers.filter { $0.state != "closed" }.map { "\($0.name) \($0.state) (\($0.reason))" }
        guard let page = node.page else {
            state = node.isLive ? "no answer" : "gone"
            guard node.isLive else { return }
            requests = node.report.requests ?? 0
            refusals = node.report.refusals ?? 0
            errors = node.report.errors ?? 0
            queued = node.report.queued ?? 0
            return
        }
        state = node.refusal != nil ? "refuses" : newest.map { node.version < $0 } == true ? "behind" : "ok"
        age = page.sum("weir_snapshot_confirmed_age_seconds")
        active = page.sum("http_server_active_requests")
        queued = page.sum("weir_usage_queued")
        guard let old = before?.page, seconds > 0 else { return }
        // A counter that is lower than before began anew: what it has is what came since.
        func rate(_ now: Double, _ then: Double) -> Double { (now >= then ? now - then : now) / seconds }
        func outcomes(_ names: Set<String>) -> Double {
            rate(
                page.sum("weir_requests_total", where: "outcome", in: names),
                old.sum("weir_requests_total", where: "outcome", in: names)
            )
        }
        requests = rate(page.sum("weir_requests_total"), old.sum("weir_requests_total"))
        refusals = outcomes(["refused"])
        errors = outcomes(["upstream_failed", "timed_out", "interrupted"])
        tokens = rate(page.sum("weir_llm_total_tokens_total"), old.sum("weir_llm_total_tokens_total"))
        let name = "weir_gateway_overhead_duration_seconds"
        let spread = Self.difference(page.buckets(name), old.buckets(name))
        overheadP50 = Self.quantile(0.5, spread).map { $0 * 1_000 }
        overheadP99 = Self.quantile(0.99, spread).map { $0 * 1_000 }
    }

    private static func difference(_ now: [Double: Double], _ then: [Double: Double]) -> [(Double, Double)] {
        let pairs = now.map { bound, count -> (Double, Double) in
            let old = then[bound] ?? 0
            return (bound, count >= old ? count - old : count)
        }
        return pairs.sorted { $0.0 < $1.0 }
    }

    /// The upper bound of the bucket that a quantile is in.
    static func quantile(_ quantile: Double, _ buckets: [(bound: Double, count: Double)]) -> Double? {
        guard let total = buckets.last?.count, total > 0 else { return nil }
        let bucket = buckets.first { $0.count >= quantile * total }
        return bucket.map { $0.bound == .infinity ? buckets.dropLast().last?.bound ?? 0 : $0.bound }
    }
}

/// A fleet over the time between two looks.
struct TopView: Sendable {
    let reading: TopReading
    let rows: [TopRow]
    /// Refusals a second by their reason, the most first.
    let reasons: [(reason: String, rate: Double)]

    init(_ reading: TopReading, after before: TopReading?) {
        self.reading = reading
        let seconds = before.map { reading.time - $0.time } ?? 0
        let old = Dictionary((before?.nodes ?? []).map { ($0.id, $0) }) { first, _ in first }
        rows = reading.nodes.map { TopRow($0, before: old[$0.id], seconds: seconds, newest: reading.version) }
        var reasons: [String: Double] = [:]
        for node in reading.nodes {
            guard seconds > 0, let page = node.page, let then = old[node.id]?.page else { continue }
            for sample in page["weir_policy_violations_total"] {
                guard let reason = sample.labels["reason"] else { continue }
                let earlier = then.sum("weir_policy_violations_total", where: "reason", in: [reason])
                reasons[reason, default: 0] +=
                    (sample.value >= earlier ? sample.value - earlier : sample.value) / seconds
            }
        }
        self.reasons = reasons.filter { $0.value > 0 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { (reason: $0.key, rate: $0.value) }
    }

    /// For scripts.
    var json: JSONValue {
        [
            "version": reading.version.map { .integer($0) } ?? .null, "lineage": .string(reading.lineage),
            "published": .bool(reading.isPublished), "trouble": reading.trouble.map { .string($0) } ?? .null,
            "nodes": .array(
                rows.map { row in
                    [
                        "id": .string(row.id), "version": .integer(row.version), "state": .string(row.state),
                        "confirmed_seconds_ago": .number(row.age), "requests_per_second": .number(row.requests),
                        "refusals_per_second": .number(row.refusals), "errors_per_second": .number(row.errors),
                        "overhead_p50_ms": row.overheadP50.map { .number($0) } ?? .null,
                        "overhead_p99_ms": row.overheadP99.map { .number($0) } ?? .null,
                        "tokens_per_second": .number(row.tokens), "active_requests": .number(row.active),
                        "usage_queued": .number(row.queued), "breakers": .array(row.breakers.map { .string($0) }),
                    ]
                }
            ),
            "refusals": .object(Dictionary(uniqueKeysWithValues: reasons.map { ($0.reason, .number($0.rate)) })),
        ]
    }
}
