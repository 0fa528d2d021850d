// Redis names a cached script by the SHA-1 of its text. The digest is a name here, not a safeguard, so a plain
// implementation of forty lines is enough and this target needs no crypto library.

/// A Lua script with its name in Redis's script cache.
public struct RedisScript: Sendable {
    /// The script's text.
    public let source: [UInt8]
    /// The SHA-1 of the text as 40 hexadecimal digits, as `EVALSHA` wants it.
    public let sha1: [UInt8]

    /// Makes a script; hashes the text once.
    public init(source: [UInt8]) {
        self.source = source
        sha1 = Self.hex(Self.digest(source))
    }

    private static func hex(_ words: [UInt32]) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return words.flatMap { word in
            stride(from: 28, through: 0, by: -4).map { digits[Int(word >> UInt32($0) & 15)] }
        }
    }

    /// SHA-1 of FIPS 180-4, section 6.1.
    private static func digest(_ message: [UInt8]) -> [UInt32] {
        var padded = message + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        let bits = UInt64(message.count) * 8
        for shift in stride(from: 56, through: 0, by: -8) { padded.append(UInt8(truncatingIfNeeded: bits >> shift)) }

        var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
        var schedule = [UInt32](repeating: 0, count: 80)
        for block in stride(from: 0, to: padded.count, by: 64) {
            for index in 0..<16 {
                schedule[index] = (0..<4).reduce(0) { $0 << 8 | UInt32(padded[block + index * 4 + $1]) }
            }
            for index in 16..<80 {
                schedule[index] = rotate(
                    schedule[index - 3] ^ schedule[index - 8] ^ schedule[index - 14] ^ schedule[index - 16],
                    1
                )
            }
            var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
            for index in 0..<80 {
                let (mix, constant) = round(index, b, c, d)
                let next = rotate(a, 5) &+ mix &+ e &+ constant &+ schedule[index]
                (e, d, c, b, a) = (d, c, rotate(b, 30), a, next)
            }
            for (index, word) in [a, b, c, d, e].enumerated() { state[index] &+= word }
        }
        return state
    }

    private static func round(_ index: Int, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> (mix: UInt32, constant: UInt32) {
        switch index {
        case ..<20: (b & c | ~b & d, 0x5A82_7999)
        case ..<40: (b ^ c ^ d, 0x6ED9_EBA1)
        case ..<60: (b & c | b & d | c & d, 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
    }

    private static func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 { word << count | word >> (32 - count) }
}
