// Brings usage records to the control plane: numbered once, sent until they are acknowledged, one batch at a time.
// A record's identity (node, boot, sequence) never changes, so a batch whose answer was lost is sent again unharmed.

import Ledger
import Logging
import Reactor
import Synchronization

/// The way of usage records to the control plane.
///
/// Confined to the node's Reactor; records arrive through ``NodeShared``. When the control plane is away the queue
/// fills, then new records are dropped and counted: no request ever waits for usage.
final class UsageShipper {
    private struct Flight {
        let bytes: [UInt8]
        let count: Int
        let lastSequence: UInt64
    }

    private let reactor: Reactor
    private let timing: NodeTiming
    private let control: ControlClient
    private let shared: NodeShared
    private let logger: Logger
    private var queue: UsageQueue
    private var arrivals: [UsageRecord] = []
    private var flight: Flight?
    private var isAwaitingAnswer = false
    private var retry: ReactorTimer?
    private var backoff: Backoff
    private var random = SystemRandomNumberGenerator()
    private var batchLimit: Int
    private var rejectedCount: UInt64 = 0
    private var isDraining = false
    private var isStopped = false

    init(
        reactor: Reactor,
        configuration: NodeConfiguration,
        control: ControlClient,
        shared: NodeShared,
        logger: Logger
    ) {
        self.reactor = reactor
        timing = configuration.timing
        self.control = control
        self.shared = shared
        self.logger = logger
        queue = UsageQueue(
            nodeID: configuration.nodeID,
            bootID: configuration.bootID,
            capacity: configuration.usageCapacity / 2
        )
        backoff = Backoff(least: timing.minBackoff, most: timing.maxBackoff)
        batchLimit = timing.usageBatchRecords
    }

    /// Begins to ship.
    func start() { tick() }

    /// Ends it; what is not acknowledged stays unshipped.
    func stop() { isStopped = true }

    /// A batch is full: need not wait for the clock.
    func wake() { ship() }

    /// Ships all there is as fast as answers come; sets `isDrained` when nothing is left.
    func drain() {
        shared.closeInbox()
        isDraining = true
        if let retry { reactor.cancel(retry) }
        retry = nil
        ship()
    }

    private func tick() {
        guard !isStopped else { return }
        ship()
        _ = reactor.schedule(after: timing.usageInterval) { [weak self] in self?.tick() }
    }

    private func ship() {
        takeArrivals()
        guard !isStopped, !isAwaitingAnswer, retry?.isPending != true else { return }
        if flight == nil, let batch = queue.makeBatch(maxRecords: batchLimit), let last = batch.records.last {
            flight = Flight(bytes: batch.encode(), count: batch.records.count, lastSequence: last.sequence)
        }
        guard let flight else {
            if isDraining { shared.isDrained.store(true, ordering: .releasing) }
            return
        }
        isAwaitingAnswer = true
        control.usage(batch: flight.bytes) { [weak self] answer in self?.answered(answer, flight) }
    }

    private func takeArrivals() {
        shared.takeRecords(into: &arrivals)
        for record in arrivals { queue.append(record) }
        arrivals.removeAll(keepingCapacity: true)
        let (queued, dropped, shipped) = (queue.count, queue.droppedCount, queue.acknowledgedCount)
        shared.update { status in
            status.usageQueued = queued
            status.usageDropped = dropped + rejectedCount
            status.usageShipped = shipped - rejectedCount
        }
    }

    private func answered(_ answer: ControlClient.Answer, _ sent: Flight) {
        isAwaitingAnswer = false
        switch answer {
        case .response(status: 200, let body):
            acknowledged(sent, body)
        case .response(let status, _) where [400, 413, 422].contains(status):
            refused(sent, status: status)
        case .response(let status, _):
            failed("status \(status)")
        case .failure(let reason):
            failed(reason)
        }
    }

    private func acknowledged(_ sent: Flight, _ body: [UInt8]) {
        let accepted = ReportText.integer(named: "accepted", in: body) ?? -1
        let duplicates = ReportText.integer(named: "duplicates", in: body) ?? -1
        guard accepted >= 0, duplicates >= 0, accepted + duplicates == sent.count else {
            // Whoever answered did not take these records: a proxy's page, say. They are sent again.
            return failed("acknowledged \(accepted) + \(duplicates) of \(sent.count) records")
        }
        backoff.succeeded()
        batchLimit = min(timing.usageBatchRecords, batchLimit * 2)
        advance(past: sent)
    }

    /// The control plane will never take this batch: look for the record that it cannot take, and lose that alone.
    private func refused(_ sent: Flight, status: Int) {
        guard sent.count == 1 else {
            batchLimit = max(1, sent.count / 2)
            flight = nil
            shared.update { $0.usageResends += 1 }
            return ship()
        }
        rejectedCount += 1
        logger.error(
            "the control plane refuses a usage record; it is dropped",
            metadata: ["sequence": "\(sent.lastSequence)", "status": "\(status)"]
        )
        flight = nil
        queue.acknowledge(upTo: sent.lastSequence)
        // A control plane that refuses everything must not empty the queue in a blink: each loss costs a longer wait.
        shipLater()
    }

    private func advance(past sent: Flight) {
        flight = nil
        queue.acknowledge(upTo: sent.lastSequence)
        takeArrivals()
        // Fewer than a batch may wait for company, unless the node is leaving.
        if isDraining || queue.count >= batchLimit { ship() }
    }

    private func failed(_ reason: String) {
        shared.update { $0.usageResends += 1 }
        logger.warning("usage was not acknowledged; it is sent again", metadata: ["reason": "\(reason)"])
        shipLater()
    }

    private func shipLater() {
        var wait = backoff.failed(random: &random)
        if isDraining { wait = min(wait, timing.minBackoff) }
        retry = reactor.schedule(after: wait) { [weak self] in self?.ship() }
    }
}
