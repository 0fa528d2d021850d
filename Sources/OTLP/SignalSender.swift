// One kind of telemetry and its collector: a batch at a time, counted, and a word in the log when it stops or starts
// working.

internal import Logging
internal import Reactor
internal import Secrets
internal import Telemetry

/// Sends the batches of one signal; confined to the exporter's Reactor.
final class SignalSender {
    private let name: String
    private let destination: OTLPConfiguration.Destination
    private let client: HTTPClient
    private let reactor: Reactor
    private let logger: Logger
    private let exported: Counter
    private let failed: Counter
    private let rejected: Counter
    private var delivery: Delivery?
    private var isWorking = true
    /// Told once when nothing is on its way.
    var onIdle: (() -> Void)?

    init(
        _ name: String,
        _ destination: OTLPConfiguration.Destination,
        client: HTTPClient,
        reactor: Reactor,
        registry: MetricRegistry,
        logger: Logger
    ) {
        self.name = name
        self.destination = destination
        self.client = client
        self.reactor = reactor
        self.logger = logger
        let labels = [MetricLabel("signal", name)]
        let unit = MetricUnit.count("{item}")
        exported = registry.counter(
            "weir.telemetry.exported",
            unit: unit,
            help: "spans and series that a collector took",
            labels: labels
        )
        failed = registry.counter(
            "weir.telemetry.failed",
            unit: unit,
            help: "spans and series that no collector took in time",
            labels: labels
        )
        rejected = registry.counter(
            "weir.telemetry.rejected",
            unit: unit,
            help: "spans and series that a collector said it did not take",
            labels: labels
        )
    }

    var isIdle: Bool { delivery == nil }

    /// Whether a collector is being sent to right now.
    var isSending: Bool { delivery?.isSending ?? false }

    /// Sends a batch; one that is on its way is given up for it.
    func send(_ body: [UInt8], items: Int) {
        delivery?.abandon()
        var headers = ["content-type: application/x-protobuf", "user-agent: weir-otlp"] + destination.headers.reveal()
        var body = body
        if destination.usesGzip, let smaller = Gzip.compress(body) {
            body = smaller
            headers.append("content-encoding: gzip")
        }
        let request = HTTPClientRequest(
            method: .post,
            url: destination.url,
            headers: headers,
            body: body,
            connectTimeout: min(destination.timeout, .seconds(5)),
            firstByteTimeout: destination.timeout,
            idleTimeout: destination.timeout,
            totalTimeout: destination.timeout,
            caFile: destination.caFile,
            clientIdentity: destination.clientIdentity
        )
        let delivery = Delivery(request, client: client, reactor: reactor) { [unowned self] end in
            finish(end, items: items)
        }
        self.delivery = delivery
        delivery.send()
    }

    func abandon() { delivery?.abandon() }

    /// Whether the collector has said when to come again, and that is not yet.
    var isToldToWait: Bool { delivery?.isToldToWait ?? false }

    private func finish(_ end: Delivery.End, items: Int) {
        delivery = nil
        switch end {
        case .delivered(let count):
            let refused = min(max(count, 0), items)
            exported.add(UInt64(items - refused))
            rejected.add(UInt64(refused))
            if !isWorking {
                isWorking = true
                logger.info("telemetry reaches its collector again", metadata: ["signal": "\(name)"])
            }
        case .failed(let reason):
            failed.add(UInt64(items))
            // Once: an outage of the collector must not fill the log.
            if isWorking {
                isWorking = false
                logger.warning(
                    "telemetry does not reach its collector",
                    metadata: ["signal": "\(name)", "reason": "\(reason)", "items": "\(items)"]
                )
            }
        }
        onIdle?()
    }
}
