// The writing half of our binary formats (schemas/snapshot.md, schemas/usage.md): little endian, varints, lengths
// before bytes. Each value has exactly one form, so equal content gives equal bytes and equal digests.

/// Appends values to a growing array of bytes.
public struct ByteWriter: Sendable {
    /// Everything written so far.
    public private(set) var bytes: [UInt8]

    /// Makes an empty writer.
    ///
    /// - Parameter reservingCapacity: bytes to make room for at once; more are allocated when needed.
    public init(reservingCapacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(reservingCapacity)
    }

    /// Appends one byte.
    public mutating func write(u8 value: UInt8) {
        bytes.append(value)
    }

    /// Appends four bytes, little endian.
    public mutating func write(u32 value: UInt32) {
        for shift in stride(from: 0, to: 32, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    /// Appends eight bytes, little endian.
    public mutating func write(u64 value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    /// Appends 1...10 bytes of seven bits each, lowest first; the top bit says that more follow.
    public mutating func write(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Appends a varint in which small values of either sign are short: 0, -1, 1, -2 become 0, 1, 2, 3 (zigzag).
    public mutating func write(signed value: Int64) {
        write(varint: UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    /// Appends 1 for true, 0 for false.
    public mutating func write(bool value: Bool) {
        bytes.append(value ? 1 : 0)
    }

    /// Appends the length as a varint, then the bytes.
    public mutating func write(bytes value: [UInt8]) {
        write(varint: UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// Appends the length of the UTF-8 form as a varint, then its bytes.
    public mutating func write(string value: String) {
        write(varint: UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// Appends the bytes without a length: for fields of a fixed size.
    public mutating func write(raw value: [UInt8]) {
        bytes.append(contentsOf: value)
    }
}
