// Detects bytes that changed by accident: a torn write, a bad disk, a cut transfer. Not a defence against intent;
// what must resist that carries a digest or a signature.

/// The Castagnoli CRC, as in iSCSI and ext4.
///
/// - Source: RFC 3720 §12.1 and its test vectors in §B.4; polynomial 0x1EDC6F41 reflected, all ones before and after.
public enum CRC32C {
    /// The checksum of a range of bytes: one table lookup each, nothing allocated.
    ///
    /// Eight bytes at a time ("slicing by 8"), whose lookups do not wait for each other: megabytes are read at start-up.
    public static func checksum(_ bytes: Span<UInt8>) -> UInt32 {
        let table = Self.table
        let slices = Self.slices.span
        var value = UInt32.max
        var start = 0
        while start &+ 8 <= bytes.count {
            var next: UInt32 = 0
            for place in 0..<8 {
                let old = place < 4 ? UInt8(truncatingIfNeeded: value >> UInt32(8 * place)) : 0
                next ^= slices[(7 &- place) << 8 | Int(bytes[start &+ place] ^ old)]
            }
            value = next
            start &+= 8
        }
        for index in start..<bytes.count {
            let slot = Int(truncatingIfNeeded: (value ^ UInt32(bytes[index])) & 0xFF)
            value = table[slot] ^ (value >> 8)
        }
        return ~value
    }

    /// The checksum of an array.
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        checksum(bytes.span)
    }

    /// The remainder of each byte value, made once.
    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 {
            value = value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1
        }
        return value
    }

    /// Eight tables: the n-th has the remainder of each byte value with n zero bytes after it.
    private static let slices: [UInt32] = {
        var slices = table
        for index in 256..<2_048 {
            let before = slices[index - 256]
            slices.append(table[Int(before & 0xFF)] ^ (before >> 8))
        }
        return slices
    }()
}
