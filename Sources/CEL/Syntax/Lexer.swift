// Cuts a source into tokens. All of them before parsing starts: the parser then knows how many arguments a call has
// when it meets its name, and macros are told from calls by that.
//
// Source of the rules: google/cel-spec @508bd98 doc/langdef.md "Syntax", google/cel-go @14f6746 parser/gen/CEL.g4.

/// Makes tokens of UTF-8.
struct Lexer {
    private let source: [UInt8]
    private var position = 0
    private var tokens: [Token] = []
    /// The open brackets, by their tokens.
    private var brackets: [Int] = []

    private init(_ source: [UInt8]) { self.source = source }

    /// All tokens of a source.
    ///
    /// - Returns: tokens up to `.end`, or up to `.illegal` with what is wrong there.
    static func tokens(of source: [UInt8]) -> (tokens: [Token], problem: Problem?) {
        var lexer = Lexer(source)
        do throws(Problem) {
            while try lexer.next() {}
            let end = lexer.tokens.last?.end ?? 0
            lexer.tokens.append(Token(kind: .end, start: end, end: end))
            return (lexer.tokens, nil)
        } catch {
            lexer.tokens.append(Token(kind: .illegal, start: error.offset, end: error.offset))
            return (lexer.tokens, error)
        }
    }

    /// Adds a token; false at the end of the source.
    private mutating func next() throws(Problem) -> Bool {
        skipSpace()
        guard position < source.count else { return false }
        let byte = source[position]
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            try string(prefix: 0)
        case UInt8(ascii: "."):
            if self.byte(at: position + 1).isDigit { number() } else { add(.dot, 1) }
        case UInt8(ascii: "`"):
            try quoted()
        case _ where byte.isDigit:
            number()
        case _ where byte.isLetter || byte == UInt8(ascii: "_"):
            try word()
        default:
            try sign(byte)
        }
        return true
    }

    private func byte(at index: Int) -> UInt8 { index < source.count ? source[index] : 0 }

    private mutating func add(_ kind: Token.Kind, _ length: Int) {
        if let open = brackets.last, !kind.closesBracket {
            if kind == .comma || tokens[open].argumentCount == 0 { tokens[open].argumentCount += 1 }
        }
        if kind.closesBracket { _ = brackets.popLast() }
        if kind.opensBracket { brackets.append(tokens.count) }
        tokens.append(Token(kind: kind, start: position, end: position + length))
        position += length
    }

    private mutating func skipSpace() {
        while position < source.count {
            switch source[position] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), 0x0C:
                position += 1
            case UInt8(ascii: "/") where byte(at: position + 1) == UInt8(ascii: "/"):
                while position < source.count && source[position] != UInt8(ascii: "\n") { position += 1 }
            default:
                return
            }
        }
    }

    /// A name, a word of the language, or a string with a prefix.
    private mutating func word() throws(Problem) {
        var end = position + 1
        while byte(at: end).isLetter || byte(at: end).isDigit || byte(at: end) == UInt8(ascii: "_") { end += 1 }
        let word = source[position..<end]
        if byte(at: end) == UInt8(ascii: "\"") || byte(at: end) == UInt8(ascii: "'") {
            switch String(decoding: word, as: UTF8.self).lowercased() {
            case "r", "b", "br": return try string(prefix: word.count)
            case "rb": throw Problem(at: position, "raw bytes are written with the prefix `br`")
            default: break
            }
        }
        let kind: Token.Kind =
            switch String(decoding: word, as: UTF8.self) {
            case "in": .in
            case "null": .null
            case "true": .true
            case "false": .false
            default: .identifier
            }
        add(kind, word.count)
    }

    private mutating func quoted() throws(Problem) {
        var end = position + 1
        while byte(at: end).isAllowedInQuotes { end += 1 }
        guard end < source.count else { throw Problem(at: position, "the name in backquotes does not end") }
        guard source[end] == UInt8(ascii: "`") else {
            throw Problem(at: end, "a name in backquotes has letters, digits, spaces and `_.-/` only")
        }
        guard end > position + 1 else { throw Problem(at: position, "there is no name between the backquotes") }
        add(.quoted, end + 1 - position)
    }

    /// A number's extent; its value is the parser's business, which knows the sign.
    private mutating func number() {
        var end = position
        if byte(at: end) == UInt8(ascii: "0"), byte(at: end + 1) == UInt8(ascii: "x"), byte(at: end + 2).isHexDigit {
            end += 2
            while byte(at: end).isHexDigit { end += 1 }
            return addInteger(to: end)
        }
        while byte(at: end).isDigit { end += 1 }
        var isDouble = false
        if byte(at: end) == UInt8(ascii: "."), byte(at: end + 1).isDigit {
            isDouble = true
            end += 1
            while byte(at: end).isDigit { end += 1 }
        }
        if byte(at: end) | 0x20 == UInt8(ascii: "e") {
            let hasSign = byte(at: end + 1) == UInt8(ascii: "+") || byte(at: end + 1) == UInt8(ascii: "-")
            let digits = end + (hasSign ? 2 : 1)
            if byte(at: digits).isDigit {
                isDouble = true
                end = digits
                while byte(at: end).isDigit { end += 1 }
            }
        }
        if isDouble { add(.double, end - position) } else { addInteger(to: end) }
    }

    private mutating func addInteger(to end: Int) {
        if byte(at: end) | 0x20 == UInt8(ascii: "u") {
            add(.uint, end + 1 - position)
        } else {
            add(.int, end - position)
        }
    }

    /// A string's extent; its escapes are looked at when it is parsed.
    private mutating func string(prefix: Int) throws(Problem) {
        let shape = StringShape(source, from: position, prefix: prefix)
        var end = position + prefix + shape.quoteCount
        while true {
            guard end < source.count else {
                let quote = String(repeating: shape.quote == UInt8(ascii: "'") ? "'" : "\"", count: shape.quoteCount)
                throw Problem(at: position, "the string does not end: expected \(quote)")
            }
            let byte = source[end]
            let isThrice = self.byte(at: end + 1) == byte && self.byte(at: end + 2) == byte
            if byte == shape.quote, shape.quoteCount == 1 || isThrice { break }
            if shape.quoteCount == 1, byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                let mark = shape.quote == UInt8(ascii: "'") ? "'''" : "\"\"\""
                throw Problem(at: position, "the string does not end on its line; one of several lines is in \(mark)")
            }
            end += 1
            // What is escaped does not end the string; a line break is looked at again, as it does end it.
            if byte == UInt8(ascii: "\\"), !shape.isRaw, self.byte(at: end) != UInt8(ascii: "\n"),
                self.byte(at: end) != UInt8(ascii: "\r")
            {
                end += 1
            }
        }
        add(shape.isBytes ? .bytes : .string, end + shape.quoteCount - position)
    }

    private mutating func sign(_ byte: UInt8) throws(Problem) {
        let pair = self.byte(at: position + 1)
        let isTwice = pair == byte
        let hasEqual = pair == UInt8(ascii: "=")
        switch byte {
        case UInt8(ascii: "("): add(.leftParenthesis, 1)
        case UInt8(ascii: ")"): add(.rightParenthesis, 1)
        case UInt8(ascii: "["): add(.leftBracket, 1)
        case UInt8(ascii: "]"): add(.rightBracket, 1)
        case UInt8(ascii: "{"): add(.leftBrace, 1)
        case UInt8(ascii: "}"): add(.rightBrace, 1)
        case UInt8(ascii: ","): add(.comma, 1)
        case UInt8(ascii: ":"): add(.colon, 1)
        case UInt8(ascii: "?"): add(.question, 1)
        case UInt8(ascii: "+"): add(.plus, 1)
        case UInt8(ascii: "-"): add(.minus, 1)
        case UInt8(ascii: "*"): add(.star, 1)
        case UInt8(ascii: "/"): add(.slash, 1)
        case UInt8(ascii: "%"): add(.percent, 1)
        case UInt8(ascii: "!"): hasEqual ? add(.notEqual, 2) : add(.not, 1)
        case UInt8(ascii: "<"): hasEqual ? add(.lessOrEqual, 2) : add(.less, 1)
        case UInt8(ascii: ">"): hasEqual ? add(.greaterOrEqual, 2) : add(.greater, 1)
        case UInt8(ascii: "=") where isTwice: add(.equal, 2)
        case UInt8(ascii: "&") where isTwice: add(.and, 2)
        case UInt8(ascii: "|") where isTwice: add(.or, 2)
        case UInt8(ascii: "="): throw Problem(at: position, "`=` is no operator; `==` compares")
        case UInt8(ascii: "&"): throw Problem(at: position, "`&` is no operator; `&&` is the logical and")
        case UInt8(ascii: "|"): throw Problem(at: position, "`|` is no operator; `||` is the logical or")
        default: throw Problem(at: position, "unexpected character \(character())")
        }
    }

    /// The character at the position, for a message: as itself if it can be seen, and by its number unless it is ASCII.
    private func character() -> String {
        let text = String(decoding: source[position..<min(position + 4, source.count)], as: UTF8.self)
        guard let scalar = text.unicodeScalars.first else { return "" }
        if (0x21...0x7E).contains(scalar.value) { return "`\(scalar)`" }
        let digits = String(scalar.value, radix: 16, uppercase: true)
        let number = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        switch scalar {
        case "“", "”", "„", "‘", "’", "«", "»": return "`\(scalar)` (\(number)); strings are in `\"` or `'`"
        case _ where scalar.properties.isAlphabetic: return "`\(scalar)` (\(number)); names are ASCII"
        default: return number
        }
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    fileprivate var isLetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) }
    fileprivate var isHexDigit: Bool { isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20) }

    /// Whether it may stand in a name in backquotes.
    fileprivate var isAllowedInQuotes: Bool {
        switch self {
        case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: " "): true
        default: isDigit || isLetter
        }
    }
}
