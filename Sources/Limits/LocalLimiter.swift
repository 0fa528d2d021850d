// Limits while Redis does not answer: each node admits its share, so that all together admit about the limit.
//
// A share is limit ÷ live nodes, rounded down but at least 1: with a limit below the number of nodes an app would
// otherwise be shut out for as long as Redis is. One node cut off from Redis overshoots by at most its share.
//
// The table is bounded twice, per app and in all. What does not fit shares a counter with the app's other such
// requests of the same rule, which admits less, never more; a client that invents header values to fill the table
// hurts its own app only.

/// Counts within one node.
///
/// Confined to the loop that owns it.
public struct LocalLimiter: Sendable {
    private struct Counter {
        var windowID: Int64
        var used: Int64
        /// When the window is over, milliseconds since the Unix epoch.
        var end: Int64
        /// Whose it is, for the bound per app.
        let app: [UInt8]
    }

    /// By the names that the counters have in Redis.
    private var counters: [[UInt8]: Counter] = [:]
    private var countsByApp: [[UInt8]: Int] = [:]
    private var nextSweep: Int64 = 0

    /// The most counters in all.
    public let maxCounters: Int
    /// The most counters of one app.
    public let maxCountersPerApp: Int

    /// Counters beyond the bounds that an app may have still, one for each rule that ran out of room.
    static let maxOverflowPerApp = 64
    /// Ended windows are swept out at most this often.
    static let sweepMilliseconds: Int64 = 1_000

    /// Makes an empty table; a counter takes about 150 bytes.
    public init(maxCounters: Int = 65_536, maxCountersPerApp: Int = 8_192) {
        self.maxCounters = maxCounters
        self.maxCountersPerApp = maxCountersPerApp
    }

    /// The counters in the table.
    public var counterCount: Int { counters.count }

    /// Charges all claims within this node's share, or none.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claims: what the request takes.
    ///   - share: among how many live nodes the limits are divided; less than 1 counts as 1.
    ///   - nowMilliseconds: wall clock time since the Unix epoch.
    /// - Returns: as the script in Redis would answer for limits of the share's size.
    public mutating func reserve(
        app: [UInt8],
        claims: [LimitClaim],
        share: Int,
        nowMilliseconds: Int64
    ) -> ReserveOutcome {
        sweep(now: nowMilliseconds)
        let names = CounterKeys(app: app)
        var states: [LimitState] = []
        states.reserveCapacity(claims.count)
        var keys: [[UInt8]] = []
        keys.reserveCapacity(claims.count)
        var refused: Int?
        for (index, claim) in claims.enumerated() {
            let (windowID, end) = Self.window(claim.windowMilliseconds, at: nowMilliseconds)
            var key = names.key(claim.algorithm, counter: claim.counter, windowMilliseconds: claim.windowMilliseconds)
            var counter = counters[key]
            if counter == nil, !hasRoom(app: app) {
                key = Self.overflowKey(claim, app: app)
                counter = counters[key]
            }
            let limit = Self.limit(claim.limit, share: share)
            var used = counter.flatMap { $0.windowID == windowID ? $0.used : nil } ?? 0
            // Two claims on one counter, which only the overflow has: the second finds what the first takes.
            for earlier in 0..<index where keys[earlier] == key && !states[earlier].isOver {
                used = Self.saturatingSum(used, claims[earlier].cost)
            }
            let isOver = Self.saturatingSum(used, max(claim.cost, 0)) > limit
            if isOver, !claim.isShadow, refused == nil { refused = index }
            keys.append(key)
            states.append(
                LimitState(
                    remaining: max(0, limit - used - (isOver ? 0 : max(claim.cost, 0))),
                    resetMilliseconds: end - nowMilliseconds,
                    windowID: windowID,
                    isOver: isOver
                )
            )
        }
        if let refused {
            return .refused(claim: refused, uncharged(states, claims, share: share))
        }
        for index in claims.indices where !states[index].isOver {
            let claim = claims[index]
            let (windowID, end) = Self.window(claim.windowMilliseconds, at: nowMilliseconds)
            charge(keys[index], app: app, windowID: windowID, end: end, by: max(claim.cost, 0))
        }
        return .admitted(states)
    }

    /// Corrects charges made here; a window that is over is left alone.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - charges: made from the states that `reserve` gave.
    public mutating func settle(app: [UInt8], charges: [SettledCharge]) {
        let names = CounterKeys(app: app)
        for charge in charges {
            let key = names.key(
                charge.algorithm,
                counter: charge.counter,
                windowMilliseconds: charge.windowMilliseconds
            )
            guard let counter = counters[key], counter.windowID == charge.windowID else { continue }
            counters[key]?.used = max(0, Self.saturatingSum(counter.used, charge.delta))
        }
    }

    /// Forgets everything: Redis answers again and knows better.
    public mutating func removeAll() {
        counters = [:]
        countsByApp = [:]
    }

    // MARK: Counting

    private static func limit(_ limit: Int64, share: Int) -> Int64 {
        limit > 0 ? max(1, limit / Int64(max(share, 1))) : 0
    }

    /// Euclidean, so that a clock before 1970 gives windows too.
    private static func window(_ milliseconds: Int64, at now: Int64) -> (id: Int64, end: Int64) {
        let length = max(milliseconds, 1)
        let id = now >= 0 ? now / length : (now - length + 1) / length
        return (id, (id + 1) * length)
    }

    /// The states after a refusal: what fits was not charged either.
    private func uncharged(_ states: [LimitState], _ claims: [LimitClaim], share: Int) -> [LimitState] {
        zip(states, claims).map { state, claim in
            guard !state.isOver else { return state }
            return LimitState(
                remaining: min(Self.limit(claim.limit, share: share), state.remaining + max(claim.cost, 0)),
                resetMilliseconds: state.resetMilliseconds,
                windowID: state.windowID
            )
        }
    }

    private func hasRoom(app: [UInt8]) -> Bool {
        counters.count < maxCounters && countsByApp[app] ?? 0 < maxCountersPerApp
    }

    /// The counter that an app's claims share when the table is full; no name in Redis begins like it.
    private static func overflowKey(_ claim: LimitClaim, app: [UInt8]) -> [UInt8] {
        var key = Array("overflow:".utf8)
        Decimal.append(Int64(claim.rule % maxOverflowPerApp), to: &key)
        key.append(UInt8(ascii: ":"))
        key += app
        return key
    }

    private mutating func charge(_ key: [UInt8], app: [UInt8], windowID: Int64, end: Int64, by cost: Int64) {
        let made = Counter(windowID: windowID, used: cost, end: end, app: app)
        let counter = counters[key]
        if counter == nil { countsByApp[app, default: 0] += 1 }
        guard let counter, counter.windowID == windowID else {
            counters[key] = made
            return
        }
        counters[key]?.used = Self.saturatingSum(counter.used, cost)
    }

    private mutating func sweep(now: Int64) {
        // The clock may be set back: a sweep far ahead is no sweep at all.
        guard now >= nextSweep || nextSweep - now > Self.sweepMilliseconds else { return }
        nextSweep = now + Self.sweepMilliseconds
        guard counters.count >= maxCounters / 2 else { return }
        counters = counters.filter { $0.value.end > now }
        countsByApp = [:]
        for counter in counters.values { countsByApp[counter.app, default: 0] += 1 }
    }

    private static func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard overflow else { return sum }
        return b > 0 ? .max : .min
    }
}
