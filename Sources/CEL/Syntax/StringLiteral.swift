// What a string literal says. In a string `\xff` is the code point U+00FF, in bytes it is the octet: the prefix decides.

/// How a string literal is written: its prefix and its quotes.
struct StringShape {
    /// `r`: backslashes mean themselves.
    private(set) var isRaw = false
    /// `b`: octets instead of text.
    private(set) var isBytes = false
    /// `'` or `"`.
    let quote: UInt8
    /// 1, or 3 for a string that may have line breaks.
    let quoteCount: Int

    /// Looks at a literal's first bytes.
    ///
    /// - Parameters:
    ///   - source: the source.
    ///   - start: where the literal starts.
    ///   - prefix: how many letters stand before the quote.
    init(_ source: [UInt8], from start: Int, prefix: Int) {
        for byte in source[start..<start + prefix] {
            if byte | 0x20 == UInt8(ascii: "r") { isRaw = true } else { isBytes = true }
        }
        let first = start + prefix
        quote = source[first]
        let isTriple = first + 2 < source.count && source[first + 1] == quote && source[first + 2] == quote
        quoteCount = isTriple ? 3 : 1
    }
}

/// Reads string and bytes literals.
struct StringLiteral {
    private let source: [UInt8]
    private let shape: StringShape
    private var position: Int
    private let end: Int
    private var octets: [UInt8] = []

    /// The value of a literal.
    ///
    /// - Parameters:
    ///   - source: the source; valid UTF-8.
    ///   - range: the whole literal, prefix and quotes included.
    /// - Returns: a string or bytes.
    /// - Throws: what is wrong with an escape.
    static func value(_ source: [UInt8], in range: Range<Int>) throws(Problem) -> Value {
        let quotes: [UInt8] = [UInt8(ascii: "'"), UInt8(ascii: "\"")]
        let prefix = source[range].prefix { !quotes.contains($0) }.count
        let shape = StringShape(source, from: range.lowerBound, prefix: prefix)
        var literal = StringLiteral(
            source: source,
            shape: shape,
            position: range.lowerBound + prefix + shape.quoteCount,
            end: range.upperBound - shape.quoteCount
        )
        try literal.read()
        return shape.isBytes ? .bytes(ByteString(literal.octets)) : .string(ByteString(literal.octets))
    }

    private mutating func read() throws(Problem) {
        octets.reserveCapacity(end - position)
        while position < end {
            let byte = source[position]
            if byte == UInt8(ascii: "\\"), !shape.isRaw {
                try escape()
                continue
            }
            position += 1
            guard byte == UInt8(ascii: "\r") else {
                octets.append(byte)
                continue
            }
            // Line breaks are line feeds, whichever editor wrote the source (cel-go parser/unescape.go).
            if position < end, source[position] == UInt8(ascii: "\n") { position += 1 }
            octets.append(UInt8(ascii: "\n"))
        }
    }

    /// A backslash and what belongs to it.
    private mutating func escape() throws(Problem) {
        let start = position
        guard position + 1 < end else { throw Problem(at: start, "nothing follows the `\\`") }
        let letter = source[position + 1]
        position += 2
        switch letter {
        case UInt8(ascii: "a"): octets.append(0x07)
        case UInt8(ascii: "b"): octets.append(0x08)
        case UInt8(ascii: "f"): octets.append(0x0C)
        case UInt8(ascii: "n"): octets.append(0x0A)
        case UInt8(ascii: "r"): octets.append(0x0D)
        case UInt8(ascii: "t"): octets.append(0x09)
        case UInt8(ascii: "v"): octets.append(0x0B)
        case UInt8(ascii: "\\"), UInt8(ascii: "?"), UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"):
            octets.append(letter)
        case UInt8(ascii: "x"), UInt8(ascii: "X"):
            append(try digits(2, radix: 16, of: start))
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            guard !shape.isBytes else {
                throw Problem(at: start, "bytes have no \\u and \\U escapes; write the octets with \\x")
            }
            let number = try digits(letter == UInt8(ascii: "u") ? 4 : 8, radix: 16, of: start)
            guard Unicode.Scalar(number) != nil else {
                throw Problem(at: start, "there is no such code point: not U+D800 to U+DFFF, not above U+10FFFF")
            }
            append(number)
        case UInt8(ascii: "0")...UInt8(ascii: "3"):
            position -= 1
            append(try digits(3, radix: 8, of: start))
        default:
            // A message shows nothing that could break a line or steer a terminal.
            let shown = (0x21...0x7E).contains(letter) ? "`\\\(Unicode.Scalar(letter))`" : "this"
            throw Problem(at: start, "\(shown) is no escape; a backslash itself is written `\\\\`")
        }
    }

    /// The number that a fixed count of digits makes.
    private mutating func digits(_ count: Int, radix: UInt32, of start: Int) throws(Problem) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<count {
            guard position < end, let digit = Character(Unicode.Scalar(source[position])).hexDigitValue,
                digit < Int(radix)
            else {
                let kind = radix == 16 ? "hexadecimal" : "octal"
                throw Problem(at: start, "the escape needs \(count) \(kind) digits")
            }
            number = number &* radix &+ UInt32(digit)
            position += 1
        }
        return number
    }

    /// Adds a code point to a string, an octet to bytes.
    private mutating func append(_ number: UInt32) {
        if shape.isBytes {
            octets.append(UInt8(truncatingIfNeeded: number))
        } else if let scalar = Unicode.Scalar(number) {
            octets.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }
}
