// A token bucket in whole numbers. A limit of L tokens in W ms is L/W tokens each ms; in units of 1/W token that is L
// units each ms, and a token is W units. With what L and W have in common taken out of both, the numbers stay small:
// a billion a day is 625 units each ms at 54 units a token. Nothing is rounded, so nothing is lost over a year.

/// How a bucket fills and what a token costs, in its units.
public struct BucketRate: Equatable, Sendable {
    /// Units that each millisecond adds, at least 1.
    public let refill: Int64
    /// Units of one token, at least 1.
    public let price: Int64
    /// Units of a full bucket, up to 2⁵³: beyond it a Lua number is not exact.
    public let capacity: Int64

    /// Makes the rate of a limit; nil when a full bucket is more than can be counted exactly.
    ///
    /// - Parameters:
    ///   - limit: tokens that a window adds, at least 1.
    ///   - windowMilliseconds: the window's length, at least 1.
    ///   - burst: tokens of a full bucket, at least 1.
    public init?(limit: Int64, windowMilliseconds: Int64, burst: Int64) {
        guard limit > 0, windowMilliseconds > 0, burst > 0 else { return nil }
        let divisor = Self.greatestCommonDivisor(limit, windowMilliseconds)
        refill = limit / divisor
        price = windowMilliseconds / divisor
        let (capacity, overflows) = burst.multipliedReportingOverflow(by: price)
        guard !overflows, capacity <= ReserveScript.maxCount, refill <= ReserveScript.maxCount else { return nil }
        self.capacity = capacity
    }

    /// The rate of a claim whose config was validated.
    init(_ claim: LimitClaim) {
        let rate = BucketRate(limit: claim.limit, windowMilliseconds: claim.windowMilliseconds, burst: claim.capacity)
        guard let rate else { preconditionFailure("a token bucket's config is validated") }
        self = rate
    }

    private static func greatestCommonDivisor(_ a: Int64, _ b: Int64) -> Int64 {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}
