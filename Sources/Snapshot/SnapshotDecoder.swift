// Reads snapshots that anybody may have put into Redis or onto the disk. The signature is checked over the whole
// manifest before a field of it is believed, each chunk against its digest before it is read, and every length
// against its bound before anything is allocated.

internal import Codec
public import Secrets

/// Reads and verifies snapshots.
public enum SnapshotDecoder {
    /// Reads a manifest.
    ///
    /// - Parameters:
    ///   - bytes: from anywhere.
    ///   - verifyingKey: the only key that is trusted.
    ///   - environment: the fingerprint that this build has.
    /// - Returns: the manifest, which the key's owner made.
    /// - Throws: why it is refused.
    public static func manifest(
        _ bytes: [UInt8],
        verifyingKey: VerifyingKey,
        environment: [UInt8] = []
    ) throws(SnapshotError) -> Manifest {
        let manifest = try ManifestCodec.read(bytes, verifyingKey: verifyingKey)
        guard manifest.environment == environment else { throw .foreignEnvironment }
        return manifest
    }

    /// Reads the chunks that a manifest names.
    ///
    /// - Parameters:
    ///   - manifest: verified.
    ///   - chunks: gives the bytes of a digest, or nil; may be asked for one digest more than once.
    /// - Returns: the content, in the chunks' order (see `SnapshotContent.canonical`).
    /// - Throws: why it is refused.
    public static func content(
        manifest: Manifest,
        chunks: (Digest) -> [UInt8]?
    ) throws(SnapshotError) -> SnapshotContent {
        var assembly = SnapshotAssembly(manifest.bucketCounts)
        for reference in manifest.chunks {
            guard let bytes = chunks(reference.digest) else { throw .missingChunk(reference.name) }
            guard bytes.count == reference.size, SHA256.digest(bytes) == reference.digest else {
                throw .wrongDigest(reference.name)
            }
            try assembly.add(bytes, kind: reference.kind, bucket: reference.bucket)
        }
        try assembly.content.checkReferences()
        return assembly.content
    }
}

/// Content growing chunk by chunk.
struct SnapshotAssembly {
    private(set) var content = SnapshotContent()
    private let buckets: BucketCounts

    init(_ buckets: BucketCounts) {
        self.buckets = buckets
    }

    mutating func add(_ bytes: [UInt8], kind: ChunkKind, bucket: Int) throws(SnapshotError) {
        let buckets = buckets
        switch kind {
        case .routes:
            (content.providers, content.models) = try parsing("routes") { () throws(CodecError) in
                try ChunkCodec.readRoutes(bytes)
            }
        case .policies:
            try parsing("policies/\(bucket)") { () throws(CodecError) in
                try ChunkCodec.readPolicies(bytes, bucket: bucket, of: buckets.policies, into: &content.policies)
            }
        case .apps:
            try parsing("apps/\(bucket)") { () throws(CodecError) in
                try ChunkCodec.readApps(bytes, bucket: bucket, of: buckets.apps, into: &content.apps)
            }
        }
    }
}

extension SnapshotContent {
    /// Finds what single records cannot show: keys of two apps with one id, routes that lead nowhere.
    func checkReferences() throws(SnapshotError) {
        var keys: Set<KeyID> = []
        keys.reserveCapacity(apps.count)
        for app in apps {
            for key in app.keys where !keys.insert(key.id).inserted {
                throw .duplicate(part: "keys", id: key.id.text)
            }
        }
        let providerIDs = Set(providers.map(\.id))
        for model in models {
            guard model.routes.contains(where: { $0.weight > 0 }) else { throw .noRoute(model: model.name) }
            for route in model.routes where !providerIDs.contains(route.providerID) {
                throw .unknownProvider(model: model.name, provider: route.providerID)
            }
        }
    }
}
