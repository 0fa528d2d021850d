// Byte-level questions of JSON text, eight bytes at a time where it pays. The module's unchecked loads live here only:
// `word` is the single unsafe expression, and the standard library still checks its bounds.

/// Classifies and reads raw bytes of JSON text.
package enum JSONBytes {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// Eight bytes, the first in the lowest place.
    ///
    /// The caller has seen that they exist; a wrong offset traps.
    @inline(__always)
    static func word(_ bytes: Span<UInt8>, at offset: Int) -> UInt64 {
        // Any bit pattern is a UInt64, so the load cannot make an invalid value.
        UInt64(littleEndian: unsafe bytes.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// How many of a word's bytes, from the first, are plain string contents: ASCII without `"`, `\` and controls.
    ///
    /// Each term marks a byte's high bit; a borrow can only spoil marks above the lowest true one, and only the lowest
    /// is used.
    @inline(__always)
    static func plainCount(_ word: UInt64) -> Int {
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5c)
        let marks =
            (word | ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
                | ((word &- ones &* 0x20) & ~word)) & highs
        return marks.trailingZeroBitCount >> 3
    }

    /// How many of a word's bytes, from the first, are neither LF nor CR.
    @inline(__always)
    static func withoutLineEnd(_ word: UInt64) -> Int {
        let feed = word ^ (ones &* 0x0a)
        let carriage = word ^ (ones &* 0x0d)
        let marks = (((feed &- ones) & ~feed) | ((carriage &- ones) & ~carriage)) & highs
        return marks.trailingZeroBitCount >> 3
    }

    /// The offset of the next `"` or `\`, or the end.
    static func stringStop(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index + 8 <= bytes.count {
            let word = word(bytes, at: index)
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5c)
            let marks = (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)) & highs
            if marks != 0 { return index + (marks.trailingZeroBitCount >> 3) }
            index += 8
        }
        while index < bytes.count, bytes[index] != 0x22, bytes[index] != 0x5c { index += 1 }
        return index
    }

    /// The offset of the next LF or CR, or the end.
    static func lineEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index + 8 <= bytes.count {
            let count = withoutLineEnd(word(bytes, at: index))
            index += count
            if count < 8 { return index }
        }
        while index < bytes.count, bytes[index] != 0x0a, bytes[index] != 0x0d { index += 1 }
        return index
    }

    /// The length of the well-formed UTF-8 sequence at `offset`, which is not ASCII; 0 when it is none.
    ///
    /// - Source: The Unicode Standard, table 3-7 (no overlong forms, no surrogates, nothing over U+10FFFF).
    @inline(__always)
    static func sequenceLength(_ bytes: Span<UInt8>, at offset: Int) -> Int {
        let first = bytes[offset]
        let left = bytes.count - offset
        guard first >= 0xc2, left >= 2 else { return 0 }
        let second = bytes[offset + 1]
        if first < 0xe0 { return second & 0xc0 == 0x80 ? 2 : 0 }
        guard left >= 3, bytes[offset + 2] & 0xc0 == 0x80 else { return 0 }
        if first < 0xf0 {
            let low: UInt8 = first == 0xe0 ? 0xa0 : 0x80
            let high: UInt8 = first == 0xed ? 0x9f : 0xbf
            return second >= low && second <= high ? 3 : 0
        }
        guard first <= 0xf4, left >= 4, bytes[offset + 3] & 0xc0 == 0x80 else { return 0 }
        let low: UInt8 = first == 0xf0 ? 0x90 : 0x80
        let high: UInt8 = first == 0xf4 ? 0x8f : 0xbf
        return second >= low && second <= high ? 4 : 0
    }

    /// The value of the four hexadecimal digits at `offset`, or -1.
    package static func hex4(_ bytes: Span<UInt8>, at offset: Int) -> Int {
        guard offset >= 0, offset + 4 <= bytes.count else { return -1 }
        var value = 0
        for index in offset..<(offset + 4) {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | Int(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | Int(byte - UInt8(ascii: "A") + 10)
            default: return -1
            }
        }
        return value
    }

    /// Whether the bytes at a place are exactly an ASCII literal.
    @inline(__always)
    static func areEqual(_ bytes: Span<UInt8>, from start: Int, count: Int, to literal: StaticString) -> Bool {
        guard count == literal.utf8CodeUnitCount else { return false }
        return begins(bytes, at: start, with: literal)
    }

    /// Whether an ASCII literal stands at a place.
    @inline(__always)
    package static func begins(_ bytes: Span<UInt8>, at start: Int, with literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard start + count <= bytes.count else { return false }
        // A StaticString's buffer lives for ever; it is read within its count only.
        let expected = unsafe literal.utf8Start
        for index in 0..<count where unsafe bytes[start + index] != expected[index] { return false }
        return true
    }
}

/// Appends a fixed text.
func append(_ literal: StaticString, to output: inout [UInt8]) {
    // A StaticString's buffer lives for ever; it is read within its count only.
    unsafe output.append(
        contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
    )
}

/// Appends some of a span's bytes.
@inline(__always)
func append(_ bytes: Span<UInt8>, from start: Int, to end: Int, into output: inout [UInt8]) {
    guard start < end else { return }
    // The pointer does not leave the closure, and `extracting` has checked the range.
    unsafe bytes.extracting(start..<end).withUnsafeBufferPointer { unsafe output.append(contentsOf: $0) }
}

/// Appends text as the contents of a JSON string, without its quotes.
func appendEscaped(_ text: [UInt8], to output: inout [UInt8]) {
    let digits: StaticString = "0123456789abcdef"
    for byte in text {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            output.append(UInt8(ascii: "\\"))
            output.append(byte)
        case 0..<0x20:
            append("\\u00", to: &output)
            // Both indexes are below 16, the length of `digits`.
            unsafe output.append(digits.utf8Start[Int(byte >> 4)])
            unsafe output.append(digits.utf8Start[Int(byte & 15)])
        default:
            output.append(byte)
        }
    }
}
