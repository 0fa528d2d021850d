// What the workers of a node share about limits: whether Redis is in use, what each last saw there, and the node's own
// count while it is out. One limiter per node, not per worker: connections spread unevenly over workers, and a share
// divided once more would refuse on one worker what another has left over.

import Breaker
import Limits
import Logging
import Reactor
import Synchronization

/// The node's side of its limits; any thread.
final class NodeLimits: Sendable {
    // One miss is enough: what waits behind it would miss, too. Probes are cheap and come every 300 ms at most, so that
    // the breaker closes within a second of the first good answer. It wants four good ones 100 ms apart: by then every
    // other node has seen that Redis is back and has merged what it admitted, and nobody is told of room that is gone.
    // One that is slow now and then must answer every probe for 3 s after a relapse, for 10 s after more of them.
    static let breakerConfiguration = BreakerConfiguration(
        failuresToTrip: 1,
        initialBackoff: .milliseconds(100),
        maxBackoff: .milliseconds(300),
        probeTimeout: .seconds(2),
        calm: .seconds(20),
        successesToClose: 4,
        probeInterval: .milliseconds(100),
        successesAfterRelapse: 30,
        successesAfterRelapses: 100
    )

    let breaker: SharedBreaker
    private let liveNodes: LiveNodes
    private let logger: Logger
    private let local = Mutex(LocalLimiter())
    private let tables = Mutex<[SeenTable]>([])
    /// What the keeper put into counters.
    private let merged = Mutex(SeenCounters())
    /// Redis's clock less the monotonic one, milliseconds; 0 before the first answer.
    private let clockOffset = Atomic<Int64>(0)
    private let lastWarning = Atomic<UInt64>(0)
    private let onUnmerged = Mutex<(@Sendable () -> Void)?>(nil)
    private let isMergeAsked = Atomic<Bool>(false)

    init(breakers: BreakerBoard, liveNodes: LiveNodes, logger: Logger) {
        breaker = breakers.breaker(for: "redis", Self.breakerConfiguration)
        self.liveNodes = liveNodes
        self.logger = logger
        let wasClosed = Mutex(true)
        breaker.observe { [weak self] _ in
            guard let self else { return }
            let isClosed = breaker.isClosed
            let isNews = wasClosed.withLock { wasClosed in
                defer { wasClosed = isClosed }
                return wasClosed != isClosed
            }
            guard isNews else { return }
            tellOfChange(isClosed: isClosed)
        }
    }

    private func tellOfChange(isClosed: Bool) {
        guard !isClosed else { return logger.notice("redis breaker closed") }
        logger.warning("redis breaker open", metadata: ["reason": "\(breaker.standing.reason ?? "")"])
    }

    /// Whether requests ask Redis; one atomic load.
    var asksRedis: Bool { breaker.isClosed }

    // MARK: Clock

    /// Takes over Redis's clock: while it is out the nodes' windows still begin together.
    func noteClock(_ redisMilliseconds: Int64) {
        let offset = redisMilliseconds - Self.monotonicMilliseconds
        // A store that changes nothing would only take the line away from the other workers.
        if abs(offset - clockOffset.load(ordering: .relaxed)) > 1 { clockOffset.store(offset, ordering: .relaxed) }
    }

    /// Now, by Redis's clock as far as it is known.
    var moment: LocalLimiter.Moment {
        let offset = clockOffset.load(ordering: .relaxed)
        return LocalLimiter.Moment(
            now: offset == 0 ? WallClock.milliseconds : Self.monotonicMilliseconds + offset,
            place: liveNodes.place
        )
    }

    private static var monotonicMilliseconds: Int64 { Int64(clamping: MonotonicTime.now.nanoseconds / 1_000_000) }

    // MARK: Deciding alone

    /// A worker's table of what it saw in Redis.
    func makeTable() -> SeenTable {
        let table = SeenTable()
        tables.withLock { $0.append(table) }
        return table
    }

    /// Decides by this node's share.
    func reserve(app: [UInt8], claims: [LimitClaim]) -> LocalOutcome {
        let (moment, seen) = (moment, seenTables)
        let (outcome, hasUnmerged) = local.withLock { local in
            let outcome = local.reserve(app: app, claims: claims, at: moment, seen: seen)
            return (outcome, local.hasUnmerged)
        }
        if hasUnmerged, asksRedis { askForMerge() }
        return outcome
    }

    /// Settles what was reserved here.
    ///
    /// - Returns: what Redis has been told of it already and must take back.
    func settle(app: [UInt8], charges: [SettledCharge]) -> [SettledCharge] {
        let moment = moment
        let (corrections, hasUnmerged) = local.withLock { local in
            let corrections = local.settle(app: app, charges: charges, at: moment)
            return (corrections, local.hasUnmerged)
        }
        if hasUnmerged, asksRedis { askForMerge() }
        if !corrections.isEmpty {
            merged.withLock { merged in
                for correction in corrections { merged.noteCorrection(app: app, correction) }
            }
        }
        return corrections
    }

    /// A counter in Redis lacks so much of what a worker had put into it, so it has no room for what the others and the
    /// keeper had put there: all that is put there again.
    func owe(app: [UInt8], _ claim: LimitClaim, _ state: LimitState, shortfall: Int64, except table: SeenTable) {
        let moment = moment
        let (isShared, windowID) = (state.isShared, state.windowID)
        let others = tables.withLock { $0 }.filter { $0 !== table }
        var amount = merged.withLock { $0.takeCharges(app: app, claim, isShared: isShared, windowID: windowID) }
        amount += others.reduce(shortfall) {
            $0 + $1.takeCharges(app: app, claim, isShared: isShared, windowID: windowID)
        }
        local.withLock {
            $0.owe(app: app, claim, isShared: isShared, windowID: windowID, amount: amount, at: moment)
        }
        askForMerge()
        warn("a counter in redis is lower than what this node put into it: it was flushed, evicted or failed over")
    }

    private var seenTables: [SeenCounters] { tables.withLock { $0 }.map(\.counters) }

    /// Logs once a second at most: under load each request would have the same to say.
    func warn(_ message: Logger.Message, _ metadata: Logger.Metadata = [:]) {
        let now = MonotonicTime.now.nanoseconds
        let last = lastWarning.load(ordering: .relaxed)
        guard last == 0 || now - last >= 1_000_000_000,
            lastWarning.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
        else { return }
        logger.warning(message, metadata: metadata)
    }

    // MARK: Merging

    /// Calls `action` when there is something to merge while Redis is in use.
    func onUnmerged(_ action: @escaping @Sendable () -> Void) { onUnmerged.withLock { $0 = action } }

    private func askForMerge() {
        guard !isMergeAsked.exchange(true, ordering: .relaxed) else { return }
        onUnmerged.withLock { $0 }?()
    }

    /// Whether Redis is to be told of something.
    var hasUnmerged: Bool { local.withLock { $0.hasUnmerged } }

    /// Takes a batch for Redis; ends with `finish`.
    func takeMerge() -> MergeBatch? {
        isMergeAsked.store(false, ordering: .relaxed)
        let moment = moment
        return local.withLock { $0.takeMerge(maxUses: RedisKeeper.maxUsesPerMerge, at: moment) }
    }

    /// Redis has the batch, or never will.
    ///
    /// - Parameters:
    ///   - batch: the batch.
    ///   - isMerged: it has all of it.
    func finish(_ batch: MergeBatch, isMerged: Bool) {
        let now = moment.now
        if isMerged {
            merged.withLock { merged in
                for use in batch.uses { merged.noteMerged(app: batch.app, use, now: now) }
            }
        }
        local.withLock { $0.finish(batch, now: now) }
    }

    /// Forgets what says nothing any more.
    func sweep() {
        let now = moment.now
        local.withLock { $0.sweep(now: now) }
    }
}

/// What one worker saw in Redis; its worker writes, and others read while Redis is out, so the lock is as good as free.
final class SeenTable: Sendable {
    private let table = Mutex(SeenCounters())

    /// A copy.
    var counters: SeenCounters { table.withLock { $0 } }

    /// Notes an answer.
    ///
    /// - Returns: what Redis has lost, by the claim's index; nil, as good as always, when nothing.
    func note(
        app: [UInt8],
        claims: [LimitClaim],
        states: [LimitState],
        isCharged: Bool,
        now: Int64
    ) -> [(claim: Int, amount: Int64)]? {
        table.withLock { table in
            var lost: [(claim: Int, amount: Int64)]?
            for index in claims.indices {
                let amount = table.note(app: app, claims[index], states[index], isCharged: isCharged, now: now)
                if let amount { lost = (lost ?? []) + [(index, amount)] }
            }
            return lost
        }
    }

    /// Notes charges of which some are about to be given back.
    func noteEnd(app: [UInt8], _ charges: [SettledCharge]) {
        table.withLock { table in
            for charge in charges { table.noteEnd(app: app, charge) }
        }
    }

    /// Notes what Redis has settled.
    func noteSettled(app: [UInt8], _ batch: SettlementBatch) {
        table.withLock { table in
            for (charge, used) in batch.charged { table.noteSettled(app: app, charge, used: used) }
        }
    }

    /// Takes out what this worker put into a counter.
    func takeCharges(app: [UInt8], _ claim: LimitClaim, isShared: Bool, windowID: Int64) -> Int64 {
        table.withLock { $0.takeCharges(app: app, claim, isShared: isShared, windowID: windowID) }
    }
}
