// Pages and the references in them (schemas/snapshot.md §3): what a chunk that is no leaf says of the chunks below it.

internal import Codec
internal import Secrets

enum PageCodec {
    static let format: UInt8 = 1

    /// The first byte of a page over leaves of this kind.
    static func marker(_ kind: ChunkKind) -> UInt8 { kind == .policies ? 4 : 5 }

    /// Writes a page of sixteen children, of which at least one is there.
    static func write(_ children: [ChunkReference?], kind: ChunkKind) -> [UInt8] {
        var writer = ByteWriter(reservingCapacity: 4 + 48 * TreeShape.fanout)
        writer.write(u8: marker(kind))
        writer.write(u8: format)
        var present: UInt16 = 0
        for (index, child) in children.enumerated() where child != nil { present |= 1 << UInt16(index) }
        writer.write(u8: UInt8(truncatingIfNeeded: present))
        writer.write(u8: UInt8(truncatingIfNeeded: present >> 8))
        for case let child? in children { write(child, to: &writer) }
        return writer.bytes
    }

    static func write(_ reference: ChunkReference, to writer: inout ByteWriter) {
        writer.write(varint: UInt64(reference.size))
        writer.write(varint: UInt64(reference.records))
        writer.write(varint: UInt64(reference.recordBytes))
        writer.write(raw: reference.digest.bytes)
    }

    /// Reads a page whose bytes are those that `reference` names.
    ///
    /// - Returns: sixteen children; their records add up to what the reference says.
    static func read(_ bytes: [UInt8], of reference: ChunkReference) throws(CodecError) -> [ChunkReference?] {
        var reader = ByteReader(bytes)
        guard try reader.u8() == marker(reference.kind), try reader.u8() == format else {
            throw CodecError(.invalid, offset: 0)
        }
        let presentOffset = reader.offset
        let present = UInt16(try reader.u8()) | UInt16(try reader.u8()) << 8
        guard present != 0 else { throw CodecError(.invalid, offset: presentOffset) }
        var children = [ChunkReference?](repeating: nil, count: TreeShape.fanout)
        var records = 0
        var recordBytes = 0
        for index in 0..<TreeShape.fanout where present & 1 << UInt16(index) != 0 {
            let start = reader.offset
            let child = try self.reference(from: &reader, kind: reference.kind, place: reference.place.child(index))
            records += child.records
            recordBytes += child.recordBytes
            // An empty child is left out, so that a page has one form.
            guard child.records > 0, records <= reference.records, recordBytes <= reference.recordBytes else {
                throw CodecError(.invalid, offset: start)
            }
            children[index] = child
        }
        try reader.expectEnd()
        guard records == reference.records, recordBytes == reference.recordBytes else {
            throw CodecError(.invalid, offset: presentOffset)
        }
        return children
    }

    static func reference(
        from reader: inout ByteReader,
        kind: ChunkKind,
        place: TreePlace
    ) throws(CodecError) -> ChunkReference {
        let size = try number(from: &reader, max: SnapshotBounds.maxChunkBytes)
        // A record is at least one byte.
        let records = try number(from: &reader, max: SnapshotBounds.maxTotalBytes)
        let bytesOffset = reader.offset
        let recordBytes = try number(from: &reader, max: SnapshotBounds.maxTotalBytes)
        guard records <= recordBytes else { throw CodecError(.invalid, offset: bytesOffset) }
        return ChunkReference(
            kind: kind,
            place: place,
            digest: try digest(from: &reader),
            size: size,
            records: records,
            recordBytes: recordBytes
        )
    }

    static func digest(from reader: inout ByteReader) throws(CodecError) -> Digest {
        let start = reader.offset
        guard let digest = Digest(bytes: try reader.raw(count: 32)) else { throw CodecError(.invalid, offset: start) }
        return digest
    }

    static func number(from reader: inout ByteReader, max: Int) throws(CodecError) -> Int {
        let start = reader.offset
        let value = try reader.varint()
        guard value <= UInt64(max) else { throw CodecError(.tooLong, offset: start) }
        return Int(value)
    }
}
