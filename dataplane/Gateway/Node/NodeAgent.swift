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
    ///   - breakers: where the control plane's breaker is shown.
    ///   - counters: where the agent's figures are shown; nil for nowhere.
    ///   - logger: for swaps, refusals and lost connections.
    ///   - onHeldKeys: gets the keys to refuse although the snapshot admits them, before the snapshot that makes them
    ///     differ from none; on the agent's thread.
    ///   - onSnapshot: gets each snapshot that is to be enforced, on the agent's thread; must not block.
    /// - Throws: `NodeError` when the configuration cannot work or the machine has no thread to give.
    public init(
        _ configuration: NodeConfiguration,
        registry: PolicyRegistry,
        breakers: BreakerBoard = BreakerBoard(),
        counters: Counters? = nil,
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
        if let counters { shared.show(in: counters) }
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
    fileprivate func show(in counters: Counters) {
        let tier = { (name: String) in [MetricLabel("tier", name)] }
        counters.observe("weir_snapshot_version", help: "the version that is enforced") { [self] in
            Int64(clamping: currentStatus().version)
        }
        counters.observe("weir_snapshot_age_seconds", help: "since what is enforced was made; 0 before there is any") {
            [self] in
            let createdAt = currentStatus().createdAt
            return createdAt == 0 ? 0 : max(0, (WallClock.milliseconds - createdAt) / 1_000)
        }
        let start = MonotonicTime.now
        counters.observe(
            "weir_snapshot_confirmed_age_seconds",
            help: "since Redis or the control plane said that nothing newer exists; from the start before that"
        ) { [self] in (MonotonicTime.now - (currentStatus().confirmedAt ?? start)).components.seconds }
        counters.observe("weir_snapshot_canary", help: "1 while a canary's change is enforced") { [self] in
            currentStatus().canary == nil ? 0 : 1
        }
        counters.observe("weir_held_revocations", help: "keys refused until an admin confirms the lineage") { [self] in
            Int64(currentStatus().heldRevocations)
        }
        counters.observe("weir_node_duplicate", help: "1 while another process reports under this node's id") {
            [self] in currentStatus().isDuplicate ? 1 : 0
        }
        counters.observe("weir_snapshot_refused", help: "1 while the newest snapshot is refused") { [self] in
            currentStatus().refusal == nil ? 0 : 1
        }
        counters.observe("weir_redis_following", help: "1 while Redis tells of changes") { [self] in
            currentStatus().isFollowingRedis ? 1 : 0
        }
        counters.observe("weir_control_reachable", help: "1 while the control plane answers") { [self] in
            currentStatus().isControlReachable ? 1 : 0
        }
        counters.observe("weir_live_nodes", help: "nodes that share the limits") { [self] in
            Int64(currentStatus().liveNodes)
        }
        counters.observe("weir_usage_queued", help: "usage records that wait") { [self] in
            Int64(currentStatus().usageQueued)
        }
        total(counters, "weir_snapshot_swaps_total", "snapshots taken over") { $0.swaps }
        for (index, kind) in RefusalClass.allCases.enumerated() {
            let labels = [MetricLabel("reason", kind.rawValue)]
            total(counters, "weir_snapshot_nacks_total", "snapshots refused", labels) { $0.nacksByClass[index] }
        }
        let hits = ("weir_policy_cache_hits_total", "configuration found in a tier, confirmed in time")
        let misses = ("weir_policy_cache_misses_total", "configuration not found in a tier, or stale there")
        total(counters, hits.0, hits.1, tier("redis")) { $0.redisHits }
        total(counters, misses.0, misses.1, tier("redis")) { $0.redisMisses }
        total(counters, hits.0, hits.1, tier("control")) { $0.controlHits }
        total(counters, misses.0, misses.1, tier("control")) { $0.controlMisses }
        total(counters, "weir_snapshot_chunks_total", "chunks by where they came from", tier("memory")) {
            $0.chunksFromMemory
        }
        total(counters, "weir_snapshot_chunks_total", "chunks by where they came from", tier("redis")) {
            $0.chunksFromRedis
        }
        total(counters, "weir_snapshot_chunks_total", "chunks by where they came from", tier("control")) {
            $0.chunksFromControl
        }
        total(counters, "weir_usage_shipped_total", "usage records acknowledged") { $0.usageShipped }
        total(counters, "weir_usage_dropped_total", "usage records lost to a full queue") { $0.usageDropped }
        total(counters, "weir_usage_resends_total", "usage batches sent again") { $0.usageResends }
    }

    private func total(
        _ counters: Counters,
        _ name: String,
        _ help: String,
        _ labels: [MetricLabel] = [],
        _ figure: @escaping @Sendable (NodeStatus) -> UInt64
    ) {
        counters.observeTotal(name, help: help, labels: labels) { [self] in Int64(clamping: figure(currentStatus())) }
    }
}
