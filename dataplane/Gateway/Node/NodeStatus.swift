// What a node says about itself: read by `/readyz`, the status page and the tests, written by its agent alone.

public import Reactor

/// Where the snapshot came from that a node enforces.
public enum SnapshotSource: String, Sendable {
    /// The last-known-good copy.
    case disk
    /// Redis.
    case redis
    /// The control plane.
    case control
}

/// One look at a node agent.
public struct NodeStatus: Sendable, Equatable {
    /// The version that is enforced; 0 before there is one.
    public var version: UInt64 = 0
    /// Its lineage, 32 hex digits; empty before there is one.
    public var lineage = ""
    /// The canary whose chunks are enforced, 32 hex digits; nil for none.
    public var canary: String?
    /// Keys that are refused although the snapshot admits them, until an admin confirms the lineage.
    public var heldRevocations = 0
    /// Whether another process reports under this node's id, as the control plane last said.
    public var isDuplicate = false
    /// When the control plane made it, in milliseconds since the Unix epoch.
    public var createdAt: Int64 = 0
    /// Where it came from.
    public var source: SnapshotSource?
    /// When Redis or the control plane last said that nothing newer exists.
    public var confirmedAt: MonotonicTime?
    /// Why the last snapshot was refused; nil when the head is what is enforced.
    public var refusal: String?
    /// Whether messages from Redis arrive.
    public var isFollowingRedis = false
    /// Whether the control plane's last answer was one.
    public var isControlReachable = false
    /// Nodes that serve, as the control plane last said.
    public var liveNodes = 1
    /// Snapshots that were taken over since the start.
    public var swaps: UInt64 = 0
    /// Snapshots that were refused since the start.
    public var nacks: UInt64 { nacksByClass.reduce(0, +) }
    /// The same, in the order of ``RefusalClass/allCases``.
    var nacksByClass = [UInt64](repeating: 0, count: RefusalClass.allCases.count)
    /// Reads of the head in Redis.
    public var headReads: UInt64 = 0
    /// Requests for the manifest at the control plane.
    public var polls: UInt64 = 0
    /// Reads of the head or a chunk in Redis that found it.
    public var redisHits: UInt64 = 0
    /// Reads of the head or a chunk in Redis that did not find it, or got no answer.
    public var redisMisses: UInt64 = 0
    /// Requests for the manifest or a chunk that the control plane answered.
    public var controlHits: UInt64 = 0
    /// Requests for the manifest or a chunk that it did not answer, or not with what was asked for.
    public var controlMisses: UInt64 = 0
    /// Chunks that were in memory when a snapshot named them.
    public var chunksFromMemory: UInt64 = 0
    /// Chunks read from Redis.
    public var chunksFromRedis: UInt64 = 0
    /// Chunks read from the control plane.
    public var chunksFromControl: UInt64 = 0
    /// Usage records that wait.
    public var usageQueued = 0
    /// Usage records that were dropped because too many waited, or because the control plane refused them.
    public var usageDropped: UInt64 = 0
    /// Usage records that the control plane acknowledged.
    public var usageShipped: UInt64 = 0
    /// Batches that were sent again.
    public var usageResends: UInt64 = 0

    /// Nothing known yet.
    public init() {}

    /// Whether requests may be served: a snapshot is enforced, however old.
    public var isReady: Bool { version > 0 }
}
