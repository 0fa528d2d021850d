// A short name for a list of token ids, to compare encodings by without sending them: what the rows of
// Tests/Fixtures/tokens carry and `weir tokens count --jsonl` answers. No security rests on it.

/// SHA-1 of token ids in decimal, joined by commas.
public enum TokenDigest {
    /// The digest as 40 lower-case hexadecimal digits.
    ///
    /// - Parameter ids: in order; none give the digest of no bytes.
    /// - Returns: the digest.
    /// - Source: FIPS 180-4, section 6.1.
    public static func hex(_ ids: [UInt32]) -> String {
        var message = Array(ids.map(String.init).joined(separator: ",").utf8)
        let bitCount = UInt64(message.count) * 8
        message.append(0x80)
        while message.count % 64 != 56 { message.append(0) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            message.append(UInt8(truncatingIfNeeded: bitCount >> shift))
        }
        var state: [5 of UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
        for start in stride(from: 0, to: message.count, by: 64) { update(&state, message.span, at: start) }
        var text = ""
        for index in 0..<5 {
            let digits = String(state[index], radix: 16)
            text += String(repeating: "0", count: 8 - digits.utf8.count) + digits
        }
        return text
    }

    private static func update(_ state: inout [5 of UInt32], _ message: Span<UInt8>, at start: Int) {
        func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
        var words: [80 of UInt32] = .init(repeating: 0)
        for index in 0..<16 {
            var word: UInt32 = 0
            for byte in 0..<4 { word = word << 8 | UInt32(message[start + 4 * index + byte]) }
            words[index] = word
        }
        for index in 16..<80 {
            words[index] = rotated(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for index in 0..<80 {
            let (mixed, constant): (UInt32, UInt32) =
                switch index / 20 {
                case 0: (b & c | ~b & d, 0x5a82_7999)
                case 1: (b ^ c ^ d, 0x6ed9_eba1)
                case 2: (b & c | b & d | c & d, 0x8f1b_bcdc)
                default: (b ^ c ^ d, 0xca62_c1d6)
                }
            let next = rotated(a, 5) &+ mixed &+ e &+ constant &+ words[index]
            (a, b, c, d, e) = (next, a, rotated(b, 30), c, d)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
    }
}
