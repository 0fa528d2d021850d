// The node's tie to the rest of Weir, on threads of its own so that nothing here can slow a request: it follows
// snapshots, reports what is enforced, and ships usage. When it fails the node goes on with what it has.

public import Breaker
private import Glibc
public import Ledger
public import Limits
public import Logging
public import Policy
import Reactor
public import Snapshot
import Synchronization
public import Telemetry

/// Follows the control plane for one gateway node.
public final class NodeAgent: Sendable {
    private static let mailboxCapacity = 4_096

    private let shared: NodeShared
    private let store: LastKnownGoodKeeper
    private let thread: ReactorHandle
    private let mailbox: Mailbox<NodeMessage>

    /// Makes an agent that `start()` sets to work.
    ///
    /// - Parameters:
    ///   - configuration: whom to follow, and as whom.
    ///   - registry: the policy kinds that this node enforces; a snapshot with another kind is refused.
    ///   - breakers: where the control plane's breaker is shown; the node's reports name those that are not closed.
    ///   - totals: what the node has brought to an end, for its reports; called on the agent's thread, must not block.
    ///   - metrics: where the agent's figures are shown; nil for nowhere.
    ///   - logger: for swaps, refusals and lost connections.
    ///   - onHeldKeys: gets the keys to refuse although the snapshot admits them, before the snapshot that makes them
    ///     differ from none; on the agent's thread.
    ///   - onSnapshot: gets each snapshot that is to be enforced, on the agent's thread; must not block.
    /// - Throws: `NodeError` when the configuration cannot work or the machine has no thread to give.
    public init(
        _ configuration: NodeConfiguration,
        registry: PolicyRegistry,
        breakers: BreakerBoard = BreakerBoard(),
        totals: @escaping @Sendable () -> RequestTotals = { RequestTotals() },
        metrics: MetricRegistry? = nil,
        logger: Logger,
        onHeldKeys: @escaping @Sendable (Set<KeyID>) -> Void = { _ in },
        onSnapshot: @escaping @Sendable (EnforcedSnapshot) -> Void
    ) throws(NodeError) {
        try configuration.validate()
        let shared = NodeShared(
            inboxCapacity: configuration.usageCapacity / 2,
            wakeCount: configuration.timing.usageBatchRecords
        )
        let box = MailboxBox()
        do throws(ReactorError) {
            let store = try LastKnownGoodKeeper(directory: configuration.dataDirectory, logger: logger)
            thread = try ReactorHandle.start(name: "weir-node") { reactor in
                let core = NodeCore(
                    reactor: reactor,
                    configuration: configuration,
                    registry: registry,
                    breakers: breakers,
                    shared: shared,
                    totals: totals,
                    store: store,
                    logger: logger,
                    onHeldKeys: onHeldKeys,
                    onSnapshot: onSnapshot
                )
                let mailbox = reactor.makeMailbox(capacity: Self.mailboxCapacity) { message in core.receive(message) }
                box.mailbox.withLock { $0 = mailbox }
            }
            if let place = store.place() { shared.setPlace(place) }
            self.store = store
        } catch {
            throw NodeError(field: error.call, reason: "errno \(error.code)")
        }
        guard let mailbox = box.mailbox.withLock({ $0 }) else { preconditionFailure("made by the set-up") }
        self.mailbox = mailbox
        self.shared = shared
        if let metrics { shared.show(in: metrics) }
    }

    deinit { stop() }

    /// Enforces the copy on disk at once if there is one, then follows Redis and the control plane.
    public func start() { post(.start) }

    /// Queues a record for the control plane; any thread, never waits.
    ///
    /// Costs a copy of the record under a lock that is held for no more than that. When `usageCapacity` records
    /// wait, it is dropped and counted.
    public func record(_ record: UsageRecord) {
        if shared.append(record) { post(.shipUsage) }
    }

    /// Which of how many nodes share the limits; as the control plane last said, also to an earlier life of this node.
    public var place: FleetPlace { shared.place }

    /// Whether what is enforced was confirmed within the last 30 s: the memory tier's hit; any thread, one load.
    func isFresh(at milliseconds: Int64) -> Bool { shared.isFresh(at: milliseconds) }

    /// A look at the agent.
    public var status: NodeStatus { shared.currentStatus() }

    /// Ships the usage that waits, then ends the agent's threads; for the end of the program.
    ///
    /// Blocks until the control plane has acknowledged every record, at most `deadline` and a moment; records that
    /// come later are dropped and counted. Not to be called from `onSnapshot`.
    public func drain(deadline: Duration) {
        post(.drain)
        let end = MonotonicTime.now + deadline
        while !shared.isDrained.load(ordering: .acquiring), MonotonicTime.now < end {
            var pause = timespec(tv_sec: 0, tv_nsec: 2_000_000)
            unsafe nanosleep(&pause, nil)  // once per program, at its end
        }
        stop()
    }

    private func stop() {
        post(.stop)
        thread.stop()
        store.stop()
    }

    private func post(_ message: NodeMessage) {
        // Only `shipUsage` can fill the mailbox, and then the shipper is awake anyway.
        _ = mailbox.send(message)
    }
}

/// Brings the mailbox out of the thread's set-up.
private final class MailboxBox: Sendable {
    let mailbox = Mutex<Mailbox<NodeMessage>?>(nil)
}

extension NodeShared {
    /// Shows the status as metrics.
    fileprivate func show(in metrics: MetricRegistry) {
        let tier = { (name: String) in [MetricLabel("tier", name)] }
        metrics.observe("weir.snapshot.version", help: "the version that is enforced") { [self] in
            Int64(clamping: currentStatus().version)
        }
        metrics.observe(
            "weir.snapshot.age",
            unit: .seconds,
            help: "since what is enforced was made; 0 before there is any"
        ) {
            [self] in
            let createdAt = currentStatus().createdAt
            return createdAt == 0 ? 0 : max(0, (WallClock.milliseconds - createdAt) / 1_000)
        }
        let start = MonotonicTime.now
        metrics.observe(
            "weir.snapshot.confirmed.age",
            unit: .seconds,
            help: "since Redis or the control plane said that nothing newer exists; from the start before that"
        ) { [self] in (MonotonicTime.now - (currentStatus().confirmedAt ?? start)).components.seconds }
        metrics.observe("weir.snapshot.canary", help: "1 while a canary's change is enforced") { [self] in
            currentStatus().canary == nil ? 0 : 1
        }
        metrics.observe("weir.held.revocations", help: "keys refused until an admin confirms the lineage") { [self] in
            Int64(currentStatus().heldRevocations)
        }
        metrics.observe("weir.node.duplicate", help: "1 while another process reports under this node's id") {
            [self] in currentStatus().isDuplicate ? 1 : 0
        }
        metrics.observe("weir.snapshot.refused", help: "1 while the newest snapshot is refused") { [self] in
            currentStatus().refusal == nil ? 0 : 1
        }
        metrics.observe("weir.redis.following", help: "1 while Redis tells of changes") { [self] in
            currentStatus().isFollowingRedis ? 1 : 0
        }
        metrics.observe("weir.control.reachable", help: "1 while the control plane answers") { [self] in
            currentStatus().isControlReachable ? 1 : 0
        }
        metrics.observe("weir.live.nodes", help: "nodes that share the limits") { [self] in
            Int64(currentStatus().liveNodes)
        }
        metrics.observe("weir.usage.queued", help: "usage records that wait") { [self] in
            Int64(currentStatus().usageQueued)
        }
        total(metrics, "weir.snapshot.swaps", "snapshots taken over") { $0.swaps }
        for (index, kind) in RefusalClass.allCases.enumerated() {
            let labels = [MetricLabel("reason", kind.rawValue)]
            total(metrics, "weir.snapshot.nacks", "snapshots refused", labels) { $0.nacksByClass[index] }
        }
        let hits = ("weir.policy.cache.hits", "configuration found in a tier, confirmed in time")
        let misses = ("weir.policy.cache.misses", "configuration not found in a tier, or stale there")
        total(metrics, hits.0, hits.1, tier("redis")) { $0.redisHits }
        total(metrics, misses.0, misses.1, tier("redis")) { $0.redisMisses }
        total(metrics, hits.0, hits.1, tier("control")) { $0.controlHits }
        total(metrics, misses.0, misses.1, tier("control")) { $0.controlMisses }
        total(metrics, "weir.snapshot.chunks", "chunks by where they came from", tier("memory")) {
            $0.chunksFromMemory
        }
        total(metrics, "weir.snapshot.chunks", "chunks by where they came from", tier("redis")) {
            $0.chunksFromRedis
        }
        total(metrics, "weir.snapshot.chunks", "chunks by where they came from", tier("control")) {
            $0.chunksFromControl
        }
        total(metrics, "weir.usage.shipped", "usage records acknowledged") { $0.usageShipped }
        total(metrics, "weir.usage.dropped", "usage records lost to a full queue") { $0.usageDropped }
        total(metrics, "weir.usage.resends", "usage batches sent again") { $0.usageResends }
    }

    private func total(
        _ metrics: MetricRegistry,
        _ name: String,
        _ help: String,
        _ labels: [MetricLabel] = [],
        _ figure: @escaping @Sendable (NodeStatus) -> UInt64
    ) {
        metrics.observeTotal(name, help: help, labels: labels) { [self] in Int64(clamping: figure(currentStatus())) }
    }
}
