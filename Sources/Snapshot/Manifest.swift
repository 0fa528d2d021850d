// The signed page that makes a set of chunks a snapshot: whoever holds it knows every byte of the rest.

public import Secrets

/// What a chunk holds.
public enum ChunkKind: UInt8, Sendable, CaseIterable {
    /// Providers and models.
    case routes = 1
    /// Policies.
    case policies = 2
    /// Apps with their keys.
    case apps = 3
}

/// One chunk as the manifest or a page names it.
public struct ChunkReference: Sendable, Equatable {
    /// What it holds, or what the leaves under it hold.
    public let kind: ChunkKind
    /// Where it is in the tree of its kind.
    let place: TreePlace
    /// SHA-256 of its bytes: its address.
    public let digest: Digest
    /// Its bytes.
    public let size: Int
    /// Records in it or in the leaves under it; 0 for `routes`.
    public let records: Int
    /// Bytes of those records; 0 for `routes`.
    public let recordBytes: Int

    /// Whether it names further chunks in place of holding records.
    public var isPage: Bool {
        kind != .routes && !TreeShape.isLeaf(records: records, bytes: recordBytes, depth: place.depth)
    }

    /// `routes`, `policies` or `apps`, then `/` and the hex digits of its place unless it is the root.
    public var name: String {
        switch kind {
        case .routes: "routes"
        case .policies: "policies" + place.suffix
        case .apps: "apps" + place.suffix
        }
    }
}

/// A snapshot's manifest, after its signature was found right.
public struct Manifest: Sendable, Equatable {
    /// The format that this build writes.
    public static let currentFormat: UInt8 = 2

    /// The layout's number.
    public let format: UInt8
    /// The history that the version counts in, 32 hex digits; another one after a database was restored.
    public let lineage: String
    /// Counts the changes of its lineage from 1, without gaps.
    public let version: UInt64
    /// When it was compiled, in milliseconds since the Unix epoch.
    public let createdAt: Int64
    /// Fingerprint of what compiled programs rely on; empty while no kind relies on anything.
    public let environment: [UInt8]
    /// Where providers and models are.
    public let routes: ChunkReference
    /// The root of the policies' tree.
    public let policies: ChunkReference
    /// The root of the apps' tree.
    public let apps: ChunkReference
    /// The id of the key that signed.
    public let signingKeyID: [UInt8]
    /// Ed25519 over all bytes before it.
    public let signature: [UInt8]

    /// Whether a node that enforces `current` may go on to this one: never back within one lineage.
    public func mayReplace(version current: UInt64, lineage currentLineage: String) -> Bool {
        lineage != currentLineage || version > current
    }
}
