// The characters of a text as the split rules see them: class bits and length. Bytes that are not UTF-8 stand for
// U+FFFD, one for each maximal invalid subpart, as `String(decoding:as:)` has it and as providers do before they encode.

/// One character: its class bits and how many bytes it takes.
struct Character8 {
    let bits: UInt8
    let length: Int
}

/// Reads characters, and remembers whether one of them was broken.
struct CharacterReader {
    let classes: UnicodeClasses
    /// Whether a broken character was read since this was last cleared.
    var sawBroken = false

    /// The character at a place before the end.
    @inline(__always)
    mutating func character(_ text: Span<UInt8>, at index: Int) -> Character8 {
        let bits = classes.bytes[Int(text[index])]
        return bits != UnicodeClasses.multibyte ? Character8(bits: bits, length: 1) : multibyte(text, at: index)
    }

    @inline(never)
    private mutating func multibyte(_ text: Span<UInt8>, at index: Int) -> Character8 {
        let (scalar, length) = Self.decode(text, at: index)
        guard scalar != Self.broken else {
            sawBroken = true
            return Character8(bits: 0, length: length)  // U+FFFD is a symbol: neither white space, letter nor number
        }
        return Character8(bits: classes.bits(of: scalar), length: length)
    }

    /// No code point: the bytes are a maximal invalid subpart.
    static let broken = UInt32.max

    /// Reads one character that is not ASCII.
    ///
    /// - Source: The Unicode Standard 16.0, table 3-7 for what is well-formed; section 3.9 for maximal subparts.
    @inline(__always)
    static func decode(_ text: Span<UInt8>, at index: Int) -> (scalar: UInt32, length: Int) {
        let first = UInt32(text[index])
        let left = text.count &- index
        guard first >= 0xc2, first <= 0xf4, left >= 2 else { return (broken, 1) }
        let second = UInt32(text[index &+ 1])
        if first < 0xe0 {
            return second & 0xc0 == 0x80 ? ((first & 0x1f) << 6 | second & 0x3f, 2) : (broken, 1)
        }
        if first < 0xf0 {
            let low: UInt32 = first == 0xe0 ? 0xa0 : 0x80
            let high: UInt32 = first == 0xed ? 0x9f : 0xbf
            guard second >= low, second <= high else { return (broken, 1) }
            guard left >= 3 else { return (broken, 2) }
            let third = UInt32(text[index &+ 2])
            guard third & 0xc0 == 0x80 else { return (broken, 2) }
            return ((first & 0x0f) << 12 | (second & 0x3f) << 6 | third & 0x3f, 3)
        }
        let low: UInt32 = first == 0xf0 ? 0x90 : 0x80
        let high: UInt32 = first == 0xf4 ? 0x8f : 0xbf
        guard second >= low, second <= high else { return (broken, 1) }
        guard left >= 3 else { return (broken, 2) }
        let third = UInt32(text[index &+ 2])
        guard third & 0xc0 == 0x80 else { return (broken, 2) }
        guard left >= 4 else { return (broken, 3) }
        let fourth = UInt32(text[index &+ 3])
        guard fourth & 0xc0 == 0x80 else { return (broken, 3) }
        let high12 = (first & 0x07) << 18 | (second & 0x3f) << 12
        return (high12 | (third & 0x3f) << 6 | fourth & 0x3f, 4)
    }
}
