// Reads JSON text in one pass, where the caller says what it wants and skips the rest. It has no recursion, so that
// hostile depth costs a counter and not a stack: known shapes are nested loops of the caller's, unknown ones are walked
// with one bit per level that says "object" or "array".

/// Sees the parts of a value as a reader walks over it.
protocol JSONVisitor {
    /// A member's name; its value comes next.
    mutating func visit(key: JSONString, in bytes: Span<UInt8>)
    /// A string that is an element or a member's value.
    mutating func visit(string: JSONString, in bytes: Span<UInt8>)
    /// A number or literal of so many bytes.
    mutating func visit(scalarCount: Int, isNumber: Bool)
    /// `{` or `[`.
    mutating func open(isObject: Bool)
    /// `}` or `]`.
    mutating func close(isObject: Bool)
    /// `,`; a `:` is implied by its key.
    mutating func separate()
}

/// Looks at nothing: validation alone.
struct NoVisitor: JSONVisitor {
    @inline(__always) mutating func visit(key: JSONString, in bytes: Span<UInt8>) {}
    @inline(__always) mutating func visit(string: JSONString, in bytes: Span<UInt8>) {}
    @inline(__always) mutating func visit(scalarCount: Int, isNumber: Bool) {}
    @inline(__always) mutating func open(isObject: Bool) {}
    @inline(__always) mutating func close(isObject: Bool) {}
    @inline(__always) mutating func separate() {}
}

/// A place in JSON text.
///
/// The text itself is passed to every call, since a span cannot be stored. Tokens reads prompts with it.
package struct JSONReader {
    /// Open containers at most; the bit stack of `value(_:visiting:)` holds no more.
    static let maxDepth = 64
    /// A double takes 25 bytes in its longest usual spelling; big integers some hundred.
    ///
    /// More is an attack.
    static let maxNumberBytes = 512

    package private(set) var index = 0
    private(set) var depth = 0
    /// Where the last `,` between members or elements stood, as far as `nextKey` and `nextElement` saw it.
    private(set) var separatorOffset = 0
    /// Requests are read strictly.
    ///
    /// Answers are not ours to refuse: a delta may hold half a surrogate pair or half a code point, and the usage
    /// beside it counts all the same.
    let isStrict: Bool

    package init(isStrict: Bool, at index: Int = 0) {
        self.isStrict = isStrict
        self.index = index
    }

    // MARK: What comes next

    /// The next significant byte, not consumed; 0, which starts nothing, at the end.
    @inline(__always)
    package mutating func peek(_ bytes: Span<UInt8>) -> UInt8 {
        while index < bytes.count {
            let byte = bytes[index]
            if byte > 0x20 { return byte }
            guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return byte }
            index += 1
        }
        return 0
    }

    func unexpected(_ bytes: Span<UInt8>) -> ScanError {
        ScanError(index < bytes.count ? .unexpectedByte : .truncated, at: index)
    }

    /// Only whitespace may be left.
    package mutating func expectEnd(_ bytes: Span<UInt8>) throws(ScanError) {
        _ = peek(bytes)
        guard index == bytes.count else { throw ScanError(.trailingBytes, at: index) }
    }

    // MARK: Containers whose members the caller reads

    @inline(__always)
    private mutating func enter() throws(ScanError) {
        guard depth < Self.maxDepth else { throw ScanError(.tooDeep, at: index) }
        depth += 1
        index += 1
    }

    @inline(__always)
    private mutating func leave() {
        depth -= 1
        index += 1
    }

    /// Consumes the `{` or `[` that `peek` has shown.
    package mutating func enterContainer() throws(ScanError) {
        try enter()
    }

    /// The next member's name with its colon consumed; nil, with the brace consumed, after the last.
    @inline(__always)
    package mutating func nextKey(_ bytes: Span<UInt8>, isFirst: inout Bool) throws(ScanError) -> JSONString? {
        let byte = peek(bytes)
        if byte == UInt8(ascii: "}") {
            leave()
            return nil
        }
        if isFirst {
            isFirst = false
        } else {
            guard byte == UInt8(ascii: ",") else { throw unexpected(bytes) }
            separatorOffset = index
            index += 1
        }
        return try keyAndColon(bytes)
    }

    /// Whether an element comes next; the bracket is consumed after the last.
    @inline(__always)
    package mutating func nextElement(_ bytes: Span<UInt8>, isFirst: inout Bool) throws(ScanError) -> Bool {
        let byte = peek(bytes)
        if isFirst {
            isFirst = false
            guard byte == UInt8(ascii: "]") else { return true }
        } else if byte == UInt8(ascii: ",") {
            separatorOffset = index
            index += 1
            return true
        }
        guard byte == UInt8(ascii: "]") else { throw unexpected(bytes) }
        leave()
        return false
    }

    @inline(__always)
    private mutating func keyAndColon(_ bytes: Span<UInt8>) throws(ScanError) -> JSONString {
        guard peek(bytes) == UInt8(ascii: "\"") else { throw unexpected(bytes) }
        let key = try string(bytes)
        guard peek(bytes) == UInt8(ascii: ":") else { throw unexpected(bytes) }
        index += 1
        return key
    }

    // MARK: Scalars

    /// Consumes the string whose quote `peek` has shown.
    package mutating func string(_ bytes: Span<UInt8>) throws(ScanError) -> JSONString {
        let start = index + 1
        var place = start
        var saved = 0
        while true {
            while place + 8 <= bytes.count {
                let plain = JSONBytes.plainCount(JSONBytes.word(bytes, at: place))
                place += plain
                if plain < 8 { break }
            }
            guard place < bytes.count else { throw ScanError(.truncated, at: place) }
            let byte = bytes[place]
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\") {
                try escape(bytes, at: &place, saved: &saved)
            } else if byte >= 0x80 {
                try text(bytes, at: &place)
            } else if byte >= 0x20 {
                place += 1
            } else {
                throw ScanError(.controlCharacter, at: place)
            }
        }
        index = place + 1
        return JSONString(start: start, count: place - start, decodedCount: place - start - saved)
    }

    /// Passes a run of text that is not ASCII.
    private func text(_ bytes: Span<UInt8>, at place: inout Int) throws(ScanError) {
        while place < bytes.count, bytes[place] >= 0x80 {
            let length = JSONBytes.sequenceLength(bytes, at: place)
            guard length > 0 else {
                if isStrict { throw ScanError(.badUTF8, at: place) }
                place += 1
                continue
            }
            place += length
        }
    }

    private func escape(_ bytes: Span<UInt8>, at place: inout Int, saved: inout Int) throws(ScanError) {
        guard place + 1 < bytes.count else { throw ScanError(.truncated, at: place) }
        switch bytes[place + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            place += 2
            saved += 1
        case UInt8(ascii: "u"):
            let value = JSONBytes.hex4(bytes, at: place + 2)
            guard value >= 0 else { throw ScanError(.badEscape, at: place) }
            if value & 0xf800 == 0xd800 {
                let isHigh = value & 0xfc00 == 0xd800
                let low =
                    isHigh && JSONBytes.begins(bytes, at: place + 6, with: "\\u")
                    ? JSONBytes.hex4(bytes, at: place + 8) : -1
                if low >= 0, low & 0xfc00 == 0xdc00 {
                    place += 12
                    saved += 8
                    return
                }
                if isStrict { throw ScanError(.loneSurrogate, at: place) }
            }
            place += 6
            saved += value < 0x80 ? 5 : value < 0x800 ? 4 : 3
        default:
            throw ScanError(.badEscape, at: place)
        }
    }

    /// Consumes the number whose first byte `peek` has shown, and says where it starts.
    package mutating func number(_ bytes: Span<UInt8>) throws(ScanError) -> Int {
        let start = index
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        if index < bytes.count, bytes[index] == UInt8(ascii: "0") {
            index += 1
        } else {
            try digits(bytes)
        }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            try digits(bytes)
        }
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
                index += 1
            }
            try digits(bytes)
        }
        guard index - start <= Self.maxNumberBytes else { throw ScanError(.numberTooLong, at: start) }
        return start
    }

    /// At least one digit.
    @inline(__always)
    private mutating func digits(_ bytes: Span<UInt8>) throws(ScanError) {
        let start = index
        while index < bytes.count, bytes[index] &- UInt8(ascii: "0") < 10 { index += 1 }
        guard index > start else { throw ScanError(index < bytes.count ? .badNumber : .truncated, at: index) }
    }

    /// Consumes `true`, `false` or `null`, whose first byte `peek` has shown.
    package mutating func literal(_ bytes: Span<UInt8>) throws(ScanError) {
        let word: StaticString =
            switch bytes[index] {
            case UInt8(ascii: "t"): "true"
            case UInt8(ascii: "f"): "false"
            default: "null"
            }
        guard JSONBytes.begins(bytes, at: index, with: word) else {
            throw ScanError(index + word.utf8CodeUnitCount > bytes.count ? .truncated : .unexpectedByte, at: index)
        }
        index += word.utf8CodeUnitCount
    }

    // MARK: Whole values

    /// Consumes a value of any shape, validating it.
    package mutating func skip(_ bytes: Span<UInt8>) throws(ScanError) {
        var visitor = NoVisitor()
        try value(bytes, visiting: &visitor)
    }

    /// Consumes a value of any shape, showing its parts.
    mutating func value<Visitor: JSONVisitor>(
        _ bytes: Span<UInt8>,
        visiting visitor: inout Visitor
    ) throws(ScanError) {
        let base = depth
        var objects: UInt64 = 0  // one bit per open container, the innermost lowest
        while true {
            let byte = peek(bytes)
            switch byte {
            case UInt8(ascii: "\""):
                visitor.visit(string: try string(bytes), in: bytes)
            case UInt8(ascii: "{"):
                try enter()
                visitor.open(isObject: true)
                if peek(bytes) != UInt8(ascii: "}") {
                    objects = objects << 1 | 1
                    visitor.visit(key: try keyAndColon(bytes), in: bytes)
                    continue
                }
                leave()
                visitor.close(isObject: true)
            case UInt8(ascii: "["):
                try enter()
                visitor.open(isObject: false)
                if peek(bytes) != UInt8(ascii: "]") {
                    objects <<= 1
                    continue
                }
                leave()
                visitor.close(isObject: false)
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                let start = try number(bytes)
                visitor.visit(scalarCount: index - start, isNumber: true)
            case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
                let start = index
                try literal(bytes)
                visitor.visit(scalarCount: index - start, isNumber: false)
            default:
                throw unexpected(bytes)
            }
            // A value ends here; so may the containers around it.
            while true {
                if depth == base { return }
                let isObject = objects & 1 == 1
                let next = peek(bytes)
                if next == UInt8(ascii: ",") {
                    index += 1
                    visitor.separate()
                    if isObject { visitor.visit(key: try keyAndColon(bytes), in: bytes) }
                    break
                }
                guard next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else { throw unexpected(bytes) }
                leave()
                objects >>= 1
                visitor.close(isObject: isObject)
            }
        }
    }

    // MARK: Values of a known type, or nothing

    /// Consumes a string, or any other value, which gives nil.
    package mutating func stringOrSkip(_ bytes: Span<UInt8>) throws(ScanError) -> JSONString? {
        if peek(bytes) == UInt8(ascii: "\"") { return try string(bytes) }
        try skip(bytes)
        return nil
    }
}
