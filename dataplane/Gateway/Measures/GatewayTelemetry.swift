// What a node tells of itself, and to whom: handed in by the program, so that tests see the same as operators.

public import Logging
import Reactor
public import Telemetry

/// A node's telemetry.
public struct GatewayTelemetry: Sendable {
    /// Where everything is counted.
    public var registry: MetricRegistry
    /// Whether requests are timed; off, the request path reads no clock for it and allocates nothing.
    public var isOn: Bool
    /// Where finished spans go; nil when nobody wants them.
    public var spans: SpanQueue?
    /// Which traces are recorded.
    public var sampler: Sampler
    /// Whether the names of GenAI conventions are those of its latest, experimental version.
    public var followsLatestGenAI: Bool
    /// Gets a line for each request; nil for the node's own logger.
    public var accessLogger: Logger?
    /// Reads the monotonic clock, in nanoseconds; tests count the calls.
    var clock: @Sendable () -> UInt64 = { MonotonicTime.now.nanoseconds }

    /// Makes telemetry; by itself it measures and traces nothing.
    public init(
        registry: MetricRegistry = MetricRegistry(),
        isOn: Bool = true,
        spans: SpanQueue? = nil,
        sampler: Sampler = .standard,
        followsLatestGenAI: Bool = false,
        accessLogger: Logger? = nil
    ) {
        self.registry = registry
        self.isOn = isOn
        self.spans = spans
        self.sampler = sampler
        self.followsLatestGenAI = followsLatestGenAI
        self.accessLogger = accessLogger
    }

    /// A moment for measures; 0, without a look at the clock, when nothing is measured.
    func stamp() -> UInt64 { isOn ? clock() : 0 }
}
