// All that a worker measures and traces with; confined to its loop.

import Logging
import Policy
import Telemetry

/// A worker's half of the node's telemetry.
final class WorkerMeasures {
    let telemetry: GatewayTelemetry
    let accessLogger: Logger
    let convention: GenAIConvention
    let scheme: URLScheme
    let http: HTTPMeasures
    let models: ModelMeasures
    /// Scan, rules and claims: what policy takes of a request in memory.
    let policyCheck: Histogram
    /// What the limits' answer took.
    let reserve: Histogram
    /// All of a request's time that no provider and no sending client took.
    let overhead: Histogram
    private var random = FastRandom()

    init(_ telemetry: GatewayTelemetry, caps: ModelLabelCaps, scheme: URLScheme, logger: Logger) {
        self.telemetry = telemetry
        accessLogger = telemetry.accessLogger ?? logger
        convention = GenAIConvention(followsLatest: telemetry.followsLatestGenAI)
        self.scheme = scheme
        let registry = telemetry.registry
        http = HTTPMeasures(registry, scheme)
        models = ModelMeasures(registry, convention: convention, caps: caps)
        func stage(_ name: String) -> Histogram {
            registry.histogram(
                "weir.policy.check.duration",
                unit: .nanoseconds,
                help: "of a stage of the policy check",
                labels: [MetricLabel("stage", name)]
            )
        }
        policyCheck = stage("decide")
        reserve = stage("reserve")
        overhead = registry.histogram(
            "weir.gateway.overhead.duration",
            unit: .nanoseconds,
            help: "of a request's time what neither its provider nor its sending client took"
        )
    }

    var isOn: Bool { telemetry.isOn }

    func stamp() -> UInt64 { telemetry.stamp() }

    /// Where a request stands in a trace: that of its headers, or a new one.
    ///
    /// - Returns: nil when nobody wants traces.
    func trace(of head: RequestHead) -> RequestTrace? {
        guard telemetry.isOn, telemetry.spans != nil else { return nil }
        let parent = head.traceContext
        let traceID = parent?.traceID ?? .random(using: &random)
        let isSampled = telemetry.sampler.samples(parent: parent, traceID: traceID)
        return RequestTrace(
            context: TraceContext(
                traceID: traceID,
                spanID: .random(using: &random),
                isSampled: isSampled,
                state: parent?.state ?? TraceState()
            ),
            parent: parent?.spanID
        )
    }

    func makeSpanID() -> SpanID { .random(using: &random) }

    /// Times how long prompts take to count.
    func time(_ meter: PromptMeter) {
        guard isOn else { return }
        let estimation = telemetry.registry.histogram(
            "weir.token.estimation.duration",
            unit: .nanoseconds,
            help: "of counting a prompt's tokens"
        )
        meter.stopwatch = PromptMeter.Stopwatch(clock: telemetry.clock) { estimation.record($0) }
    }
}
