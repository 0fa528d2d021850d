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
    }

    /// An app's counters by key.
    private var apps: [[UInt8]: [[UInt8]: Counter]] = [:]
    private var count = 0
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
    public var counterCount: Int { count }

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
        var states: [LimitState] = []
        states.reserveCapacity(claims.count)
        var keys: [[UInt8]] = []
        keys.reserveCapacity(claims.count)
        var refused: Int?
        for (index, claim) in claims.enumerated() {
            let (windowID, end) = Self.window(claim.windowMilliseconds, at: nowMilliseconds)
            let key = key(claim, app: app)
            let limit = Self.limit(claim.limit, share: share)
            var used = apps[app]?[key].flatMap { $0.windowID == windowID ? $0.used : nil } ?? 0
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
        for charge in charges {
            let key = CounterKey.make(
                app: [],
                counter: charge.counter,
                windowMilliseconds: charge.windowMilliseconds
            )
            guard let counter = apps[app]?[key], counter.windowID == charge.windowID else { continue }
            apps[app]?[key]?.used = max(0, Self.saturatingSum(counter.used, charge.delta))
        }
    }

    /// Forgets everything: Redis answers again and knows better.
    public mutating func removeAll() {
        apps = [:]
        count = 0
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

    private func key(_ claim: LimitClaim, app: [UInt8]) -> [UInt8] {
        let key = CounterKey.make(
            app: [],
            counter: claim.counter,
            windowMilliseconds: claim.windowMilliseconds
        )
        let counters = apps[app]
        guard counters?[key] == nil, count >= maxCounters || (counters?.count ?? 0) >= maxCountersPerApp else {
            return key
        }
        var overflow = Array("overflow:".utf8)
        Decimal.append(Int64(claim.rule % Self.maxOverflowPerApp), to: &overflow)
        return overflow
    }

    private mutating func charge(_ key: [UInt8], app: [UInt8], windowID: Int64, end: Int64, by cost: Int64) {
        var counter = apps[app]?[key]
        if counter == nil { count += 1 }
        if counter?.windowID != windowID { counter = nil }
        let used = Self.saturatingSum(counter?.used ?? 0, cost)
        apps[app, default: [:]][key] = Counter(windowID: windowID, used: used, end: end)
    }

    private mutating func sweep(now: Int64) {
        // The clock may be set back: a sweep far ahead is no sweep at all.
        guard now >= nextSweep || nextSweep - now > Self.sweepMilliseconds else { return }
        nextSweep = now + Self.sweepMilliseconds
        guard count >= maxCounters / 2 else { return }
        for app in Array(apps.keys) {
            guard let counters = apps[app] else { continue }
            let kept = counters.filter { $0.value.end > now }
            count -= counters.count - kept.count
            apps[app] = kept.isEmpty ? nil : kept
        }
    }

    private static func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard overflow else { return sum }
        return b > 0 ? .max : .min
    }
}
