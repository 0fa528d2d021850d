// The scripts that run in Redis, and one call of one. Who talks to Redis needs to know no more of a script than this.

/// A script of schemas/redis.
public enum LimitScript: Int, CaseIterable, Sendable {
    /// Charges fixed windows of requests.
    case reserve
    /// Charges any mix of counters, with a lease.
    case reserveAny
    /// Corrects charges and closes reservations.
    case settle
    /// Renews a node's lease, and gives back what dead nodes held.
    case renew
    /// Adds what a node admitted on its own.
    case merge

    /// The script's text.
    public var source: [UInt8] {
        switch self {
        case .reserve: PackageResources.reserve_lua
        case .reserveAny: PackageResources.counters_lua + PackageResources.reserve_any_lua
        case .settle: PackageResources.counters_lua + PackageResources.settle_lua
        case .renew: PackageResources.counters_lua + PackageResources.renew_lua
        case .merge: PackageResources.counters_lua + PackageResources.merge_lua
        }
    }
}

/// One call of a script: `EVALSHA <script> <count of keys> keys… arguments…`.
public struct ScriptCall: Equatable, Sendable {
    /// Which script.
    public let script: LimitScript
    /// What it touches, all in one app's slot.
    public let keys: [[UInt8]]
    /// What it is told.
    public let arguments: [[UInt8]]
}

/// A reply that no script of ours gives: Redis is at fault, and the caller treats it as one that does not answer.
public enum LimitsError: Error, Equatable, Sendable {
    /// Not as many integers as claims need.
    case wrongCount
    /// A counter, a time or an index outside what is possible.
    case outOfBounds
}
