// Tells the control plane what this node enforces: at once when that changes, else once a second, so that a write can
// wait until it is applied and a dead node is missed. The answer says how many nodes share the limits.

import Limits
import Logging
import Reactor
import Synchronization

/// The node's reports; one in flight, the newest state always the next.
///
/// Confined to the node's Reactor.
final class NodeReporter {
    private let reactor: Reactor
    private let configuration: NodeConfiguration
    private let control: ControlClient
    private let shared: NodeShared
    private let logger: Logger
    private let startedAt: Int64
    /// Called when the fleet has changed, on the node's Reactor.
    var onPlace: (FleetPlace) -> Void = { _ in }
    /// Called with the lineage that an admin has confirmed, with each answer that names one.
    var onConfirmedLineage: (String) -> Void = { _ in }
    private var isInFlight = false
    private var isWaiting = false
    private var isStopped = false

    init(
        reactor: Reactor,
        configuration: NodeConfiguration,
        control: ControlClient,
        shared: NodeShared,
        logger: Logger
    ) {
        self.reactor = reactor
        self.configuration = configuration
        self.control = control
        self.shared = shared
        self.logger = logger
        startedAt = WallClock.milliseconds
    }

    /// Begins the reports.
    func start() { tick() }

    /// Ends them.
    func stop() { isStopped = true }

    /// Reports now, or as soon as the report in flight is answered.
    func reportNow() {
        guard !isStopped else { return }
        guard !isInFlight else {
            isWaiting = true
            return
        }
        // A node that enforces nothing serves nobody: it takes no share of a limit, and no write waits for it.
        guard let body = report() else { return }
        isInFlight = true
        control.report(nodeID: configuration.nodeID, body: body) { [weak self] answer in self?.answered(answer) }
    }

    private func tick() {
        guard !isStopped else { return }
        reportNow()
        _ = reactor.schedule(after: configuration.timing.reportInterval) { [weak self] in self?.tick() }
    }

    private func report() -> [UInt8]? {
        let status = shared.currentStatus()
        guard status.isReady || status.refusal != nil else { return nil }
        var text = ReportText()
        text.append("boot_id", configuration.bootID)
        text.append("url", configuration.url)
        text.append("version", status.version)
        text.append("lineage", status.lineage)
        if let canary = status.canary { text.append("canary", canary) }
        if status.heldRevocations > 0 { text.append("held_revocations", status.heldRevocations) }
        text.append("status", status.refusal == nil ? "ack" : "nack")
        if let refusal = status.refusal { text.append("reason", refusal) }
        text.append("started_at_ms", startedAt)
        if let source = status.source { text.append("snapshot_source", source.rawValue) }
        return text.bytes
    }

    private func answered(_ answer: ControlClient.Answer) {
        isInFlight = false
        let (wasReachable, wasDuplicate) = (
            shared.currentStatus().isControlReachable, shared.currentStatus().isDuplicate
        )
        switch answer {
        case .response(status: 200, let body):
            let isDuplicate = ReportText.isTrue("duplicate", in: body)
            shared.update { status in
                status.isControlReachable = true
                status.isDuplicate = isDuplicate
            }
            if isDuplicate, !wasDuplicate {
                logger.warning("another process uses this node's id; give each its own")
            }
            if let lineage = ReportText.text(named: "confirmed_lineage", in: body) { onConfirmedLineage(lineage) }
            notePlace(body)
            if !wasReachable { logger.info("the control plane takes reports") }
        case .response(let status, _):
            shared.update { $0.isControlReachable = false }
            if wasReachable { logger.warning("a report was refused", metadata: ["status": "\(status)"]) }
        case .failure(let reason):
            shared.update { $0.isControlReachable = false }
            if wasReachable { logger.warning("a report got no answer", metadata: ["reason": "\(reason)"]) }
        }
        guard isWaiting else { return }
        isWaiting = false
        reportNow()
    }

    private func notePlace(_ answer: [UInt8]) {
        guard let count = ReportText.integer(named: "live_nodes", in: answer), (1...FleetPlace.maxNodes).contains(count)
        else { return }
        let place = FleetPlace(nodes: count, rank: ReportText.integer(named: "rank", in: answer) ?? 0)
        guard place != shared.place else { return }
        shared.setPlace(place)
        onPlace(place)
    }
}
