// One last-known-good copy as a file (schemas/snapshot.md §4): an index under a checksum, then the chunks, each under
// its digest. It is written and read chunk by chunk, so that a save needs no second copy of everything in memory, and
// a copy is known to be whole or damaged without the key.

internal import Codec
internal import Secrets

enum StoredCodec {
    private static let magic: [UInt8] = Array("WEIRLKG".utf8)
    private static let format: UInt8 = 2
    private static let checksumCount = 32
    /// Magic, format, generation, length of the rest of the index.
    private static let headCount = 20
    /// Room for the manifest and as many chunks as the greatest content has, ten times.
    private static let maxIndexBytes = 64 << 20

    /// What a file says of itself before its chunks.
    struct Index {
        let generation: UInt64
        let manifest: [UInt8]
        /// Ascending by digest.
        let chunks: [(digest: Digest, size: Int)]
    }

    /// What went wrong with a file.
    enum Failure: Error {
        case disk(DiskError)
        case content(CodecError)
    }

    /// The parts of a file, in order.
    static func parts(_ encoded: EncodedSnapshot, generation: UInt64) -> some Sequence<[UInt8]> {
        // The digest's bytes are made once each, not at every comparison.
        let chunks = encoded.chunks.map { (digest: $0.key.bytes, bytes: $0.value) }
            .sorted { $0.digest.lexicographicallyPrecedes($1.digest) }
        var list = ByteWriter(reservingCapacity: 512 + 40 * chunks.count)
        list.write(bytes: encoded.manifest)
        list.write(varint: UInt64(chunks.count))
        for chunk in chunks {
            list.write(raw: chunk.digest)
            list.write(varint: UInt64(chunk.bytes.count))
        }
        var index = ByteWriter(reservingCapacity: list.bytes.count + 64)
        index.write(raw: magic)
        index.write(u8: format)
        index.write(u64: generation)
        index.write(u32: UInt32(list.bytes.count))
        index.write(raw: list.bytes)
        index.write(raw: SHA256.digest(index.bytes).bytes)
        return chain(index.bytes, chunks.map(\.bytes))
    }

    /// The index first, then the chunks, without a copy of the list.
    private static func chain(_ index: [UInt8], _ chunks: [[UInt8]]) -> some Sequence<[UInt8]> {
        [[index], chunks].joined()
    }

    /// Reads what stands before the chunks.
    static func index(from file: DiskReader) throws(Failure) -> Index {
        let head = try read(headCount, from: file)
        let (generation, count) = try content { () throws(CodecError) in try readHead(head) }
        // No room is made for more than there can be.
        guard count <= min(maxIndexBytes, file.size) else { throw .content(CodecError(.tooLong, offset: 16)) }
        let list = try read(count, from: file)
        let checksum = try read(checksumCount, from: file)
        guard SHA256.digest(head + list).bytes == checksum else {
            throw .content(CodecError(.invalid, offset: headCount + count))
        }
        return try content { () throws(CodecError) in try readList(list, generation) }
    }

    /// Reads the chunks that follow the index, each verified, and then the end of the file.
    ///
    /// - Parameters:
    ///   - index: of the same file.
    ///   - file: stands behind the index.
    ///   - keep: gets each chunk.
    /// - Throws: when the disk does not give the bytes, or they are not those of the digests.
    static func readChunks(
        of index: Index,
        from file: DiskReader,
        _ keep: (Digest, [UInt8]) -> Void
    ) throws(Failure) {
        for chunk in index.chunks {
            let bytes = try read(chunk.size, from: file)
            guard SHA256.digest(bytes) == chunk.digest else { throw .content(CodecError(.invalid, offset: 0)) }
            keep(chunk.digest, bytes)
        }
        let rest: [UInt8]
        do throws(DiskError) { rest = try file.read(1) } catch { throw .disk(error) }
        guard rest.isEmpty else { throw .content(CodecError(.trailingBytes, offset: 0)) }
    }

    private static func readHead(_ bytes: [UInt8]) throws(CodecError) -> (generation: UInt64, listCount: Int) {
        var reader = ByteReader(bytes)
        guard try reader.raw(count: magic.count) == magic, try reader.u8() == format else {
            throw CodecError(.invalid, offset: 0)
        }
        return (try reader.u64(), Int(try reader.u32()))
    }

    private static func readList(_ bytes: [UInt8], _ generation: UInt64) throws(CodecError) -> Index {
        var reader = ByteReader(bytes)
        let manifest = try reader.bytes(max: SnapshotBounds.maxManifestBytes)
        var chunks: [(digest: Digest, size: Int)] = []
        let count = try reader.count(max: .max, bytesEach: 33)
        chunks.reserveCapacity(count)
        for _ in 0..<count {
            let digest = try PageCodec.digest(from: &reader)
            chunks.append((digest, try PageCodec.number(from: &reader, max: SnapshotBounds.maxChunkBytes)))
        }
        try reader.expectEnd()
        return Index(generation: generation, manifest: manifest, chunks: chunks)
    }

    private static func read(_ count: Int, from file: DiskReader) throws(Failure) -> [UInt8] {
        let bytes: [UInt8]
        do throws(DiskError) { bytes = try file.read(count) } catch { throw .disk(error) }
        guard bytes.count == count else { throw .content(CodecError(.truncated, offset: 0)) }
        return bytes
    }

    private static func content<Value>(_ body: () throws(CodecError) -> Value) throws(Failure) -> Value {
        do throws(CodecError) { return try body() } catch { throw .content(error) }
    }
}
