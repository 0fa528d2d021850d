// Tells the control plane what this node enforces: at once when that changes, else once a second, so that a write can
// wait until it is applied and a dead node is missed. The answer says how many nodes share the limits.

import Breaker
import Limits
import Logging
import Reactor
import Synchronization
import Telemetry

/// The node's reports; one in flight, the newest state always the next.
///
/// Confined to the node's Reactor.
final class NodeReporter {
    /// The most breakers that a report names.
    static let maxBreakers = 32

    private let reactor: Reactor
    private let configuration: NodeConfiguration
    private let control: ControlClient
    private let shared: NodeShared
    private let breakers: BreakerBoard
    private let totals: @Sendable () -> RequestTotals
    private let logger: Logger
    private let startedAt: Int64
    /// Called when the fleet has changed, on the node's Reactor.
    var onPlace: (FleetPlace) -> Void = { _ in }
    /// Called with the lineage that an admin has confirmed, with each answer that names one.
    var onConfirmedLineage: (String) -> Void = { _ in }
    private var counted: (totals: RequestTotals, at: MonotonicTime)
    private var rates = RequestRates()
    private var isInFlight = false
    private var isWaiting = false
    private var isStopped = false

    init(
        reactor: Reactor,
        configuration: NodeConfiguration,
        control: ControlClient,
        shared: NodeShared,
        breakers: BreakerBoard,
        totals: @escaping @Sendable () -> RequestTotals,
        logger: Logger
    ) {
        self.reactor = reactor
        self.configuration = configuration
        self.control = control
        self.shared = shared
        self.breakers = breakers
        self.totals = totals
        counted = (totals(), reactor.now)
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
        LogLevels.shared.expire()
        countRequests()
        reportNow()
        _ = reactor.schedule(after: configuration.timing.reportInterval) { [weak self] in self?.tick() }
    }

    /// Over the time between two ticks: a report at once, after a change, would say nothing of so short a while.
    private func countRequests() {
        let now = (totals: totals(), at: reactor.now)
        rates = RequestRates(from: counted.totals, to: now.totals, over: now.at - counted.at)
        counted = now
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
        text.append("requests_per_second", raw: "\(rates.requests)")
        text.append("refusals_per_second", raw: "\(rates.refused)")
        text.append("errors_per_second", raw: "\(rates.failed)")
        text.append("usage_queued", status.usageQueued)
        text.append("breakers", raw: openBreakers())
        return text.bytes
    }

    /// Those that are not closed; the first ones where there are very many.
    private func openBreakers() -> [UInt8] {
        let open = breakers.all.map { ($0.dependency, $0.standing) }.filter { $0.1.state != .closed }
        var list: [UInt8] = []
        for (dependency, standing) in open.prefix(Self.maxBreakers) {
            if !list.isEmpty { list.append(UInt8(ascii: ",")) }
            var text = ReportText()
            text.append("dependency", dependency)
            text.append("state", standing.state.name)
            text.append("reason", standing.reason ?? "")
            list += text.bytes
        }
        return [UInt8(ascii: "[")] + list + [UInt8(ascii: "]")]
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
            noteLogLevels(body)
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

    /// An operator's word on levels; a control plane that does not know of them says nothing, and what is stays.
    private func noteLogLevels(_ answer: [UInt8]) {
        guard let text = ReportText.text(named: "log_levels", in: answer) else { return }
        guard !text.isEmpty, let setting = LogLevelSetting(text: text) else {
            if LogLevels.shared.apply(nil) { logger.notice("log levels are those of the start again") }
            return
        }
        let duration = ReportText.integer(named: "log_levels_ms", in: answer).map { Duration.milliseconds($0) }
        if LogLevels.shared.apply(setting, for: duration) {
            logger.notice("log levels changed", metadata: ["levels": "\(setting.text)"])
        }
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
