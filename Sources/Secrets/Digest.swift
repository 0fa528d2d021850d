// A SHA-256 digest as a value of four words: no heap, cheap to hash and to compare.

/// 32 bytes of SHA-256 or HMAC-SHA-256.
public struct Digest: Hashable, Sendable {
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    /// The words hold the bytes in memory order, whatever the machine's byte order is.
    init(words: [4 of UInt64]) {
        first = words[0]
        second = words[1]
        third = words[2]
        fourth = words[3]
    }

    /// The digest with these bytes; nil unless there are 32.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        var words: [4 of UInt64] = .init(repeating: 0)
        for index in 0..<32 {
            words[index / 8] |= UInt64(bytes[index]) << UInt64(8 * (index % 8))
        }
        for index in 0..<4 { words[index] = UInt64(littleEndian: words[index]) }
        self.init(words: words)
    }

    /// The digest that 64 hex digits of either case stand for; nil for anything else.
    public init?(hex: String) {
        guard let bytes = Secrets.bytes(hex: hex) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 32 bytes.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        for word in [first, second, third, fourth] {
            let littleEndian = word.littleEndian
            for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: littleEndian >> UInt64(8 * index))) }
        }
        return bytes
    }

    /// The 64 lower-case hex digits.
    public var hex: String { Secrets.hex(bytes) }

    /// Whether the digests are equal, without a branch on their bits; `==` is for digests that are no secret.
    public static func isEqualInConstantTime(_ a: Digest, _ b: Digest) -> Bool {
        (a.first ^ b.first) | (a.second ^ b.second) | (a.third ^ b.third) | (a.fourth ^ b.fourth) == 0
    }
}
