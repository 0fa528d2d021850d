// What a policy asks of a shared counter, and what the counter answered: the words that policies, the Lua
// scripts and the gateway use with each other.

/// How a limit counts; docs/limits.md says what each admits exactly.
public enum LimitAlgorithm: UInt8, Sendable, CaseIterable {
    /// Windows that begin at multiples of their length since the Unix epoch, by Redis's clock.
    case fixedWindow = 0
    /// Never more than the limit in any window of that length; what was taken counts for up to a 50th longer.
    case slidingWindow = 1
    /// A bucket that fills by the limit in each window, up to its burst.
    case tokenBucket = 2
    /// Requests in flight; no window.
    case concurrency = 3
}

/// What a limit counts.
public enum LimitUnit: UInt8, Sendable, CaseIterable {
    /// One per request.
    case requests = 0
    /// Prompt and completion tokens: reserved as an estimate, settled to what the provider billed.
    case tokens = 1
    /// One for as long as the request lasts; only with `LimitAlgorithm.concurrency`.
    case inFlight = 2
}

/// What becomes of a claim while Redis is out.
public enum OutageRule: UInt8, Sendable, CaseIterable {
    /// Each node admits its share of the last known remainder.
    case localShare = 0
    /// Nothing is admitted.
    case deny = 1
    /// All is admitted.
    case allow = 2

    /// The rule's name in configs.
    public var name: StaticString {
        switch self {
        case .localShare: "local_share"
        case .deny: "deny"
        case .allow: "allow"
        }
    }
}

/// How many counters of their own the values of a header may have, so that invented ones do not fill Redis.
public struct DistinctBound: Equatable, Sendable {
    /// The most new counters in one window; at least 1.
    public let max: Int64
    /// Names the counter that all further values share.
    public let sharedCounter: [UInt8]

    /// Makes a bound.
    public init(max: Int64, sharedCounter: [UInt8]) {
        self.max = max
        self.sharedCounter = sharedCounter
    }
}

/// One limit that a request must pass, and how much of it the request takes.
///
/// No two claims of a request have the same counter and algorithm.
public struct LimitClaim: Sendable {
    /// Index of the rule in the request's effective list.
    public let rule: Int
    /// Names the counter within the app's hash slot: policy id and the `per` values, client text hashed.
    public let counter: [UInt8]
    /// The most that a window admits, 0...2⁵³ - 1: one more is still a Lua number that is exact.
    public let limit: Int64
    /// The window's length in milliseconds, whole seconds, 1,000...31 days; 0 of concurrency.
    public let windowMilliseconds: Int64
    /// How it counts.
    public let algorithm: LimitAlgorithm
    /// What is counted.
    public let unit: LimitUnit
    /// How much this request reserves: 1 request, or its estimated tokens; 0...2⁵³.
    public let cost: Int64
    /// The most that a request may take and still fit at some time: of a token bucket its burst, else the limit.
    public let capacity: Int64
    /// Charged when it fits, as if it were enforced, but never refused: the rule is in shadow mode.
    public let isShadow: Bool
    /// Bounds the counters that clients can make; nil when only the configuration makes them.
    public let distinct: DistinctBound?
    /// What becomes of it while Redis is out.
    public let onRedisFailure: OutageRule

    /// Makes a claim; `burst` is what a full token bucket holds, nil (as for other algorithms) for the limit.
    public init(
        rule: Int,
        counter: [UInt8],
        limit: Int64,
        windowMilliseconds: Int64,
        algorithm: LimitAlgorithm,
        unit: LimitUnit,
        cost: Int64,
        burst: Int64? = nil,
        isShadow: Bool,
        distinct: DistinctBound? = nil,
        onRedisFailure: OutageRule = .localShare
    ) {
        self.rule = rule
        self.counter = counter
        self.limit = limit
        self.windowMilliseconds = windowMilliseconds
        self.algorithm = algorithm
        self.unit = unit
        self.cost = cost
        capacity = burst ?? limit
        self.isShadow = isShadow
        self.distinct = distinct
        self.onRedisFailure = onRedisFailure
    }

    /// Whether the charge can be returned after the request has left.
    ///
    /// Then it must be settled, and a node that dies gives it back with its lease. Requests of a window are final once
    /// they have left.
    public var isReturnable: Bool { unit != .requests }
}

/// Where a counter stands after a reservation, for response headers and for settling.
public struct LimitState: Equatable, Sendable {
    /// What is left, 0...capacity.
    public let remaining: Int64
    /// Milliseconds until all of it is free again; of a claim that did not fit, until it would have.
    ///
    /// Of a fixed window both are its end. Of concurrency it is a guess, since nobody knows when a request ends.
    public let resetMilliseconds: Int64
    /// The window that was charged; settling changes this one only.
    ///
    /// Of a fixed window its start divided by its length, of a sliding one the number of the 50th, else 0.
    public let windowID: Int64
    /// The claim did not fit: it refused the request or, in shadow mode, would have; it was not charged.
    public let isOver: Bool
    /// The counter that was asked is the one that values beyond the distinct bound share.
    public let isShared: Bool

    /// Makes a state.
    public init(
        remaining: Int64,
        resetMilliseconds: Int64,
        windowID: Int64,
        isOver: Bool = false,
        isShared: Bool = false
    ) {
        self.remaining = remaining
        self.resetMilliseconds = resetMilliseconds
        self.windowID = windowID
        self.isOver = isOver
        self.isShared = isShared
    }
}

/// The answer to a reservation.
public enum ReserveOutcome: Equatable, Sendable {
    /// Every claim was charged; one state per claim, in order.
    case admitted([LimitState])
    /// Nothing was charged: the claim at this index would have passed its limit. One state per claim, in order.
    case refused(claim: Int, [LimitState])
}
