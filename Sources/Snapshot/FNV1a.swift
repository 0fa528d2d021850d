// A hash that any language computes in five lines: it spreads ids over buckets (schemas/snapshot.md) and names over
// the look-up table. Both hold an administrator's names only, so nobody gains from making them collide.

/// FNV-1a, 64 bits.
///
/// - Source: RFC 9923, the 64-bit variant (offset basis 0xcbf29ce484222325, prime 0x100000001b3); pinned by the test
///   that spreads ids over buckets.
enum FNV1a {
    static func hash(_ bytes: Span<UInt8>) -> UInt64 {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in bytes.indices {
            value = (value ^ UInt64(bytes[index])) &* 0x100_0000_01B3
        }
        return value
    }

    static func hash(_ text: String) -> UInt64 {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 {
            value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        return value
    }
}
