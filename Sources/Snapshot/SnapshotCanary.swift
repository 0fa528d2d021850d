// A change that a share of the nodes enforces before the others: a signed notice beside a manifest, which names another
// root of the policies' tree for the nodes in its audience. All nodes have one head and one version; which of them
// follow the notice is decided by each node itself, from its id, so that no message has to be sent to the right ones.

internal import Codec
public import Secrets

/// A canary's notice, after its signature was found right.
public struct SnapshotCanary: Sendable, Equatable {
    /// The format that this build writes.
    static let currentFormat: UInt8 = 1
    /// The longest notice.
    public static let maxBytes = 4096
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
    /// The root of the policies' tree as its nodes enforce it.
    public let policies: ChunkReference

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
        policies = try PageCodec.reference(from: &reader, kind: .policies, place: .root)
        guard reader.offset == end else {
            throw CodecError(reader.offset < end ? .trailingBytes : .truncated, offset: reader.offset)
        }
    }
}

extension Manifest {
    /// What the nodes in a canary of this lineage and version enforce: the same manifest with the canary's policies.
    public func applying(_ canary: SnapshotCanary) -> Manifest {
        Manifest(
            format: format,
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            environment: environment,
            routes: routes,
            policies: canary.policies,
            apps: apps,
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

extension SnapshotImage {
    /// Encodes and signs a canary that changes one policy of this image.
    ///
    /// Costs the leaf around the policy, and a look at each chunk.
    ///
    /// - Parameters:
    ///   - id: 32 lower-case hex digits.
    ///   - threshold: see ``SnapshotCanary/threshold``.
    ///   - policyID: the policy that differs.
    ///   - policy: as the canary's nodes enforce it; nil when they do without it.
    ///   - lineage: that of the manifest it goes with.
    ///   - version: that of the manifest it goes with.
    ///   - signingKey: the key that signs the manifest.
    /// - Returns: the notice and the chunks that it brings.
    /// - Throws: when no node could read it.
    public func canary(
        id: String,
        threshold: UInt64,
        changing policyID: String,
        to policy: PolicyRecord?,
        lineage: String,
        version: UInt64,
        signingKey: SigningKey
    ) throws(SnapshotError) -> EncodedCanary {
        guard let lineageBytes = bytes(hex: lineage), let idBytes = bytes(hex: id),
            idBytes.count == SnapshotCanary.idCount
        else { preconditionFailure("a lineage and a canary's id are 32 hex digits") }
        var changed = self
        try changed.replacePolicies([policyID: policy])
        let manifest = changed.manifest(lineage: lineage, version: version, createdAt: 0)
        var writer = ByteWriter(reservingCapacity: 256)
        writer.write(raw: SnapshotCanary.magic)
        writer.write(u8: SnapshotCanary.currentFormat)
        writer.write(raw: lineageBytes)
        writer.write(u64: version)
        writer.write(raw: idBytes)
        writer.write(u64: threshold)
        PageCodec.write(manifest.policies, to: &writer)
        writer.write(raw: signingKey.verifyingKey.id)
        writer.write(raw: signingKey.sign(writer.bytes))
        let new = changed.chunks.filter { chunks[$0.key] == nil }
        return EncodedCanary(notice: writer.bytes, chunks: new)
    }
}
