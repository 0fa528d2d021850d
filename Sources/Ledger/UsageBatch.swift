// What travels from a node to the control plane: records under the identity that makes a resend harmless. Layout:
// schemas/usage.md.

public import Codec

/// Records of one boot of one node, in order.
///
/// A record's identity is (node, boot, sequence), fixed when the record is made: a batch may be sent any number of
/// times, cut differently each time, and every record still counts once.
public struct UsageBatch: Sendable, Equatable {
    /// The most records that one batch holds.
    public static let maxRecords = 4096
    /// The most bytes that one encoded batch takes.
    public static let maxBytes = 4 << 20
    /// The longest node and boot ids, in bytes of UTF-8.
    public static let maxIDBytes = 128

    private static let magic: [UInt8] = Array("WEIRUSE".utf8)
    /// What is written, and the oldest that is read: control planes are rolled out before the nodes that write.
    private static let format: UInt8 = 2, oldestFormat: UInt8 = 1

    /// The node that answered the requests.
    public let nodeID: String
    /// The node's boot: its sequences count from 1.
    public let bootID: String
    /// The records, by rising sequence.
    public let records: [UsageRecord]

    /// Makes a batch.
    ///
    /// - Parameters:
    ///   - nodeID: at most `maxIDBytes` bytes.
    ///   - bootID: at most `maxIDBytes` bytes.
    ///   - records: at most `maxRecords`, by strictly rising sequence.
    public init(nodeID: String, bootID: String, records: [UsageRecord]) {
        precondition(nodeID.utf8.count <= Self.maxIDBytes && bootID.utf8.count <= Self.maxIDBytes)
        precondition(records.count <= Self.maxRecords)
        precondition(zip(records, records.dropFirst()).allSatisfy { $0.sequence < $1.sequence })
        self.nodeID = nodeID
        self.bootID = bootID
        self.records = records
    }

    /// The batch as bytes, every field of its records cut to its bound.
    public func encode() -> [UInt8] {
        var writer = ByteWriter(reservingCapacity: 64 + records.count * 256)
        writer.write(raw: Self.magic)
        writer.write(u8: Self.format)
        writer.write(string: nodeID)
        writer.write(string: bootID)
        writer.write(varint: UInt64(records.count))
        for record in records {
            record.write(to: &writer)
        }
        writer.write(u32: CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// Reads a batch that anybody may have sent.
    ///
    /// - Parameter bytes: the whole batch.
    /// - Returns: the batch; its records are in order and within their bounds.
    /// - Throws: `.tooLong` over `maxBytes` or `maxRecords`, `.invalid` for a wrong checksum, another format or a
    ///   field outside its bounds, `.truncated` and `.trailingBytes` for a wrong length.
    public static func decode(_ bytes: [UInt8]) throws(CodecError) -> UsageBatch {
        guard bytes.count <= maxBytes else { throw CodecError(.tooLong, offset: 0) }
        guard bytes.count >= magic.count + 1 + 4 else { throw CodecError(.truncated, offset: 0) }
        var reader = ByteReader(bytes)
        guard try reader.raw(count: magic.count) == magic else { throw CodecError(.invalid, offset: 0) }
        let format = try reader.u8()
        guard (oldestFormat...Self.format).contains(format) else { throw CodecError(.invalid, offset: 0) }
        let checksumOffset = bytes.count - 4
        var trailer = ByteReader(bytes, from: checksumOffset)
        guard try trailer.u32() == CRC32C.checksum(bytes.span.extracting(0..<checksumOffset)) else {
            throw CodecError(.invalid, offset: checksumOffset)
        }
        let nodeID = try UsageRecord.text(from: &reader, maxBytes: maxIDBytes)
        let bootID = try UsageRecord.text(from: &reader, maxBytes: maxIDBytes)
        let count = try reader.count(max: maxRecords, bytesEach: UsageRecord.minEncodedBytes)
        var records: [UsageRecord] = []
        records.reserveCapacity(count)
        var last: UInt64?
        for _ in 0..<count {
            let start = reader.offset
            let record = try UsageRecord(from: &reader, format: format)
            // Out of order or twice: the identity would not be one.
            if let last, record.sequence <= last { throw CodecError(.invalid, offset: start) }
            last = record.sequence
            records.append(record)
        }
        guard reader.offset <= checksumOffset else { throw CodecError(.truncated, offset: reader.offset) }
        guard reader.offset == checksumOffset else { throw CodecError(.trailingBytes, offset: reader.offset) }
        return UsageBatch(nodeID: nodeID, bootID: bootID, records: records)
    }
}
