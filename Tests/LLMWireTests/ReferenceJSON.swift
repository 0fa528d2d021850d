// A slow, obvious reader of RFC 8259, written from the grammar and sharing nothing with the scanner: what it refuses, the
// scanner must refuse; what it reads, a rewritten body must still say.

/// A JSON value.
///
/// Numbers keep their spelling; members their order and their duplicates.
indirect enum ReferenceJSON: Equatable {
    case null
    case bool(Bool)
    case number([UInt8])
    case string([UInt8])
    case array([ReferenceJSON])
    case object([Member])

    struct Member: Equatable {
        let key: [UInt8]
        var value: ReferenceJSON
    }

    struct Refused: Error {}

    /// Reads a document; when not strict, broken UTF-8 and halves of surrogate pairs pass, as answers may have them.
    init(parsing text: [UInt8], isStrict: Bool = true) throws {
        var parser = Parser(text: text, isStrict: isStrict)
        self = try parser.document()
    }

    /// The document, or nil when it is refused, which has no other reason than the grammar.
    static func reading(_ text: [UInt8], isStrict: Bool = true) -> ReferenceJSON? {
        do {
            return try ReferenceJSON(parsing: text, isStrict: isStrict)
        } catch {
            return nil
        }
    }

    var members: [([UInt8], ReferenceJSON)] {
        if case .object(let members) = self { members.map { ($0.key, $0.value) } } else { [] }
    }

    subscript(_ key: String) -> ReferenceJSON? {
        members.first { $0.0 == Array(key.utf8) }?.1
    }

    private struct Parser {
        let text: [UInt8]
        let isStrict: Bool
        var at = 0

        mutating func document() throws -> ReferenceJSON {
            let value = try element()
            if at != text.count { throw Refused() }
            return value
        }

        mutating func blanks() {
            while at < text.count, [0x20, 0x09, 0x0a, 0x0d].contains(text[at]) { at += 1 }
        }

        mutating func element() throws -> ReferenceJSON {
            blanks()
            let found = try value()
            blanks()
            return found
        }

        func next() throws -> UInt8 {
            if at >= text.count { throw Refused() }
            return text[at]
        }

        mutating func take(_ word: String) throws {
            for byte in word.utf8 {
                if try next() != byte { throw Refused() }
                at += 1
            }
        }

        mutating func value() throws -> ReferenceJSON {
            switch try next() {
            case UInt8(ascii: "n"):
                try take("null")
                return .null
            case UInt8(ascii: "t"):
                try take("true")
                return .bool(true)
            case UInt8(ascii: "f"):
                try take("false")
                return .bool(false)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "["): return try array()
            case UInt8(ascii: "{"): return try object()
            default: return try number()
            }
        }

        mutating func array() throws -> ReferenceJSON {
            try take("[")
            blanks()
            if try next() == UInt8(ascii: "]") {
                at += 1
                return .array([])
            }
            var values = [try element()]
            while try next() == UInt8(ascii: ",") {
                at += 1
                values.append(try element())
            }
            try take("]")
            return .array(values)
        }

        mutating func object() throws -> ReferenceJSON {
            try take("{")
            blanks()
            if try next() == UInt8(ascii: "}") {
                at += 1
                return .object([])
            }
            var members = [try member()]
            while try next() == UInt8(ascii: ",") {
                at += 1
                members.append(try member())
            }
            try take("}")
            return .object(members)
        }

        mutating func member() throws -> Member {
            blanks()
            let key = try string()
            blanks()
            try take(":")
            return Member(key: key, value: try element())
        }

        mutating func number() throws -> ReferenceJSON {
            let start = at
            if try next() == UInt8(ascii: "-") { at += 1 }
            if try next() == UInt8(ascii: "0") { at += 1 } else { try digits() }
            if at < text.count, text[at] == UInt8(ascii: ".") {
                at += 1
                try digits()
            }
            if at < text.count, text[at] == UInt8(ascii: "e") || text[at] == UInt8(ascii: "E") {
                at += 1
                if try next() == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") { at += 1 }
                try digits()
            }
            return .number(Array(text[start..<at]))
        }

        mutating func digits() throws {
            let start = at
            while at < text.count, text[at] >= UInt8(ascii: "0"), text[at] <= UInt8(ascii: "9") { at += 1 }
            if at == start { throw Refused() }
        }

        mutating func string() throws -> [UInt8] {
            try take("\"")
            var decoded: [UInt8] = []
            while try next() != UInt8(ascii: "\"") {
                let byte = text[at]
                at += 1
                if byte < 0x20 { throw Refused() }
                if byte == UInt8(ascii: "\\") { try escape(into: &decoded) } else { decoded.append(byte) }
            }
            at += 1
            // The standard library's own validation, which refuses overlong forms and surrogates.
            if isStrict, String(validating: decoded, as: UTF8.self) == nil { throw Refused() }
            return decoded
        }

        mutating func escape(into decoded: inout [UInt8]) throws {
            let kind = try next()
            at += 1
            let simple: [UInt8: UInt8] = [
                0x22: 0x22, 0x5c: 0x5c, 0x2f: 0x2f, 0x62: 0x08, 0x66: 0x0c, 0x6e: 0x0a, 0x72: 0x0d, 0x74: 0x09,
            ]
            if let byte = simple[kind] {
                decoded.append(byte)
                return
            }
            if kind != UInt8(ascii: "u") { throw Refused() }
            var units = [try hexUnit()]
            if !isStrict, UTF16.isSurrogate(units[0]) {
                decoded.append(contentsOf: [UInt8(units[0] >> 8), UInt8(units[0] & 0xff)])
                return
            }
            if UTF16.isLeadSurrogate(units[0]) {
                try take("\\u")
                units.append(try hexUnit())
            }
            guard let pair = String(validating: units, as: UTF16.self) else { throw Refused() }
            decoded.append(contentsOf: pair.utf8)
        }

        mutating func hexUnit() throws -> UInt16 {
            if at + 4 > text.count { throw Refused() }
            let digits = String(decoding: text[at..<(at + 4)], as: UTF8.self)
            guard digits.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { throw Refused() }
            guard let unit = UInt16(digits, radix: 16) else { throw Refused() }
            at += 4
            return unit
        }
    }
}
