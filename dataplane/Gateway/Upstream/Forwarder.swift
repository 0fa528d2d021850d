// The Reactor's half of the pipeline: stages 5 to 8 (reserve, forward, tap, settle) for every request of a worker.

import Limits
import NIOCore
import Reactor

/// Forwards admitted requests and watches their answers; confined to its Reactor.
final class Forwarder {
    private let reactor: Reactor
    private let client: HTTPClient
    let limits: LimitGate
    private let inbox: LoopInbox
    private let bounds: GatewayBounds
    private let telemetry: GatewayTelemetry
    private var exchanges: [ExchangeID: UpstreamExchange] = [:]
    private var changed: [UpstreamExchange] = []

    init(
        reactor: Reactor,
        client: HTTPClient,
        limits: LimitGate,
        inbox: LoopInbox,
        bounds: GatewayBounds,
        telemetry: GatewayTelemetry
    ) {
        self.reactor = reactor
        self.client = client
        self.limits = limits
        self.inbox = inbox
        self.bounds = bounds
        self.telemetry = telemetry
        reactor.atEndOfEveryTurn { [unowned self] in flush() }
    }

    /// Takes one command from the event loop.
    func receive(_ command: UpstreamCommand) {
        switch command {
        case .forward(let job): begin(job)
        case .attempt(let id, let attempt):
            guard let exchange = exchanges[id] else { return attempt.health.abandon(attempt.admission, now: now) }
            exchange.tryAgain(attempt)
        case .giveUp(let id): exchanges[id]?.giveUp()
        case .credit(let id, let bytes): exchanges[id]?.credit(bytes)
        case .cancel(let id): exchanges[id]?.cancel()
        }
    }

    private func begin(_ job: ForwardJob) {
        let exchange = UpstreamExchange(job, forwarder: self, maxUnsentBytes: bounds.maxUnsentBytes)
        exchanges[job.id] = exchange
        guard !job.claims.isEmpty else {
            exchange.admit(nil)
            return
        }
        // The holder is this Reactor's alone, so the exchange's number names the reservation.
        let id = ReservationID(worker: 0, number: job.id)
        limits.reserve(app: job.appID, claims: job.claims, id: id) { outcome, origin in
            switch outcome {
            case .admitted(let states):
                exchange.admit(
                    HeldReservation(id: id, appID: job.appID, claims: job.claims, states: states, origin: origin)
                )
            case .refused(let claim, let states): exchange.refuse(.refused(claim: claim, states, origin.decider))
            case .unavailable(let claim): exchange.refuse(.unavailable(claim: claim))
            }
        }
    }

    func startTransfer(_ request: HTTPClientRequest, for exchange: UpstreamExchange) -> Transfer {
        client.start(request, delegate: exchange)
    }

    /// A moment for measures; 0 when nothing is measured.
    func stamp() -> UInt64 { telemetry.stamp() }

    /// The time as of this turn.
    var now: MonotonicTime { reactor.now }

    /// The exchange has something to tell the event loop at the end of this turn.
    func noteChange(_ exchange: UpstreamExchange) { changed.append(exchange) }

    func remove(_ exchange: UpstreamExchange) { exchanges[exchange.job.id] = nil }

    private func flush() {
        guard !changed.isEmpty else { return }
        inbox.send(changed.map { $0.takeEvent() })
        changed.removeAll(keepingCapacity: true)
    }
}
