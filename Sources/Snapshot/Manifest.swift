// The signed page that makes a set of chunks a snapshot: whoever holds it knows every byte of the rest.

public import Secrets

/// What a chunk holds.
public enum ChunkKind: UInt8, Sendable, CaseIterable {
    /// Providers and models.
    case routes = 1
    /// A bucket of policies.
    case policies = 2
    /// A bucket of apps with their keys.
    case apps = 3
}

/// One chunk as the manifest names it.
public struct ChunkReference: Sendable, Equatable {
    /// What it holds.
    public let kind: ChunkKind
    /// Which bucket of its kind; 0 for `routes`.
    public let bucket: Int
    /// SHA-256 of its bytes: its address.
    public let digest: Digest
    /// Its bytes.
    public let size: Int

    /// `routes`, `policies/<bucket>` or `apps/<bucket>`.
    public var name: String {
        switch kind {
        case .routes: "routes"
        case .policies: "policies/\(bucket)"
        case .apps: "apps/\(bucket)"
        }
    }
}

/// A snapshot's manifest, after its signature was found right.
public struct Manifest: Sendable, Equatable {
    /// The format that this build writes.
    public static let currentFormat: UInt8 = 1

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
    /// Over how many buckets policies and apps are spread.
    public let bucketCounts: BucketCounts
    /// All chunks: routes, the buckets of policies, the buckets of apps.
    ///
    /// Empty buckets share one digest, so there are fewer distinct chunks than entries here.
    public let chunks: [ChunkReference]
    /// The id of the key that signed.
    public let signingKeyID: [UInt8]
    /// Ed25519 over all bytes before it.
    public let signature: [UInt8]

    /// Whether a node that enforces `current` may go on to this one: never back within one lineage.
    public func mayReplace(version current: UInt64, lineage currentLineage: String) -> Bool {
        lineage != currentLineage || version > current
    }
}
