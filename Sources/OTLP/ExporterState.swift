// What the exporter does on its thread: when to send what.

internal import Logging
internal import Reactor
internal import Telemetry

/// The exporter, on its Reactor.
final class ExporterState {
    /// How often the queue of spans is looked at for a full batch.
    private static let tick: Duration = .milliseconds(200)

    private let configuration: OTLPConfiguration
    private let reactor: Reactor
    private let registry: MetricRegistry
    private let spans: SpanQueue
    private let logger: Logger
    private let encoding: Encoding
    private let traceSender: SignalSender?
    private let metricSender: SignalSender?
    private var spanTimer: ReactorTimer?
    private var metricTimer: ReactorTimer?
    private var spansDue: MonotonicTime
    private var onFlushed: (() -> Void)?

    init(
        _ configuration: OTLPConfiguration,
        reactor: Reactor,
        registry: MetricRegistry,
        spans: SpanQueue,
        logger: Logger
    ) {
        self.configuration = configuration
        self.reactor = reactor
        self.registry = registry
        self.spans = spans
        self.logger = logger
        encoding = Encoding(resource: configuration.resource, startedAt: UnixTime.nanoseconds)
        let client = HTTPClient(
            reactor: reactor,
            limits: HTTPClientLimits(maxTransfers: 8, maxIdleConnections: 2, maxIsolations: 2)
        )
        func sender(_ name: String, _ destination: OTLPConfiguration.Destination?) -> SignalSender? {
            destination.map {
                SignalSender(name, $0, client: client, reactor: reactor, registry: registry, logger: logger)
            }
        }
        traceSender = sender("traces", configuration.traces)
        metricSender = sender("metrics", configuration.metrics)
        spansDue = reactor.now + configuration.spanDelay
        // While there is more than a request holds, one follows the other.
        traceSender?.onIdle = { [unowned self] in
            if spans.count >= configuration.maxSpansPerRequest { sendSpans() }
        }
        if traceSender != nil { scheduleSpans() }
        if metricSender != nil { scheduleMetrics() }
    }

    // MARK: Spans

    private func scheduleSpans() {
        spanTimer = reactor.schedule(after: min(Self.tick, configuration.spanDelay)) { [unowned self] in
            let isDue = reactor.now >= spansDue || spans.count >= configuration.maxSpansPerRequest
            if isDue, traceSender?.isIdle == true { sendSpans() }
            scheduleSpans()
        }
    }

    private func sendSpans() {
        spansDue = reactor.now + configuration.spanDelay
        let batch = spans.take(max: configuration.maxSpansPerRequest)
        guard !batch.isEmpty, let sender = traceSender else { return }
        guard let body = encoded({ try encoding.spans(batch) }) else { return }
        sender.send(body, items: batch.count)
    }

    // MARK: Metrics

    private func scheduleMetrics() {
        metricTimer = reactor.schedule(after: configuration.metricInterval) { [unowned self] in
            sendMetrics()
            scheduleMetrics()
        }
    }

    /// All of them, from the start on: what did not get through before is in it.
    private func sendMetrics() {
        // A slow collector is let finish, and what it asked to wait for is waited for; nothing is lost, since the next
        // export holds it all.
        guard let sender = metricSender, onFlushed != nil || !sender.isSending && !sender.isToldToWait else { return }
        let families = registry.collect()
        guard let body = encoded({ try encoding.metrics(families, at: UnixTime.nanoseconds) }) else { return }
        sender.send(body, items: families.reduce(0) { $0 + $1.series.count })
    }

    private func encoded(_ encode: () throws -> [UInt8]) -> [UInt8]? {
        do {
            return try encode()
        } catch {
            // Only for a message of more than 2 GiB.
            logger.error("telemetry cannot be encoded", metadata: ["reason": "\(error)"])
            return nil
        }
    }

    // MARK: The end

    /// Sends all that there is; `done` is called when it has arrived or been given up.
    func flush(_ done: @escaping () -> Void) {
        for timer in [spanTimer, metricTimer].compactMap(\.self) { reactor.cancel(timer) }
        onFlushed = done
        // First, because it gives up an export that is under way, for whose answer there may be no time: that must not
        // look like the end of this one.
        sendMetrics()
        traceSender?.onIdle = { [unowned self] in continueFlush() }
        metricSender?.onIdle = { [unowned self] in continueFlush() }
        continueFlush()
    }

    private func continueFlush() {
        if traceSender?.isIdle == true { sendSpans() }
        guard traceSender?.isIdle ?? true, metricSender?.isIdle ?? true else { return }
        onFlushed?()
        onFlushed = nil
    }

    func end() {
        traceSender?.onIdle = nil
        metricSender?.onIdle = nil
        traceSender?.abandon()
        metricSender?.abandon()
    }
}
