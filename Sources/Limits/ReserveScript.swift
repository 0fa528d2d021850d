// The Swift side of schemas/redis/reserve.lua: what goes in, and what its reply means. The reply comes from another
// machine and is believed only within the bounds that the script can produce.

/// A reply that no script of ours gives: Redis is at fault, and the caller treats it as one that does not answer.
public enum LimitsError: Error, Equatable, Sendable {
    /// Not as many integers as claims need.
    case wrongCount
    /// A counter, a time or an index outside what is possible.
    case outOfBounds
}

/// Charges all claims of a request, or none.
public enum ReserveScript {
    /// The script's text.
    public static let source: [UInt8] = PackageResources.reserve_lua

    /// Counters are exact up to here, a Lua number's exact range; costs and limits are held to it.
    static let maxCount: Int64 = 1 << 53

    /// The most elements of a reply, for the connection's bound.
    public static func replyCount(claims: Int) -> Int { 2 + 2 * claims }

    /// The claims' counters, in order.
    public static func keys(app: [UInt8], claims: [LimitClaim]) -> [[UInt8]] {
        let keys = CounterKeys(app: app)
        return claims.map { keys.key(counter: $0.counter, windowMilliseconds: $0.windowMilliseconds) }
    }

    /// The script's arguments: cost, limit and window of each claim.
    public static func arguments(claims: [LimitClaim]) -> [[UInt8]] {
        var arguments: [[UInt8]] = []
        arguments.reserveCapacity(3 * claims.count)
        for claim in claims {
            // One below, so that the first count over the limit is a number that Lua can tell from it.
            let limit = min(clamped(claim.limit), maxCount - 1)
            arguments.append(Decimal.bytes(clamped(claim.cost)))
            arguments.append(Decimal.bytes(claim.isShadow ? -1 - limit : limit))
            arguments.append(Decimal.bytes(claim.windowMilliseconds))
        }
        return arguments
    }

    private static func clamped(_ value: Int64) -> Int64 { min(max(value, 0), maxCount) }

    /// What the script's reply says.
    ///
    /// - Parameters:
    ///   - integers: the reply, as it came.
    ///   - claims: the claims that were sent.
    /// - Returns: the outcome, each state within its claim's bounds.
    /// - Throws: when the script cannot have said it.
    public static func outcome(of integers: [Int64], claims: [LimitClaim]) throws(LimitsError) -> ReserveOutcome {
        guard integers.count == replyCount(claims: claims.count) else { throw .wrongCount }
        let refused = integers[0]
        let now = integers[1]
        guard (0...Int64(claims.count)).contains(refused), claims.isEmpty || (1...maxCount).contains(now) else {
            throw .outOfBounds
        }
        var states: [LimitState] = []
        states.reserveCapacity(claims.count)
        for (index, claim) in claims.enumerated() {
            let state = try state(used: integers[2 + 2 * index], last: integers[3 + 2 * index], now: now, claim)
            // An enforced claim that does not fit refuses, and only such a claim does.
            guard claim.isShadow || !state.isOver || refused > 0, refused != index + 1 || state.isOver else {
                throw .outOfBounds
            }
            states.append(state)
        }
        guard refused > 0 else { return .admitted(states) }
        let claim = Int(refused) - 1
        guard !claims[claim].isShadow else { throw .outOfBounds }
        return .refused(claim: claim, states)
    }

    private static func state(
        used encoded: Int64,
        last: Int64,
        now: Int64,
        _ claim: LimitClaim
    ) throws(LimitsError) -> LimitState {
        let isOver = encoded < 0
        // -1 - used: the complement, which cannot overflow.
        let used = isOver ? ~encoded : encoded
        guard used <= maxCount, last >= now, last - now < claim.windowMilliseconds, last < maxCount,
            (last + 1) % claim.windowMilliseconds == 0
        else { throw .outOfBounds }
        return LimitState(
            // A limit that was lowered during its window finds more used than it admits.
            remaining: max(0, claim.limit - used),
            resetMilliseconds: last + 1 - now,
            windowID: (last + 1) / claim.windowMilliseconds - 1,
            isOver: isOver
        )
    }
}
