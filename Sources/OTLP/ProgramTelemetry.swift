// A program's telemetry, made once from its environment: the registry that all its parts count in, the queue of its
// spans, and the exporter.

private import CoreMetrics
private import Glibc
public import Logging
internal import Reactor
public import Telemetry
private import Tracing

/// The telemetry of one process.
public final class ProgramTelemetry: Sendable {
    /// What the environment says.
    public let configuration: OTLPConfiguration
    /// Where everything is counted.
    public let registry: MetricRegistry
    /// Finished spans.
    public let spans: SpanQueue
    private let exporter: OTLPExporter?
    private let logger: Logger

    /// Whether requests are timed.
    public var measures: Bool { !configuration.isDisabled }
    /// Whether requests are traced: only when there is somebody to tell.
    public var traces: Bool { configuration.traces != nil }

    /// Starts a program's telemetry.
    ///
    /// - Parameters:
    ///   - configuration: see ``OTLPConfiguration``.
    ///   - registry: the process's metrics.
    ///   - logger: gets what was wrong with the environment.
    /// - Throws: when the machine has no thread to give.
    public init(_ configuration: OTLPConfiguration, registry: MetricRegistry = MetricRegistry(), logger: Logger) throws
    {
        self.configuration = configuration
        self.registry = registry
        self.logger = logger
        let spans = SpanQueue(capacity: configuration.maxQueuedSpans)
        self.spans = spans
        for problem in configuration.problems {
            logger.warning("environment", metadata: ["problem": "\(problem)"])
        }
        guard configuration.traces != nil || configuration.metrics != nil else {
            exporter = nil
            return
        }
        registry.observeTotal("weir.telemetry.dropped", help: "spans that found the queue full") {
            Int64(clamping: spans.dropped)
        }
        registry.observeTotal(
            "weir.telemetry.passed_over",
            help: "refusals and failures that were not traced because there were too many"
        ) { Int64(clamping: spans.passedOver) }
        registry.observe("weir.telemetry.queued", help: "spans that wait for the exporter") { Int64(spans.count) }
        exporter = try OTLPExporter(configuration, registry: registry, spans: spans, logger: logger)
    }

    /// Starts the telemetry of this process, as its environment says.
    ///
    /// - Parameters:
    ///   - program: `weir-gateway` or `weir-control`.
    ///   - instance: what tells this process from others of its program; nil when nothing does.
    ///   - logger: gets what was wrong with the environment.
    /// - Throws: when the machine has no thread to give.
    public convenience init(program: String, instance: String?, logger: Logger) throws {
        var attributes = [
            ("service.version", BuildVersion.current), ("process.pid", "\(getpid())"), ("host.name", Self.hostName),
        ]
        if let instance { attributes.append(("service.instance.id", instance)) }
        let registry = MetricRegistry()
        ProcessMetrics.show(in: registry, program: program, version: BuildVersion.current)
        try self.init(
            OTLPConfiguration(environment: Self.environment, service: program, attributes: attributes),
            registry: registry,
            logger: logger
        )
        guard measures else { return }
        // Once a process: both trap the second time.
        MetricsSystem.bootstrap(LibraryMetrics(registry))
        if traces { InstrumentationSystem.bootstrap(LibraryTracer(spans, sampler: configuration.sampler)) }
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The variables that are read here, and no others.
    private static var environment: [String: String] {
        var variables: [String: String] = [:]
        var next = unsafe environ
        while let entry = unsafe next.pointee {
            let text = unsafe String(cString: entry)
            unsafe next += 1
            guard text.hasPrefix("OTEL_"), let equals = text.firstIndex(of: "=") else { continue }
            variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return variables
    }

    /// Sends what is left; to be called when nothing is counted any more.
    ///
    /// - Parameter deadline: the longest that this takes.
    public func stop(deadline: Duration = .milliseconds(500)) { exporter?.stop(deadline: deadline) }
}
