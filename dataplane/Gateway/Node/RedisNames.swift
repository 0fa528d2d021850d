// The names in Redis under which snapshots are found; `schemas/snapshot.md` has them too.

import Secrets

/// Keys and channels of snapshots.
enum RedisNames {
    /// Holds the manifest of the newest snapshot.
    static let head: [UInt8] = Array("weir:{snapshot}:head".utf8)
    /// Holds the notice of the canary that goes with the head, if there is one.
    static let canary: [UInt8] = Array("weir:{snapshot}:canary".utf8)
    /// Announces `<lineage hex> <version>`.
    static let channel: [UInt8] = Array("weir:head".utf8)

    /// Holds one chunk.
    static func chunk(_ digest: Digest) -> [UInt8] { Array("weir:{snapshot}:chunk:\(digest.hex)".utf8) }
}
