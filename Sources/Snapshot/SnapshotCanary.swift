// A change that a share of the nodes enforces before the others: a signed notice beside a manifest, which names the
// chunks that are others for the nodes in its audience. All nodes have one head and one version; which of them see the
// notice's chunks is decided by each node itself, from its id, so that no message has to be sent to the right ones.

internal import Codec
public import Secrets

/// A canary's notice, after its signature was found right.
public struct SnapshotCanary: Sendable, Equatable {
    /// A chunk of the manifest that is another for the audience.
    public struct Replacement: Sendable, Equatable {
        /// Its place in the manifest's list.
        public let index: Int
        /// SHA-256 of the bytes in its place.
        public let digest: Digest
        /// How many they are.
        public let size: Int
    }

    /// The format that this build writes.
    static let currentFormat: UInt8 = 1
    /// The longest notice.
    public static let maxBytes = 4096
    /// The most chunks that one may replace.
    static let maxReplacements = 64
    static let magic: [UInt8] = Array("WEIRCAN".utf8)
    static let idCount = 16

    /// The lineage of the manifest that it goes with.
    public let lineage: String
    /// The version of the manifest that it goes with.
    public let version: UInt64
    /// Names the canary, 32 hex digits; the same while it is open, whatever changes meanwhile.
    public let id: String
    /// The nodes whose ``rank(of:id:)`` is at most this are in it.
    public let threshold: UInt64
    /// The chunks that differ, by ascending index.
    public let replacements: [Replacement]

    /// Where a node stands between 0 and 2⁶⁴-1, for one canary: evenly spread, and the same on every machine.
    public static func rank(of nodeID: String, id: String) -> UInt64 {
        let digest = SHA256.digest(Array("\(id) \(nodeID)".utf8)).bytes
        return digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Whether a node is in it.
    public func includes(nodeID: String) -> Bool { Self.rank(of: nodeID, id: id) <= threshold }

    /// Reads a notice.
    ///
    /// - Parameters:
    ///   - bytes: from anywhere.
    ///   - verifyingKey: the only key that is trusted.
    /// - Throws: why it is refused.
    public init(_ bytes: [UInt8], verifyingKey: VerifyingKey) throws(SnapshotError) {
        let trailer = ManifestCodec.keyIDCount + ManifestCodec.signatureCount
        try parsing("canary") { () throws(CodecError) in
            guard bytes.count <= Self.maxBytes else { throw CodecError(.tooLong, offset: 0) }
            guard bytes.count >= Self.magic.count + 1 + trailer else { throw CodecError(.truncated, offset: 0) }
            guard Array(bytes.prefix(Self.magic.count)) == Self.magic else { throw CodecError(.invalid, offset: 0) }
        }
        guard bytes[Self.magic.count] == Self.currentFormat else { throw .unknownFormat(bytes[Self.magic.count]) }
        let signatureOffset = bytes.count - ManifestCodec.signatureCount
        let keyIDOffset = bytes.count - trailer
        guard Array(bytes[keyIDOffset..<signatureOffset]) == verifyingKey.id else { throw .foreignKey }
        guard verifyingKey.isValid(signature: Array(bytes[signatureOffset...]), for: Array(bytes[..<signatureOffset]))
        else { throw .badSignature }
        self = try parsing("canary") { () throws(CodecError) in try Self(fields: bytes, endingAt: keyIDOffset) }
    }

    private init(fields bytes: [UInt8], endingAt end: Int) throws(CodecError) {
        var reader = ByteReader(bytes, from: Self.magic.count + 1)
        lineage = hex(try reader.raw(count: ManifestCodec.lineageCount))
        version = try reader.u64()
        id = hex(try reader.raw(count: Self.idCount))
        threshold = try reader.u64()
        var replacements: [Replacement] = []
        for _ in 0..<(try reader.count(max: Self.maxReplacements, bytesEach: 34)) {
            let start = reader.offset
            let (index, size) = (try reader.varint(), try reader.varint())
            guard index <= 2 * UInt64(SnapshotBounds.maxBuckets), size <= UInt64(SnapshotBounds.maxChunkBytes),
                let digest = Digest(bytes: try reader.raw(count: 32)),
                Int(index) > replacements.last?.index ?? -1
            else { throw CodecError(.invalid, offset: start) }
            replacements.append(Replacement(index: Int(index), digest: digest, size: Int(size)))
        }
        self.replacements = replacements
        guard reader.offset == end else {
            throw CodecError(reader.offset < end ? .trailingBytes : .truncated, offset: reader.offset)
        }
    }
}

extension Manifest {
    /// What the nodes in a canary enforce: the same manifest with the canary's chunks.
    ///
    /// - Parameter canary: verified; of this lineage and version.
    /// - Throws: when it names a place that the manifest does not have.
    public func applying(_ canary: SnapshotCanary) throws(SnapshotError) -> Manifest {
        var chunks = chunks
        for replacement in canary.replacements {
            guard chunks.indices.contains(replacement.index) else {
                throw .malformed(part: "canary", CodecError(.invalid, offset: 0))
            }
            let old = chunks[replacement.index]
            chunks[replacement.index] = ChunkReference(
                kind: old.kind,
                bucket: old.bucket,
                digest: replacement.digest,
                size: replacement.size
            )
        }
        return Manifest(
            format: format,
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            environment: environment,
            bucketCounts: bucketCounts,
            chunks: chunks,
            signingKeyID: signingKeyID,
            signature: signature
        )
    }
}

/// A canary as it is stored and sent.
public struct EncodedCanary: Sendable, Equatable {
    /// The notice's bytes.
    public let notice: [UInt8]
    /// The chunks that it brings, by their digests.
    public let chunks: [Digest: [UInt8]]
}

extension SnapshotEncoder {
    /// Encodes and signs a canary that changes one policy.
    ///
    /// - Parameters:
    ///   - policyID: the policy that differs.
    ///   - policies: all policies as the canary's nodes enforce them, in any order.
    ///   - base: the snapshot that it goes with, signed by the same key.
    ///   - id: 32 lower-case hex digits.
    ///   - threshold: see ``SnapshotCanary/threshold``.
    ///   - signingKey: the key that signed `base`.
    ///   - environment: the fingerprint in `base`.
    /// - Returns: the notice and the chunk that it brings.
    /// - Throws: when `base` is not this key's, or nodes could not read the chunk.
    public static func encodeCanary(
        changing policyID: String,
        to policies: [PolicyRecord],
        base: EncodedSnapshot,
        id: String,
        threshold: UInt64,
        signingKey: SigningKey,
        environment: [UInt8] = []
    ) throws(SnapshotError) -> EncodedCanary {
        let manifest = try SnapshotDecoder.manifest(
            base.manifest,
            verifyingKey: signingKey.verifyingKey,
            environment: environment
        )
        guard let lineage = bytes(hex: manifest.lineage), let idBytes = bytes(hex: id),
            idBytes.count == SnapshotCanary.idCount
        else { preconditionFailure("a lineage and a canary's id are 32 hex digits") }
        let count = manifest.bucketCounts.policies
        let bucket = BucketCounts.bucket(of: policyID, count: count)
        let chunk = ChunkCodec.policies(policies.filter { BucketCounts.bucket(of: $0.id, count: count) == bucket })
        var assembly = SnapshotAssembly(manifest.bucketCounts)
        try assembly.add(chunk, kind: .policies, bucket: bucket)
        let digest = SHA256.digest(chunk)
        var writer = ByteWriter(reservingCapacity: 256)
        writer.write(raw: SnapshotCanary.magic)
        writer.write(u8: SnapshotCanary.currentFormat)
        writer.write(raw: lineage)
        writer.write(u64: manifest.version)
        writer.write(raw: idBytes)
        writer.write(u64: threshold)
        writer.write(varint: 1)
        writer.write(varint: UInt64(1 + bucket))
        writer.write(varint: UInt64(chunk.count))
        writer.write(raw: digest.bytes)
        writer.write(raw: signingKey.verifyingKey.id)
        writer.write(raw: signingKey.sign(writer.bytes))
        return EncodedCanary(notice: writer.bytes, chunks: [digest: chunk])
    }
}
