// The manifest's layout (schemas/snapshot.md §2), the reading side and the words that both sides share.

internal import Codec
internal import Secrets

enum ManifestCodec {
    static let magic: [UInt8] = Array("WEIRMAN".utf8)
    static let lineageCount = 16
    static let keyIDCount = 8
    static let signatureCount = 64

    /// Writes what a manifest says and signs it; its own signature is not looked at.
    static func write(_ manifest: Manifest, signingKey: SigningKey) -> [UInt8] {
        var writer = ByteWriter(reservingCapacity: 384)
        writer.write(raw: magic)
        writer.write(u8: manifest.format)
        writer.write(raw: bytes(hex: manifest.lineage) ?? [])
        writer.write(u64: manifest.version)
        writer.write(u64: UInt64(bitPattern: manifest.createdAt))
        writer.write(bytes: manifest.environment)
        writer.write(varint: UInt64(manifest.routes.size))
        writer.write(raw: manifest.routes.digest.bytes)
        PageCodec.write(manifest.policies, to: &writer)
        PageCodec.write(manifest.apps, to: &writer)
        writer.write(raw: signingKey.verifyingKey.id)
        writer.write(raw: signingKey.sign(writer.bytes))
        return writer.bytes
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
        let routesSize = try PageCodec.number(from: &reader, max: SnapshotBounds.maxChunkBytes)
        let routes = ChunkReference(
            kind: .routes,
            place: .root,
            digest: try PageCodec.digest(from: &reader),
            size: routesSize,
            records: 0,
            recordBytes: 0
        )
        let policies = try PageCodec.reference(from: &reader, kind: .policies, place: .root)
        let apps = try PageCodec.reference(from: &reader, kind: .apps, place: .root)
        guard reader.offset <= keyIDOffset else { throw CodecError(.truncated, offset: reader.offset) }
        guard reader.offset == keyIDOffset else { throw CodecError(.trailingBytes, offset: reader.offset) }
        return Manifest(
            format: format,
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            environment: environment,
            routes: routes,
            policies: policies,
            apps: apps,
            signingKeyID: Array(bytes[keyIDOffset..<keyIDOffset + keyIDCount]),
            signature: signature
        )
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
