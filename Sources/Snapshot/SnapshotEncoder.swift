// Turns content into a signed manifest and its chunks. The same content, version and buckets give the same bytes on
// every machine, so a change that touches one app changes one chunk and the manifest, and nothing else is sent again.

internal import Codec
public import Secrets

/// A snapshot as it is stored and sent.
public struct EncodedSnapshot: Sendable, Equatable {
    /// The manifest's bytes.
    public let manifest: [UInt8]
    /// The chunks by their digests.
    public let chunks: [Digest: [UInt8]]

    /// Makes a snapshot of parts that were fetched; nothing is checked here.
    public init(manifest: [UInt8], chunks: [Digest: [UInt8]]) {
        self.manifest = manifest
        self.chunks = chunks
    }
}

/// Writes snapshots.
public enum SnapshotEncoder {
    /// Encodes and signs.
    ///
    /// Content outside `SnapshotBounds` gives a snapshot that every node refuses: `check` says so beforehand.
    ///
    /// - Parameters:
    ///   - content: in any order.
    ///   - lineage: 32 lower-case hex digits.
    ///   - version: 1 or more.
    ///   - createdAt: milliseconds since the Unix epoch.
    ///   - signingKey: the key whose public half the nodes hold.
    ///   - buckets: `previous.adjusted(to: content)` keeps chunks in place as content grows; by default what fits.
    ///   - environment: the fingerprint that nodes must share, at most `SnapshotBounds.maxEnvironmentBytes`.
    /// - Returns: the manifest and every chunk.
    public static func encode(
        _ content: SnapshotContent,
        lineage: String,
        version: UInt64,
        createdAt: Int64,
        signingKey: SigningKey,
        buckets: BucketCounts? = nil,
        environment: [UInt8] = []
    ) -> EncodedSnapshot {
        guard let lineageBytes = bytes(hex: lineage), lineageBytes.count == ManifestCodec.lineageCount else {
            preconditionFailure("a lineage is 32 hex digits")
        }
        precondition(version >= 1 && environment.count <= SnapshotBounds.maxEnvironmentBytes)
        let buckets = buckets ?? .fitting(content)
        var stored: [Digest: [UInt8]] = [:]
        var writer = ByteWriter(reservingCapacity: 256 + 40 * (1 + buckets.policies + buckets.apps))
        writer.write(raw: ManifestCodec.magic)
        writer.write(u8: Manifest.currentFormat)
        writer.write(raw: lineageBytes)
        writer.write(u64: version)
        writer.write(u64: UInt64(bitPattern: createdAt))
        writer.write(bytes: environment)
        writer.write(u8: UInt8(buckets.policies.trailingZeroBitCount))
        writer.write(u8: UInt8(buckets.apps.trailingZeroBitCount))
        for chunk in chunks(of: content, buckets) {
            let digest = SHA256.digest(chunk)
            writer.write(varint: UInt64(chunk.count))
            writer.write(raw: digest.bytes)
            stored[digest] = chunk
        }
        writer.write(raw: signingKey.verifyingKey.id)
        writer.write(raw: signingKey.sign(writer.bytes))
        return EncodedSnapshot(manifest: writer.bytes, chunks: stored)
    }

    /// Finds out whether nodes can read what this content would be encoded to.
    ///
    /// Costs about as much as encoding and decoding it. Policies' programs are left to their kinds.
    public static func check(_ content: SnapshotContent) throws(SnapshotError) {
        let buckets = BucketCounts.fitting(content)
        var assembly = SnapshotAssembly(buckets)
        for (index, chunk) in chunks(of: content, buckets).enumerated() {
            let (kind, bucket) = ManifestCodec.place(ofChunk: index, buckets)
            try assembly.add(chunk, kind: kind, bucket: bucket)
        }
        try assembly.content.checkReferences()
    }

    /// All chunks in the manifest's order.
    private static func chunks(of content: SnapshotContent, _ buckets: BucketCounts) -> [[UInt8]] {
        var policies = [[PolicyRecord]](repeating: [], count: buckets.policies)
        for policy in content.policies {
            policies[BucketCounts.bucket(of: policy.id, count: buckets.policies)].append(policy)
        }
        var apps = [[AppRecord]](repeating: [], count: buckets.apps)
        for app in content.apps {
            apps[BucketCounts.bucket(of: app.id, count: buckets.apps)].append(app)
        }
        return [ChunkCodec.routes(content.providers, content.models)]
            + policies.map(ChunkCodec.policies) + apps.map(ChunkCodec.apps)
    }
}
