// The manifest's layout (schemas/snapshot.md §2), the reading side and the words that both sides share.

internal import Codec
internal import Secrets

enum ManifestCodec {
    static let magic: [UInt8] = Array("WEIRMAN".utf8)
    static let lineageCount = 16
    static let keyIDCount = 8
    static let signatureCount = 64

    /// What the chunk at an index of the manifest's list holds.
    static func place(ofChunk index: Int, _ buckets: BucketCounts) -> (ChunkKind, bucket: Int) {
        switch index {
        case 0: (.routes, 0)
        case ...buckets.policies: (.policies, index - 1)
        default: (.apps, index - 1 - buckets.policies)
        }
    }

    /// Reads a manifest: who signed it and whether they did, then what it says.
    static func read(_ bytes: [UInt8], verifyingKey: VerifyingKey) throws(SnapshotError) -> Manifest {
        let format = try parsing("manifest") { () throws(CodecError) in
            guard bytes.count <= SnapshotBounds.maxManifestBytes else { throw CodecError(.tooLong, offset: 0) }
            guard bytes.count >= magic.count + 1 + keyIDCount + signatureCount else {
                throw CodecError(.truncated, offset: 0)
            }
            var reader = ByteReader(bytes)
            guard try reader.raw(count: magic.count) == magic else { throw CodecError(.invalid, offset: 0) }
            return try reader.u8()
        }
        guard format == Manifest.currentFormat else { throw .unknownFormat(format) }
        let signatureOffset = bytes.count - signatureCount
        let keyIDOffset = signatureOffset - keyIDCount
        guard Array(bytes[keyIDOffset..<signatureOffset]) == verifyingKey.id else { throw .foreignKey }
        let signature = Array(bytes[signatureOffset...])
        guard verifyingKey.isValid(signature: signature, for: Array(bytes[..<signatureOffset])) else {
            throw .badSignature
        }
        return try parsing("manifest") { () throws(CodecError) in
            try readFields(bytes, endingAt: keyIDOffset, signature: signature)
        }
    }

    private static func readFields(
        _ bytes: [UInt8],
        endingAt keyIDOffset: Int,
        signature: [UInt8]
    ) throws(CodecError) -> Manifest {
        var reader = ByteReader(bytes, from: magic.count)
        let format = try reader.u8()
        let lineage = hex(try reader.raw(count: lineageCount))
        let versionOffset = reader.offset
        let version = try reader.u64()
        guard version >= 1 else { throw CodecError(.invalid, offset: versionOffset) }
        let createdAt = Int64(bitPattern: try reader.u64())
        let environment = try reader.bytes(max: SnapshotBounds.maxEnvironmentBytes)
        let buckets = try bucketCounts(from: &reader)
        var chunks: [ChunkReference] = []
        let chunkCount = 1 + buckets.policies + buckets.apps
        // Each takes a digest and a size: no room is made for more than the rest can hold.
        guard chunkCount <= reader.remaining / 33 else { throw CodecError(.truncated, offset: reader.offset) }
        chunks.reserveCapacity(chunkCount)
        var total = 0
        for index in 0..<chunkCount {
            let start = reader.offset
            let size = try reader.varint()
            guard size <= UInt64(SnapshotBounds.maxChunkBytes) else { throw CodecError(.tooLong, offset: start) }
            total += Int(size)
            guard total <= SnapshotBounds.maxTotalBytes else { throw CodecError(.tooLong, offset: start) }
            guard let digest = Digest(bytes: try reader.raw(count: 32)) else {
                throw CodecError(.invalid, offset: start)
            }
            let (kind, bucket) = place(ofChunk: index, buckets)
            chunks.append(ChunkReference(kind: kind, bucket: bucket, digest: digest, size: Int(size)))
        }
        guard reader.offset <= keyIDOffset else { throw CodecError(.truncated, offset: reader.offset) }
        guard reader.offset == keyIDOffset else { throw CodecError(.trailingBytes, offset: reader.offset) }
        return Manifest(
            format: format,
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            environment: environment,
            bucketCounts: buckets,
            chunks: chunks,
            signingKeyID: Array(bytes[keyIDOffset..<keyIDOffset + keyIDCount]),
            signature: signature
        )
    }

    /// Two bytes, the logarithms of the counts.
    private static func bucketCounts(from reader: inout ByteReader) throws(CodecError) -> BucketCounts {
        let start = reader.offset
        let policies = try reader.u8()
        let apps = try reader.u8()
        guard policies < 32, apps < 32, let counts = BucketCounts(policies: 1 << policies, apps: 1 << apps) else {
            throw CodecError(.invalid, offset: start)
        }
        return counts
    }
}

/// Says in which part of a snapshot the bytes were refused.
func parsing<Value>(
    _ part: @autoclosure () -> String,
    _ body: () throws(CodecError) -> Value
) throws(SnapshotError) -> Value {
    do throws(CodecError) {
        return try body()
    } catch {
        throw .malformed(part: part(), error)
    }
}
