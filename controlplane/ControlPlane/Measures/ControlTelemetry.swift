// What a control plane tells of itself, and to whom: handed in by the program.

public import Logging
public import Telemetry

/// A control plane's telemetry.
public struct ControlTelemetry: Sendable {
    /// Where everything is counted.
    public var registry: MetricRegistry
    /// Where finished spans go; nil when nobody wants them.
    public var spans: SpanQueue?
    /// Which traces are recorded.
    public var sampler: Sampler
    /// Gets a line for each call; nil for the control plane's own logger.
    public var accessLogger: Logger?

    /// Makes telemetry; by itself it traces nothing.
    public init(
        registry: MetricRegistry = MetricRegistry(),
        spans: SpanQueue? = nil,
        sampler: Sampler = .standard,
        accessLogger: Logger? = nil
    ) {
        self.registry = registry
        self.spans = spans
        self.sampler = sampler
        self.accessLogger = accessLogger
    }
}
