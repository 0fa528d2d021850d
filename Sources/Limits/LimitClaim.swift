// What a policy asks of a shared counter, and what the counter answered: the words that policies, the Lua
// scripts and the gateway use with each other.

/// How a limit's window moves.
public enum WindowAlgorithm: UInt8, Sendable {
    /// Windows that begin at multiples of their length since the Unix epoch, by Redis's clock.
    case fixedWindow = 0
}

/// What a limit counts.
public enum LimitUnit: UInt8, Sendable {
    /// One per request.
    case requests = 0
    /// Prompt and completion tokens: reserved as an estimate, settled to what the provider billed.
    case tokens = 1
}

/// One limit that a request must pass, and how much of it the request takes.
public struct LimitClaim: Sendable {
    /// Index of the rule in the request's effective list.
    public let rule: Int
    /// Names the counter within the app's hash slot: policy id and the `per` values, client text hashed.
    public let counter: [UInt8]
    /// The most that a window admits, 0...2⁵³ - 1: one more is still a Lua number that is exact.
    public let limit: Int64
    /// The window's length in milliseconds, whole seconds, 1,000...31 days.
    public let windowMilliseconds: Int64
    /// How the window moves.
    public let algorithm: WindowAlgorithm
    /// What is counted.
    public let unit: LimitUnit
    /// How much this request reserves: 1 request, or its estimated tokens; 0...2⁵³.
    public let cost: Int64
    /// Charged when it fits, as if it were enforced, but never refused: the rule is in shadow mode.
    public let isShadow: Bool

    /// Makes a claim.
    public init(
        rule: Int,
        counter: [UInt8],
        limit: Int64,
        windowMilliseconds: Int64,
        algorithm: WindowAlgorithm,
        unit: LimitUnit,
        cost: Int64,
        isShadow: Bool
    ) {
        self.rule = rule
        self.counter = counter
        self.limit = limit
        self.windowMilliseconds = windowMilliseconds
        self.algorithm = algorithm
        self.unit = unit
        self.cost = cost
        self.isShadow = isShadow
    }
}

/// Where a counter stands after a reservation, for response headers and for settling.
public struct LimitState: Equatable, Sendable {
    /// What the window still admits, 0...limit.
    public let remaining: Int64
    /// Milliseconds until the window ends, 0...its length.
    public let resetMilliseconds: Int64
    /// The window that was charged: its start divided by its length; settling changes this one only.
    public let windowID: Int64
    /// The claim did not fit: it refused the request or, in shadow mode, would have; it was not charged.
    public let isOver: Bool

    /// Makes a state.
    public init(remaining: Int64, resetMilliseconds: Int64, windowID: Int64, isOver: Bool = false) {
        self.remaining = remaining
        self.resetMilliseconds = resetMilliseconds
        self.windowID = windowID
        self.isOver = isOver
    }
}

/// The answer to a reservation.
public enum ReserveOutcome: Equatable, Sendable {
    /// Every claim was charged; one state per claim, in order.
    case admitted([LimitState])
    /// Nothing was charged: the claim at this index would have passed its limit. One state per claim, in order.
    case refused(claim: Int, [LimitState])
}
