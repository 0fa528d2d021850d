// When a refused request is worth sending again: what `retry-after`, `retry-after-ms` and `x-should-retry` tell SDKs.

/// The hint that goes with a refusal.
public struct RetryAfter: Equatable, Sendable {
    /// Milliseconds until every limit that refused would admit the request, as far as is known; at least 1.
    public let milliseconds: Int64
    /// Whether waiting that long is reasonable and can help.
    ///
    /// Not when it is longer than SDKs bear, and not when the request alone takes more than a whole window admits.
    public let isWorthRetrying: Bool

    /// SDKs ignore longer hints, or sleep through their own deadline.
    public static let longestMilliseconds: Int64 = 60_000

    /// The hint in whole seconds, never too early.
    public var seconds: Int64 { (milliseconds + 999) / 1_000 }

    /// Makes the hint of a refusal.
    ///
    /// - Parameters:
    ///   - claims: what was asked for.
    ///   - states: what `refused` gave, one per claim.
    public init(claims: [LimitClaim], states: [LimitState]) {
        precondition(claims.count == states.count, "a refusal has one state per claim")
        var milliseconds: Int64 = 1
        var canHelp = true
        for (claim, state) in zip(claims, states) where state.isOver && !claim.isShadow {
            milliseconds = max(milliseconds, state.resetMilliseconds)
            canHelp = canHelp && claim.cost <= claim.capacity
        }
        self.milliseconds = milliseconds
        isWorthRetrying = canHelp && milliseconds <= Self.longestMilliseconds
    }
}
