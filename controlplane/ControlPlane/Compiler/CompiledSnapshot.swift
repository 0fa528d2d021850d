// One version of the configuration, compiled: what is given to nodes, and what the next version is made from.

import Secrets
import Snapshot

/// A compiled configuration.
struct CompiledSnapshot: Sendable {
    let lineage: String
    let version: UInt64
    /// When its version was made, in milliseconds since the Unix epoch.
    let createdAt: Int64
    let encoded: EncodedSnapshot
    /// What a share of the nodes enforces in place of some of its policies; nil while no canary is open.
    let canary: CompiledCanary?
    /// false after a restore, until an admin has looked at it.
    let isLineageConfirmed: Bool
    /// The chunks, to be changed into those of the next version.
    let image: SnapshotImage
    /// The scopes of the policies of single apps and keys, which go when their app does.
    let scopes: [String: PolicyScope]
    let counts: Counts
    let compileMicroseconds: Int64
    /// Made from the version before, not from all rows.
    let isIncremental: Bool

    /// How much it holds.
    struct Counts: Sendable {
        var apps: Int
        var keys: Int
        var policies: Int
        var providers: Int
        var models: Int
    }

    /// Its chunks and those of its canary.
    var allChunks: [Digest: [UInt8]] {
        guard let canary else { return encoded.chunks }
        return encoded.chunks.merging(canary.encoded.chunks) { chunk, _ in chunk }
    }

    /// What names it in the `weir:{snapshot}:position` key and on the channel.
    var position: String { "\(lineage) \(version)" }
}

/// A canary's side of a snapshot.
struct CompiledCanary: Sendable {
    let id: String
    let threshold: UInt64
    let encoded: EncodedCanary

    /// Whether a node enforces it.
    func includes(nodeID: String) -> Bool { SnapshotCanary.rank(of: nodeID, id: id) <= threshold }
}

/// A row that cannot be enforced; the last good snapshot stays.
struct CompileError: Error, Sendable {
    let resource: String
    let id: String
    let reason: String
}
