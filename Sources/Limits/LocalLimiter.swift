// Limits while Redis does not answer: what was left of each when it went is divided among the live nodes, and each holds
// itself to its part. docs/limits.md states what that can admit too much, and when.
//
// The parts of one remainder add up to it (FleetPlace), so a fleet whose nodes knew the same admits what was left and
// no more; of a window that begins in the outage that is the limit itself. A counter that this node has not seen in its
// window counts as full: that is where too much may come from, in the window in which Redis went and in no other.
//
// The table is bounded twice, per app and in all. What does not fit shares a counter with the app's other such
// requests of the same rule, which admits less, never more; a client that invents header values to fill the table
// hurts its own app only.

/// What a node decides on its own.
public enum LocalOutcome: Equatable, Sendable {
    /// Every claim fits this node's share, or needs not; one state per claim, in order.
    case admitted([LimitState])
    /// Nothing was charged: the claim at this index passes this node's share. One state per claim, in order.
    case refused(claim: Int, [LimitState])
    /// Nothing was charged: the claim at this index is one of a rule that admits nothing without Redis.
    case unavailable(claim: Int)
}

/// Uses of one app's counters that travel to Redis together.
public struct MergeBatch: Sendable {
    fileprivate struct Part {
        let hash: UInt64
        let windowID: Int64
        let amount: Int64
    }

    /// Whose counters.
    public let app: [UInt8]
    /// What was admitted.
    public let uses: [LocalUse]
    fileprivate let parts: [Part]
}

/// Counts within one node.
///
/// Not for several threads at once; the workers of a node share one behind a lock.
public struct LocalLimiter: Sendable {
    /// The moment of a decision, as far as the limiter needs to know it.
    public struct Moment: Sendable {
        /// Milliseconds since the Unix epoch, by Redis's clock as far as it is known.
        public let now: Int64
        /// Which of how many nodes this is.
        public let place: FleetPlace

        /// Makes a moment.
        public init(now: Int64, place: FleetPlace) {
            self.now = max(now, 0)
            self.place = place
        }
    }

    private struct Count {
        var own = 0
        var overflow = 0
    }

    /// The counters that values of a header made in a window.
    private struct Distinct {
        var windowID: Int64
        var made: Int64
        var end: Int64
    }

    private var counters: [UInt64: LocalCounter] = [:]
    private var countsByApp: [[UInt8]: Count] = [:]
    /// By the hash of the counter that further values share: as many as there are policies with such a bound.
    private var distinct: [UInt64: Distinct] = [:]
    /// Counters with something to merge.
    private var unmerged: [[UInt8]: Set<UInt64>] = [:]
    private var nextSweep: Int64 = 0

    /// The most counters in all.
    public let maxCounters: Int
    /// The most counters of one app.
    public let maxCountersPerApp: Int

    /// Counters beyond the bounds that an app may have still, one for each policy that ran out of room.
    static let maxOverflowPerApp = 64
    /// Ended windows are swept out at most this often.
    static let sweepMilliseconds: Int64 = 1_000

    /// Makes an empty table; a counter takes about 400 bytes.
    public init(maxCounters: Int = 65_536, maxCountersPerApp: Int = 8_192) {
        self.maxCounters = maxCounters
        self.maxCountersPerApp = maxCountersPerApp
    }

    /// The counters in the table.
    public var counterCount: Int { counters.count }

    // MARK: Reserve

    /// Charges all claims within this node's share, or none.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claims: what the request takes.
    ///   - moment: when, and as which node.
    ///   - seen: what the node's workers last saw in Redis.
    /// - Returns: as the script in Redis would answer for limits of the share's size.
    public mutating func reserve(
        app: [UInt8],
        claims: [LimitClaim],
        at moment: Moment,
        seen: [SeenCounters]
    ) -> LocalOutcome {
        sweepIfCrowded(app: app, now: moment.now)
        var states: [LimitState] = []
        states.reserveCapacity(claims.count)
        var roomsBefore: [Int64] = []
        var charged: [(hash: UInt64, counter: LocalCounter)] = []
        var made: [UInt64] = []
        var refused: Int?
        for (index, claim) in claims.enumerated() {
            let cost = max(claim.cost, 0)
            let (line, newValue) = line(of: claim, app, at: moment, seen: seen)
            let (hash, isOverflow) = (line.hash, line.isOverflow)
            // Two claims on one counter, which only the overflow has: the second finds what the first takes.
            var counter =
                charged.last { $0.hash == hash }?.counter ?? counter(hash, app, claim, at: moment, seen: seen)
            (counter.isShared, counter.isOverflow) = (line.isShared, isOverflow)
            let room = counter.room(moment.place, hash: hash, now: moment.now)
            let isOver =
                switch claim.onRedisFailure {
                case .allow: false
                case .deny: true
                // In the overflow nobody would give it back.
                case .localShare: cost > room || isOverflow && claim.algorithm == .concurrency || !line.hasRoom
                }
            if isOver, !claim.isShadow, refused == nil { refused = index }
            states.append(
                LimitState(
                    remaining: isOver ? room : max(0, room.subtractingSaturating(cost)),
                    resetMilliseconds: counter.reset(moment.place, cost: cost, isOver: isOver, now: moment.now),
                    windowID: claim.algorithm.windowID(at: moment.now, windowMilliseconds: claim.windowMilliseconds),
                    isOver: isOver,
                    isShared: line.isShared
                )
            )
            roomsBefore.append(room)
            guard !isOver, line.hasRoom else { continue }
            if let newValue { made.append(newValue) }
            counter.charge(cost, now: moment.now)
            if claim.algorithm != .concurrency, !isOverflow {
                counter.unmerged = counter.unmerged.addingSaturating(cost)
            }
            charged.append((hash, counter))
        }
        if let refused {
            guard claims[refused].onRedisFailure != .deny else { return .unavailable(claim: refused) }
            return .refused(claim: refused, Self.uncharged(states, roomsBefore))
        }
        for (hash, counter) in charged { keep(counter, as: hash) }
        for shared in made { distinct[shared]?.made += 1 }
        return .admitted(states)
    }

    /// Where a claim is counted.
    private struct Line {
        let hash: UInt64
        var isShared = false
        var isOverflow = false
        var hasRoom = true
    }

    /// The counter of a claim, or the one that stands for it: of a value beyond the distinct bound the shared one, of
    /// what does not fit the table the policy's overflow.
    ///
    /// - Returns: also, for a value that is new, the shared counter of its policy.
    private mutating func line(
        of claim: LimitClaim,
        _ app: [UInt8],
        at moment: Moment,
        seen: [SeenCounters]
    ) -> (line: Line, newValue: UInt64?) {
        let own = CounterHash.of(app: app, claim)
        var line = Line(hash: own)
        var newValue: UInt64?
        if let bound = claim.distinct, claim.windowMilliseconds > 0, !isKnown(own, now: moment.now, seen) {
            let shared = CounterHash.of(app: app, claim, isShared: true)
            // Of those that Redis has counted nobody here knows, so that an outage may bring as many again.
            if made(of: claim, shared, now: moment.now) < max(1, moment.place.share(of: bound.max, turn: shared)) {
                newValue = shared
            } else {
                line = Line(hash: shared, isShared: true)
            }
        }
        guard counters[line.hash] == nil, !hasRoom(app: app) else { return (line, newValue) }
        let hash = CounterHash.overflow(app: app, claim)
        let hasRoom = counters[hash] != nil || countsByApp[app]?.overflow ?? 0 < Self.maxOverflowPerApp
        return (Line(hash: hash, isOverflow: true, hasRoom: hasRoom), nil)
    }

    /// Whether a value has a counter of its own, here or in Redis.
    private func isKnown(_ hash: UInt64, now: Int64, _ seen: [SeenCounters]) -> Bool {
        counters[hash].map { !$0.hasEnded(now: now) } ?? false || seen.contains { $0.knows(hash, now: now) }
    }

    private mutating func made(of claim: LimitClaim, _ shared: UInt64, now: Int64) -> Int64 {
        let window = claim.windowMilliseconds
        let windowID = LimitAlgorithm.fixedWindow.windowID(at: now, windowMilliseconds: window)
        if let known = distinct[shared], known.windowID == windowID { return known.made }
        distinct[shared] = Distinct(windowID: windowID, made: 0, end: (windowID + 1) * window)
        return 0
    }

    /// The states after a refusal: what fits was not charged either.
    private static func uncharged(_ states: [LimitState], _ rooms: [Int64]) -> [LimitState] {
        zip(states, rooms).map { state, room in
            guard !state.isOver else { return state }
            return LimitState(
                remaining: room,
                resetMilliseconds: state.resetMilliseconds,
                windowID: state.windowID,
                isShared: state.isShared
            )
        }
    }

    /// The counter as of now, whether it is in the table or not.
    private func counter(
        _ hash: UInt64,
        _ app: [UInt8],
        _ claim: LimitClaim,
        at moment: Moment,
        seen: [SeenCounters]
    ) -> LocalCounter {
        let standing = { (time: Int64) in
            SeenCounters.standing(hash, claim, now: moment.now, since: time, seen: seen)
        }
        let held = claim.algorithm == .concurrency ? seen.reduce(0) { $0 + $1.held(hash) } : 0
        guard var counter = counters[hash], counter.claim.algorithm == claim.algorithm else {
            var counter = LocalCounter(claim, app: app)
            counter.rebase(moment, hash: hash, standing(.min))
            counter.held = held
            return counter
        }
        counter.claim = claim
        counter.advance(moment.place, hash: hash, now: moment.now)
        // What Redis has said since is the better base, be it in a new outage or because this worker alone has no
        // connection just now; when it has said nothing, what is known here is still the best.
        if let standing = standing(counter.lastUsed) { counter.rebase(moment, hash: hash, standing) }
        counter.held = held
        return counter
    }

    private mutating func keep(_ counter: LocalCounter, as hash: UInt64) {
        if counters.updateValue(counter, forKey: hash) == nil { count(counter) }
        if counter.unmerged > counter.sending { unmerged[counter.app, default: []].insert(hash) }
    }

    private mutating func count(_ counter: LocalCounter) {
        if counter.isOverflow {
            countsByApp[counter.app, default: Count()].overflow += 1
        } else {
            countsByApp[counter.app, default: Count()].own += 1
        }
    }

    // MARK: Settle

    /// Corrects charges made here; a window that is over is left alone.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - charges: made from the states that `reserve` gave.
    ///   - moment: when, and as which node.
    /// - Returns: what Redis has been told already, and must be told to take back.
    public mutating func settle(app: [UInt8], charges: [SettledCharge], at moment: Moment) -> [SettledCharge] {
        var corrections: [SettledCharge] = []
        for charge in charges {
            let hash = Self.hash(of: charge, app)
            guard var counter = counters[hash], counter.claim.algorithm == charge.algorithm else { continue }
            counter.advance(moment.place, hash: hash, now: moment.now)
            guard charge.algorithm != .fixedWindow || counter.windowID == charge.windowID else { continue }
            counter.charge(charge.delta, grain: charge.windowID, now: moment.now)
            if charge.algorithm != .concurrency {
                let untold = max(0, counter.unmerged - counter.sending)
                let change = max(charge.delta, -untold)
                counter.unmerged = counter.unmerged.addingSaturating(change)
                if change != charge.delta {
                    corrections.append(SettledCharge(charge, delta: charge.delta - change))
                }
            }
            keep(counter, as: hash)
        }
        return corrections
    }

    // MARK: Merge

    /// Adds a use that Redis had been told and has forgotten.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claim: a claim on the counter, in fixed windows.
    ///   - isShared: it was counted in the counter that values beyond the distinct bound share.
    ///   - windowID: the window that was charged.
    ///   - amount: how much of it is lost.
    ///   - moment: when, and as which node.
    public mutating func owe(
        app: [UInt8],
        _ claim: LimitClaim,
        isShared: Bool,
        windowID: Int64,
        amount: Int64,
        at moment: Moment
    ) {
        let hash = CounterHash.of(app: app, claim, isShared: isShared)
        guard amount > 0, counters[hash] != nil || hasRoom(app: app) else { return }
        var counter = counter(hash, app, claim, at: moment, seen: [])
        guard counter.windowID == windowID else { return }
        counter.isShared = isShared
        counter.unmerged = counter.unmerged.addingSaturating(amount)
        keep(counter, as: hash)
    }

    /// Whether Redis has to be told of something.
    public var hasUnmerged: Bool { !unmerged.isEmpty }

    /// Takes uses of one app that Redis has not been told; each batch ends with `finish` or `giveBack`.
    ///
    /// - Parameters:
    ///   - maxUses: the most of one batch, 1...`MergeScript.maxUses`.
    ///   - moment: when, and as which node.
    /// - Returns: nil when there is nothing more to tell.
    public mutating func takeMerge(maxUses: Int, at moment: Moment) -> MergeBatch? {
        while let (app, hashes) = unmerged.first {
            var uses: [LocalUse] = []
            var parts: [MergeBatch.Part] = []
            for hash in hashes {
                guard uses.count < maxUses else { break }
                unmerged[app]?.remove(hash)
                guard var counter = counters[hash] else { continue }
                counter.advance(moment.place, hash: hash, now: moment.now)
                let amount = counter.mergeable(moment.place, hash: hash)
                if let use = LocalUse(
                    counter.claim,
                    isShared: counter.isShared,
                    windowID: counter.windowID,
                    used: amount
                ) {
                    uses.append(use)
                    parts.append(MergeBatch.Part(hash: hash, windowID: counter.windowID, amount: amount))
                    counter.sending += amount
                } else {
                    counter.unmerged = counter.sending
                }
                counters[hash] = counter
            }
            if unmerged[app]?.isEmpty ?? true { unmerged[app] = nil }
            if !uses.isEmpty { return MergeBatch(app: app, uses: uses, parts: parts) }
        }
        return nil
    }

    /// Redis has the batch.
    ///
    /// What was seen of its counters by `now` does not contain it.
    public mutating func finish(_ batch: MergeBatch, now: Int64) {
        for part in batch.parts {
            guard var counter = counters[part.hash], counter.isIn(part.windowID) else { continue }
            counter.sending = max(0, counter.sending - part.amount)
            counter.unmerged = max(counter.sending, counter.unmerged - part.amount)
            counter.noteMerged(now: now)
            counters[part.hash] = counter
        }
    }

    /// Forgets counters that say nothing any more.
    public mutating func sweep(now: Int64) {
        nextSweep = now + Self.sweepMilliseconds
        counters = counters.filter { !$0.value.hasEnded(now: now) }
        countsByApp = [:]
        for counter in counters.values { count(counter) }
        for (app, hashes) in unmerged {
            let kept = hashes.filter { counters[$0] != nil }
            unmerged[app] = kept.isEmpty ? nil : kept
        }
        distinct = distinct.filter { $0.value.end > now }
    }

    private mutating func sweepIfCrowded(app: [UInt8], now: Int64) {
        // The clock may be set back: a sweep far ahead is no sweep at all.
        guard now >= nextSweep || nextSweep - now > Self.sweepMilliseconds,
            counters.count >= maxCounters / 2 || !hasRoom(app: app)
        else { return }
        sweep(now: now)
    }

    private func hasRoom(app: [UInt8]) -> Bool {
        counters.count < maxCounters && countsByApp[app]?.own ?? 0 < maxCountersPerApp
    }

    private static func hash(of charge: SettledCharge, _ app: [UInt8]) -> UInt64 {
        CounterHash.of(
            app: app,
            charge.algorithm,
            counter: charge.counter,
            windowMilliseconds: charge.windowMilliseconds
        )
    }
}
