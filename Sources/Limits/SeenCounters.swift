// What Redis last said of each counter: when it stops answering, what is left of a limit is divided among the nodes, and
// this is what each of them knows of it. Also tells that counters were lost (FLUSHALL, a failover, an eviction): a
// counter below what this very worker put into it has forgotten something.

/// The last known standing of the counters that one worker asks.
///
/// Bounded: a counter for which there is no room counts as never seen. Costs one hash and one look-up a claim.
public struct SeenCounters: Sendable {
    private struct Seen {
        var windowID: Int64
        var remaining: Int64
        /// By Redis's clock.
        var at: Int64
        /// Of a fixed window what this worker charged for good: at least so much must be in the counter.
        ///
        /// Estimates of open reservations are no part of it: a lease that lapses takes them out again, and what becomes
        /// of them is known when they are settled. Of concurrency the places that this worker's requests hold now.
        var net: Int64
        /// Of concurrency `net` when `remaining` was seen.
        var held: Int64 = 0
        /// When it says nothing any more.
        var end: Int64
    }

    private var counters: [UInt64: Seen] = [:]
    private var nextSweep: Int64 = 0
    private let maxCounters: Int

    /// How long the number of requests in flight is believed.
    static let concurrencyMilliseconds: Int64 = 10_000

    /// Makes an empty table; a counter takes about 100 bytes.
    public init(maxCounters: Int = 16_384) {
        self.maxCounters = maxCounters
    }

    /// The counters in the table.
    public var counterCount: Int { counters.count }

    /// Notes one state of an answer.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claim: what was asked.
    ///   - state: what Redis answered.
    ///   - isCharged: the reservation was admitted.
    ///   - now: milliseconds since the Unix epoch by Redis's clock.
    /// - Returns: by how much the counter is below what this worker must have in it; nil, as good as always, when not.
    public mutating func note(
        app: [UInt8],
        _ claim: LimitClaim,
        _ state: LimitState,
        isCharged: Bool,
        now: Int64
    ) -> Int64? {
        let hash = CounterHash.of(app: app, claim, isShared: state.isShared)
        let charged = isCharged && !state.isOver ? max(claim.cost, 0) : 0
        let known = counters[hash]
        if known == nil, counters.count >= maxCounters, !sweep(now: now) { return nil }
        var seen = Seen(windowID: state.windowID, remaining: state.remaining, at: now, net: 0, end: 0)
        seen.end = Self.end(claim, state, now: now)
        switch claim.algorithm {
        case .slidingWindow, .tokenBucket:
            counters[hash] = seen
            return nil
        case .concurrency:
            seen.net = (known?.net ?? 0) + charged
            seen.held = seen.net
            counters[hash] = seen
            return nil
        case .fixedWindow: break
        }
        let before = known.flatMap { $0.windowID == state.windowID ? $0.net : nil } ?? 0
        // A counter at its limit or over it shows no more than that.
        let shortfall = state.remaining > 0 ? before + charged - (claim.limit - state.remaining) : 0
        seen.net = (shortfall > 0 ? 0 : before) + (claim.isReturnable ? 0 : charged)
        counters[hash] = seen
        return shortfall > 0 ? shortfall : nil
    }

    /// Notes that a charge is about to be given back which was final, or a place in flight.
    public mutating func noteEnd(app: [UInt8], _ charge: SettledCharge) {
        guard !charge.isOfTokens else { return }
        change(app, charge, by: charge.delta)
    }

    /// Notes that Redis takes back a part of what was merged.
    public mutating func noteCorrection(app: [UInt8], _ charge: SettledCharge) {
        change(app, charge, by: charge.delta)
    }

    /// Notes what Redis was told of a fixed window by a merge: it must be in the counter as well.
    public mutating func noteMerged(app: [UInt8], _ use: LocalUse, now: Int64) {
        guard use.algorithm == .fixedWindow else { return }
        let hash = CounterHash.of(
            app: app,
            use.algorithm,
            counter: use.counter,
            windowMilliseconds: use.windowMilliseconds
        )
        var seen = counters[hash]
        if seen == nil, counters.count >= maxCounters, !sweep(now: now) { return }
        if seen?.windowID != use.windowID {
            let end = (use.windowID + 1) * use.windowMilliseconds
            seen = Seen(windowID: use.windowID, remaining: 0, at: now, net: 0, end: end)
        }
        seen?.net += use.used
        counters[hash] = seen
    }

    /// Notes that Redis has settled a reservation: what was used stays in the counter.
    public mutating func noteSettled(app: [UInt8], _ charge: SettledCharge, used: Int64) {
        change(app, charge, by: used)
    }

    private mutating func change(_ app: [UInt8], _ charge: SettledCharge, by amount: Int64) {
        guard charge.algorithm == .fixedWindow || charge.algorithm == .concurrency, amount != 0 else { return }
        let hash = CounterHash.of(
            app: app,
            charge.algorithm,
            counter: charge.counter,
            windowMilliseconds: charge.windowMilliseconds
        )
        guard let seen = counters[hash], seen.windowID == charge.windowID else { return }
        counters[hash]?.net = max(0, seen.net.addingSaturating(amount))
    }

    /// Takes out what this worker put into a counter, when Redis has forgotten it.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claim: a claim on the counter.
    ///   - isShared: it was counted in the counter that values beyond the distinct bound share.
    ///   - windowID: the window in question.
    /// - Returns: how much that was.
    public mutating func takeCharges(app: [UInt8], _ claim: LimitClaim, isShared: Bool, windowID: Int64) -> Int64 {
        let hash = CounterHash.of(app: app, claim, isShared: isShared)
        guard let seen = counters[hash], seen.windowID == windowID else { return 0 }
        counters[hash]?.net = 0
        return seen.net
    }

    /// What one worker knows of a counter.
    struct Standing {
        /// What was left of it for the whole fleet.
        var remaining: Int64
        /// When that was seen, by Redis's clock.
        let at: Int64
        /// When it says nothing any more.
        let end: Int64
        /// Of concurrency, the places that requests of this worker, later of this node, held then.
        var held: Int64
    }

    /// What was left of a counter.
    ///
    /// - Parameters:
    ///   - hash: the counter's.
    ///   - claim: a claim on it.
    ///   - now: milliseconds since the Unix epoch by Redis's clock.
    ///   - time: what was seen by then is known better.
    /// - Returns: nil when nothing is known of the current window.
    func standing(_ hash: UInt64, _ claim: LimitClaim, now: Int64, since time: Int64) -> Standing? {
        guard let seen = counters[hash], seen.end > now, seen.at > time else { return nil }
        var standing = Standing(remaining: seen.remaining, at: seen.at, end: seen.end, held: seen.held)
        switch claim.algorithm {
        case .fixedWindow:
            let current = LimitAlgorithm.fixedWindow.windowID(at: now, windowMilliseconds: claim.windowMilliseconds)
            return seen.windowID == current ? standing : nil
        case .slidingWindow, .concurrency:
            return standing
        case .tokenBucket:
            let rate = BucketRate(claim)
            let (gained, overflows) = max(0, now - seen.at).multipliedReportingOverflow(by: rate.refill)
            standing.remaining = overflows ? claim.capacity : min(claim.capacity, seen.remaining + gained / rate.price)
            return standing
        }
    }

    /// Whether a counter was seen in Redis lately.
    func knows(_ hash: UInt64, now: Int64) -> Bool { counters[hash].map { $0.end > now } ?? false }

    /// The places of a counter of concurrency that requests of this worker hold in Redis.
    func held(_ hash: UInt64) -> Int64 { counters[hash]?.net ?? 0 }

    /// What a node knows of a counter: what its workers saw last.
    static func standing(
        _ hash: UInt64,
        _ claim: LimitClaim,
        now: Int64,
        since time: Int64,
        seen: [SeenCounters]
    ) -> Standing? {
        var newest: (index: Int, standing: Standing)?
        for (index, table) in seen.enumerated() {
            guard let standing = table.standing(hash, claim, now: now, since: time) else { continue }
            if let known = newest?.standing {
                guard standing.at > known.at || standing.at == known.at && standing.remaining < known.remaining else {
                    continue
                }
            }
            newest = (index, standing)
        }
        guard let index = newest?.index, var standing = newest?.standing else { return nil }
        if claim.algorithm == .concurrency {
            // What the other workers held at that moment nobody knows; what they gave back since is too little by it.
            for (other, table) in seen.enumerated() where other != index { standing.held += table.held(hash) }
        }
        return standing
    }

    private static func end(_ claim: LimitClaim, _ state: LimitState, now: Int64) -> Int64 {
        switch claim.algorithm {
        case .fixedWindow: (state.windowID + 1) * claim.windowMilliseconds
        case .slidingWindow: now + claim.windowMilliseconds + claim.windowMilliseconds / ReserveScript.grains
        case .tokenBucket: now + min(state.resetMilliseconds, 31 * 86_400_000) + 1
        case .concurrency: now + concurrencyMilliseconds
        }
    }

    /// Takes out what has ended, at most once a second; false when there is no room still.
    private mutating func sweep(now: Int64) -> Bool {
        // The clock may be set back: a sweep far ahead is no sweep at all.
        guard now >= nextSweep || nextSweep - now > 1_000 else { return false }
        nextSweep = now + 1_000
        counters = counters.filter { $0.value.end > now || $0.value.held > 0 && $0.value.net > 0 }
        return counters.count < maxCounters
    }
}
