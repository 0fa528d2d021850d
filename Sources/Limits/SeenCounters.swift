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
        /// of them is known when they are settled.
        var net: Int64
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
        guard claim.algorithm == .fixedWindow else {
            counters[hash] = seen
            return nil
        }
        let before = known.flatMap { $0.windowID == state.windowID ? $0.net : nil } ?? 0
        // A counter at its limit or over it shows no more than that.
        let shortfall = state.remaining > 0 ? before + charged - (claim.limit - state.remaining) : 0
        seen.net = (shortfall > 0 ? 0 : before) + (claim.isReturnable ? 0 : charged)
        counters[hash] = seen
        return shortfall > 0 ? shortfall : nil
    }

    /// Notes that a charge that was final is about to be given back.
    public mutating func noteRelease(app: [UInt8], _ charge: SettledCharge) {
        guard !charge.isOfTokens else { return }
        change(app, charge, by: charge.delta)
    }

    /// Notes that Redis has settled a reservation: what was used stays in the counter.
    public mutating func noteSettled(app: [UInt8], _ charge: SettledCharge, used: Int64) {
        change(app, charge, by: used)
    }

    private mutating func change(_ app: [UInt8], _ charge: SettledCharge, by amount: Int64) {
        guard charge.algorithm == .fixedWindow, amount != 0 else { return }
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

    /// What was left of a counter.
    ///
    /// - Parameters:
    ///   - hash: the counter's.
    ///   - claim: a claim on it.
    ///   - now: milliseconds since the Unix epoch by Redis's clock.
    ///   - time: what was seen by then is known better.
    /// - Returns: nil when nothing is known of the current window.
    func remaining(_ hash: UInt64, _ claim: LimitClaim, now: Int64, since time: Int64) -> Int64? {
        guard let seen = counters[hash], seen.end > now, seen.at > time else { return nil }
        switch claim.algorithm {
        case .fixedWindow:
            let current = LimitAlgorithm.fixedWindow.windowID(at: now, windowMilliseconds: claim.windowMilliseconds)
            return seen.windowID == current ? seen.remaining : nil
        case .slidingWindow, .concurrency:
            return seen.remaining
        case .tokenBucket:
            let rate = BucketRate(claim)
            let (gained, overflows) = max(0, now - seen.at).multipliedReportingOverflow(by: rate.refill)
            guard !overflows else { return claim.capacity }
            return min(claim.capacity, seen.remaining + gained / rate.price)
        }
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
        counters = counters.filter { $0.value.end > now }
        return counters.count < maxCounters
    }
}
