// One last-known-good copy as a file (schemas/snapshot.md §4): the manifest and its chunks under a checksum of their
// own, so that a save can tell a damaged copy from a whole one without the key.

internal import Codec
internal import Secrets

enum StoredCodec {
    private static let magic: [UInt8] = Array("WEIRLKG".utf8)
    private static let format: UInt8 = 1
    private static let checksumCount = 32

    static func write(_ encoded: EncodedSnapshot, generation: UInt64) -> [UInt8] {
        let size = encoded.manifest.count + encoded.chunks.values.reduce(0) { $0 + $1.count + 5 }
        var writer = ByteWriter(reservingCapacity: size + 64)
        writer.write(raw: magic)
        writer.write(u8: format)
        writer.write(u64: generation)
        writer.write(bytes: encoded.manifest)
        writer.write(varint: UInt64(encoded.chunks.count))
        for (_, chunk) in encoded.chunks.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }) {
            writer.write(bytes: chunk)
        }
        writer.write(raw: SHA256.digest(writer.bytes).bytes)
        return writer.bytes
    }

    static func read(
        _ bytes: [UInt8],
        verifyingKey: VerifyingKey,
        environment: [UInt8]
    ) throws(SnapshotError) -> StoredSnapshot {
        let (generation, encoded) = try parsing("file") { () throws(CodecError) in try readParts(bytes) }
        let manifest = try SnapshotDecoder.manifest(
            encoded.manifest,
            verifyingKey: verifyingKey,
            environment: environment
        )
        let content = try SnapshotDecoder.content(manifest: manifest) { encoded.chunks[$0] }
        return StoredSnapshot(generation: generation, manifest: manifest, content: content, encoded: encoded)
    }

    /// The generation, if the checksum is right.
    static func wholeGeneration(of bytes: [UInt8]) -> UInt64? {
        do throws(CodecError) {
            var reader = try begin(bytes)
            return try reader.u64()
        } catch {
            return nil
        }
    }

    /// Checks all but the fields: what follows them is as it was written, or this throws.
    private static func begin(_ bytes: [UInt8]) throws(CodecError) -> ByteReader {
        guard bytes.count >= magic.count + 1 + checksumCount else { throw CodecError(.truncated, offset: 0) }
        let end = bytes.count - checksumCount
        guard SHA256.digest(bytes.span.extracting(0..<end)).bytes == Array(bytes[end...]) else {
            throw CodecError(.invalid, offset: end)
        }
        var reader = ByteReader(bytes)
        guard try reader.raw(count: magic.count) == magic, try reader.u8() == format else {
            throw CodecError(.invalid, offset: 0)
        }
        return reader
    }

    private static func readParts(_ bytes: [UInt8]) throws(CodecError) -> (UInt64, EncodedSnapshot) {
        var reader = try begin(bytes)
        let generation = try reader.u64()
        let manifest = try reader.bytes(max: SnapshotBounds.maxManifestBytes)
        let count = try reader.count(max: 1 + 2 * SnapshotBounds.maxBuckets)
        var chunks: [Digest: [UInt8]] = [:]
        chunks.reserveCapacity(count)
        for _ in 0..<count {
            let chunk = try reader.bytes(max: SnapshotBounds.maxChunkBytes)
            chunks[SHA256.digest(chunk)] = chunk
        }
        let end = bytes.count - checksumCount
        guard reader.offset <= end else { throw CodecError(.truncated, offset: reader.offset) }
        guard reader.offset == end else { throw CodecError(.trailingBytes, offset: reader.offset) }
        return (generation, EncodedSnapshot(manifest: manifest, chunks: chunks))
    }
}
