// UTF-8, by hand: positions in CEL are code points, while texts are octets, and Swift's own strings count characters.

extension ByteString {
    /// Whether it is well-formed UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF.
    var isValidUTF8: Bool {
        let span = storage.span.extracting(range)
        var offset = 0
        while offset < span.count {
            guard span[offset] >= 0x80 else {
                offset += 1
                continue
            }
            guard let length = Self.multiOctet(span, at: offset)?.length else { return false }
            offset += length
        }
        return true
    }

    /// The code point at an offset, and how many octets it has; U+FFFD, one octet, where it is no UTF-8.
    func codePoint(at offset: Int) -> (value: UInt32, length: Int) {
        let span = storage.span.extracting(range)
        let first = span[offset]
        guard first >= 0x80 else { return (UInt32(first), 1) }
        return Self.multiOctet(span, at: offset) ?? (0xFFFD, 1)
    }

    /// The offset of a code point that is that many after an offset; nil beyond the end.
    func offset(after count: Int64, from start: Int = 0) -> Int? {
        guard count >= 0 else { return nil }
        let span = storage.span.extracting(range)
        var offset = start
        var left = count
        while left > 0 {
            guard offset < span.count else { return nil }
            offset += 1
            while offset < span.count, span[offset] & 0xC0 == 0x80 { offset += 1 }
            left -= 1
        }
        return offset
    }

    /// How many code points begin before an offset.
    func codePoints(before offset: Int) -> Int { slice(0..<offset).codePointCount }

    /// Whether the octets at an offset are those of another.
    func hasOctets(_ other: ByteString, at offset: Int) -> Bool {
        guard offset >= 0, other.count <= count - offset else { return false }
        return slice(offset..<offset + other.count) == other
    }

    /// The code point of two to four octets at an offset; nil when it is malformed.
    private static func multiOctet(_ span: Span<UInt8>, at offset: Int) -> (value: UInt32, length: Int)? {
        let first = span[offset]
        let (length, smallest): (Int, UInt32)
        var value: UInt32
        switch first {
        case 0xC2...0xDF: (length, smallest, value) = (2, 0x80, UInt32(first & 0x1F))
        case 0xE0...0xEF: (length, smallest, value) = (3, 0x800, UInt32(first & 0x0F))
        case 0xF0...0xF4: (length, smallest, value) = (4, 0x10000, UInt32(first & 0x07))
        default: return nil
        }
        guard length <= span.count - offset else { return nil }
        for index in offset + 1..<offset + length {
            guard span[index] & 0xC0 == 0x80 else { return nil }
            value = value << 6 | UInt32(span[index] & 0x3F)
        }
        guard value >= smallest, value <= 0x10FFFF, !(0xD800...0xDFFF).contains(value) else { return nil }
        return (value, length)
    }
}

/// Finds one text in others in time linear in both, whatever they are (Knuth, Morris and Pratt's way).
struct Needle {
    let octets: ByteString
    private let fallback: [Int32]

    /// Up to this many octets, comparing at every offset is as good.
    private static let short = 8

    /// Prepares to look for octets; at least one.
    init(_ octets: ByteString) {
        self.octets = octets
        guard octets.count > Self.short else {
            fallback = []
            return
        }
        var fallback = [Int32](repeating: 0, count: octets.count)
        var matched = 0
        for index in 1..<octets.count {
            while matched > 0, octets[index] != octets[matched] { matched = Int(fallback[matched - 1]) }
            if octets[index] == octets[matched] { matched += 1 }
            fallback[index] = Int32(matched)
        }
        self.fallback = fallback
    }

    /// The offset of the first occurrence at or after another offset.
    func first(in text: ByteString, from start: Int) -> Int? {
        guard octets.count <= text.count - start else { return nil }
        let haystack = text.storage.span.extracting(text.range)
        let needle = octets.storage.span.extracting(octets.range)
        guard !fallback.isEmpty else {
            let first = needle[0]
            for offset in start...haystack.count - needle.count where haystack[offset] == first {
                var matched = 1
                while matched < needle.count, haystack[offset + matched] == needle[matched] { matched += 1 }
                if matched == needle.count { return offset }
            }
            return nil
        }
        var matched = 0
        for index in start..<haystack.count {
            while matched > 0, haystack[index] != needle[matched] { matched = Int(fallback[matched - 1]) }
            if haystack[index] == needle[matched] { matched += 1 }
            if matched == needle.count { return index + 1 - matched }
        }
        return nil
    }
}

extension [UInt8] {
    /// Appends a slice's octets.
    mutating func append(_ text: ByteString) { append(contentsOf: text.storage[text.range]) }

    /// Appends ASCII text of our own.
    mutating func append(_ text: StaticString) { append(contentsOf: text.description.utf8) }
}
