// The public half of an API key: 16 characters that fit two words, so that authentication hashes and compares words
// and allocates nothing.

/// The id of an API key: exactly 16 characters of 0-9 and a-z.
public struct KeyID: Hashable, Sendable {
    /// Bytes of every key id.
    public static let byteCount = 16

    /// Characters 0...7, the first in the lowest byte.
    let first: UInt64
    /// Characters 8...15, the first in the lowest byte.
    let second: UInt64

    /// Reads an id; costs two words' loads and 16 comparisons.
    ///
    /// - Returns: nil unless there are 16 bytes, all of them 0-9 or a-z.
    public init?(ascii bytes: Span<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for index in 0..<8 {
            words.0 |= UInt64(bytes[index]) << UInt64(8 * index)
            words.1 |= UInt64(bytes[index + 8]) << UInt64(8 * index)
        }
        self.init(first: words.0, second: words.1)
    }

    /// Reads an id from text, under the same rule.
    public init?(_ text: String) {
        self.init(ascii: Array(text.utf8).span)
    }

    /// The id of two words; nil when a byte is not 0-9 or a-z.
    init?(first: UInt64, second: UInt64) {
        for shift in stride(from: 0 as UInt64, to: 64, by: 8) {
            guard Self.isAllowed(UInt8(truncatingIfNeeded: first >> shift)) else { return nil }
            guard Self.isAllowed(UInt8(truncatingIfNeeded: second >> shift)) else { return nil }
        }
        self.first = first
        self.second = second
    }

    /// The 16 bytes.
    public var bytes: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? first : second) >> UInt64(8 * ($0 & 7))) }
    }

    /// The 16 characters.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The order of the bytes, which is the order of the records in a chunk.
    func precedes(_ other: KeyID) -> Bool {
        (first.byteSwapped, second.byteSwapped) < (other.first.byteSwapped, other.second.byteSwapped)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }
}

extension KeyID: CustomStringConvertible {
    /// The 16 characters.
    public var description: String { text }
}
