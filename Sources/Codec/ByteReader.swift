// The reading half of our binary formats. The input may be anybody's: every length is checked against its bound and
// against the bytes that are really there before anything is allocated, and nothing here traps.

/// Reads values from an array of bytes, in order.
///
/// After an error the reader stands where the failed field began; no caller goes on from there.
public struct ByteReader: Sendable {
    private let bytes: [UInt8]
    /// Bytes from the start of the input to the next field.
    public private(set) var offset: Int

    /// Reads from the first byte on.
    public init(_ bytes: [UInt8]) {
        self.init(bytes, from: 0)
    }

    /// Reads from an offset on; one outside the input counts as its end.
    public init(_ bytes: [UInt8], from offset: Int) {
        self.bytes = bytes
        self.offset = offset >= 0 && offset <= bytes.count ? offset : bytes.count
    }

    /// Bytes not read yet.
    public var remaining: Int { bytes.count - offset }

    /// Reads one byte.
    public mutating func u8() throws(CodecError) -> UInt8 {
        try require(1)
        defer { offset += 1 }
        return bytes[offset]
    }

    /// Reads four bytes, little endian.
    public mutating func u32() throws(CodecError) -> UInt32 {
        try require(4)
        var value: UInt32 = 0
        for index in 0..<4 {
            value |= UInt32(bytes[offset + index]) << UInt32(index * 8)
        }
        offset += 4
        return value
    }

    /// Reads eight bytes, little endian.
    public mutating func u64() throws(CodecError) -> UInt64 {
        try require(8)
        var value: UInt64 = 0
        for index in 0..<8 {
            value |= UInt64(bytes[offset + index]) << UInt64(index * 8)
        }
        offset += 8
        return value
    }

    /// Reads a varint of at most 64 bits; a form longer than needed is `.invalid`, so that each value has one form.
    public mutating func varint() throws(CodecError) -> UInt64 {
        // Nearly all are of one byte.
        if offset < bytes.count, bytes[offset] < 0x80 {
            defer { offset += 1 }
            return UInt64(bytes[offset])
        }
        return try longVarint()
    }

    private mutating func longVarint() throws(CodecError) -> UInt64 {
        var value: UInt64 = 0
        var position = offset
        for index in 0..<10 {
            guard position < bytes.count else { throw CodecError(.truncated, offset: offset) }
            let byte = bytes[position]
            position += 1
            // Nine groups fill 63 bits: the tenth holds the last one only.
            guard index < 9 || byte <= 1 else { throw CodecError(.invalid, offset: offset) }
            value |= UInt64(byte & 0x7F) << UInt64(index * 7)
            guard byte >= 0x80 else {
                guard byte != 0 || index == 0 else { throw CodecError(.invalid, offset: offset) }
                offset = position
                return value
            }
        }
        throw CodecError(.invalid, offset: offset)
    }

    /// Reads a zigzag varint.
    public mutating func signed() throws(CodecError) -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    /// Reads 0 or 1; any other byte is `.invalid`.
    public mutating func bool() throws(CodecError) -> Bool {
        let start = offset
        switch try u8() {
        case 0: return false
        case 1: return true
        default: throw failed(.invalid, at: start)
        }
    }

    /// Reads a length and that many bytes.
    ///
    /// - Parameter max: the longest that is accepted, in bytes; longer is `.tooLong`.
    /// - Returns: a copy of the bytes.
    /// - Throws: `.truncated` when the input ends first.
    public mutating func bytes(max: Int) throws(CodecError) -> [UInt8] {
        let range = try range(max: max)
        return Array(bytes[range])
    }

    /// Reads a length and that many bytes of valid UTF-8.
    ///
    /// - Parameter max: the longest that is accepted, in bytes of UTF-8; longer is `.tooLong`.
    /// - Returns: the text.
    /// - Throws: `.invalid` for what is not UTF-8, which is never repaired; `.truncated` when the input ends first.
    public mutating func string(max: Int) throws(CodecError) -> String {
        let start = offset
        let range = try range(max: max)
        guard let text = String(validating: bytes[range], as: UTF8.self) else { throw failed(.invalid, at: start) }
        return text
    }

    /// Reads a fixed number of bytes.
    public mutating func raw(count: Int) throws(CodecError) -> [UInt8] {
        try require(count)
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    /// Reads how many elements follow.
    ///
    /// - Parameters:
    ///   - max: the most that is accepted; more is `.tooLong`.
    ///   - bytesEach: the least that one element takes. More elements than the rest of the input can hold are
    ///     `.truncated` here already, so that a caller may reserve room for all of them.
    /// - Returns: 0...max.
    /// - Throws: `.tooLong` or `.truncated`, as said above.
    public mutating func count(max: Int, bytesEach: Int = 1) throws(CodecError) -> Int {
        let start = offset
        let raw = try varint()
        guard raw <= UInt64(clamping: max) else { throw failed(.tooLong, at: start) }
        guard raw <= UInt64(clamping: remaining / Swift.max(bytesEach, 1)) else { throw failed(.truncated, at: start) }
        return Int(raw)
    }

    /// Requires that everything was read.
    public func expectEnd() throws(CodecError) {
        guard remaining == 0 else { throw CodecError(.trailingBytes, offset: offset) }
    }

    /// Steps over a length and that many bytes, for a caller that keeps the input and wants no copy.
    ///
    /// - Parameter max: the longest that is accepted, in bytes; longer is `.tooLong`.
    /// - Returns: where the bytes lie in the input.
    /// - Throws: `.truncated` when the input ends first.
    public mutating func slice(max: Int) throws(CodecError) -> Range<Int> { try range(max: max) }

    /// Steps over a length and its bytes; the returned range lies inside the input.
    private mutating func range(max: Int) throws(CodecError) -> Range<Int> {
        let start = offset
        let length = try varint()
        guard length <= UInt64(clamping: max) else { throw failed(.tooLong, at: start) }
        guard length <= UInt64(clamping: remaining) else { throw failed(.truncated, at: start) }
        defer { offset += Int(length) }
        return offset..<offset + Int(length)
    }

    private func require(_ count: Int) throws(CodecError) {
        guard count >= 0, count <= remaining else { throw CodecError(.truncated, offset: offset) }
    }

    /// The error for a field that began at `start`, with the reader put back there.
    private mutating func failed(_ reason: CodecError.Reason, at start: Int) -> CodecError {
        offset = start
        return CodecError(reason, offset: start)
    }
}
