// Counts text that comes in parts: JSON strings whose escapes must be decoded, and descriptions that are put together
// from many. Only what may still change is kept, so that a body is never copied whole.

internal import LLMWire

/// Text put together and counted as it grows.
struct TextFeed: Sendable {
    /// When to count what is there.
    static let chunkBytes = 4_096

    let tokenizer: Tokenizer
    /// Tokens of everything that is finished.
    private(set) var tokens = 0
    /// Where counting may stop.
    let limit: Int
    private var buffer: [UInt8]
    /// How much to gather before the next try to count: doubled while there is no place to cut.
    private var target = Self.chunkBytes

    /// Makes a feed of nothing.
    ///
    /// - Parameters:
    ///   - tokenizer: what counts.
    ///   - limit: counting may stop when there are more tokens.
    ///   - buffer: an empty array, for its memory.
    init(_ tokenizer: Tokenizer, limit: Int, buffer: consuming [UInt8]) {
        self.tokenizer = tokenizer
        self.limit = limit
        self.buffer = buffer
    }

    /// Gives the buffer back for the next feed.
    consuming func takeBuffer() -> [UInt8] { buffer }

    var isOverLimit: Bool { tokens > limit }

    /// Adds tokens that are no text.
    mutating func add(_ count: Int) { tokens += count }

    // MARK: Whole texts

    /// Counts a JSON string as a text of its own.
    mutating func count(_ string: JSONString, in body: Span<UInt8>) {
        guard string.hasEscapes else {
            guard !isOverLimit else { return }
            tokens += tokenizer.count(
                body.extracting(string.start..<string.end),
                stoppingAfter: max(limit - tokens, 0)
            )
            return
        }
        append(string, in: body)
        finish()
    }

    // MARK: Texts in parts

    /// Adds fixed text.
    mutating func append(_ literal: StaticString) {
        TextBytes.append(literal, to: &buffer)
    }

    /// Adds bytes as they are.
    mutating func append(_ bytes: Span<UInt8>, from start: Int, to end: Int) {
        var index = start
        while index < end, !isOverLimit {
            let next = min(end, index + max(target - buffer.count, 1))
            TextBytes.append(bytes, from: index, to: next, into: &buffer)
            index = next
            if buffer.count >= target { flush() }
        }
    }

    /// Adds blanks.
    mutating func append(blanks count: Int) {
        for _ in 0..<count { buffer.append(UInt8(ascii: " ")) }
    }

    /// Adds what a JSON string means.
    mutating func append(_ string: JSONString, in body: Span<UInt8>) {
        guard string.hasEscapes else { return append(body, from: string.start, to: string.end) }
        var index = string.start
        while index < string.end, !isOverLimit {
            let run = index
            while index < string.end, body[index] != UInt8(ascii: "\\") { index += 1 }
            append(body, from: run, to: index)
            guard index < string.end else { return }
            index += appendEscape(body, at: index, before: string.end)
        }
    }

    /// Adds a JSON string as it would be written with as few escapes as JSON allows.
    mutating func appendSpelled(_ string: JSONString, in body: Span<UInt8>) {
        guard string.hasEscapes else { return append(body, from: string.start, to: string.end) }
        var index = string.start
        while index < string.end, !isOverLimit {
            let run = index
            while index < string.end, body[index] != UInt8(ascii: "\\") { index += 1 }
            append(body, from: run, to: index)
            guard index + 1 < string.end else { return }
            if body[index + 1] == UInt8(ascii: "/") || Self.isPlain(body, at: index) {
                index += appendEscape(body, at: index, before: string.end)
            } else {
                let length = body[index + 1] == UInt8(ascii: "u") ? 6 : 2
                append(body, from: index, to: min(index + length, string.end))
                index += length
            }
        }
    }

    /// Whether an escape is a `\u` of a character that needs none.
    private static func isPlain(_ body: Span<UInt8>, at index: Int) -> Bool {
        guard body[index + 1] == UInt8(ascii: "u") else { return false }
        let value = JSONBytes.hex4(body, at: index + 2)
        return value >= 0x20 && value != 0x22 && value != 0x5c
    }

    /// Adds what the escape at a place means, and returns its length.
    private mutating func appendEscape(_ body: Span<UInt8>, at index: Int, before end: Int) -> Int {
        guard index + 1 < end else { return 1 }
        switch body[index + 1] {
        case UInt8(ascii: "b"): buffer.append(0x08)
        case UInt8(ascii: "f"): buffer.append(0x0c)
        case UInt8(ascii: "n"): buffer.append(0x0a)
        case UInt8(ascii: "r"): buffer.append(0x0d)
        case UInt8(ascii: "t"): buffer.append(0x09)
        case UInt8(ascii: "u"):
            let (scalar, length) = Self.scalar(body, at: index)
            append(scalar)
            return length
        case let byte: buffer.append(byte)
        }
        return 2
    }

    /// The code point that `\u` means, with a surrogate pair as one; half a pair is U+FFFD.
    private static func scalar(_ body: Span<UInt8>, at index: Int) -> (UInt32, length: Int) {
        let value = UInt32(clamping: JSONBytes.hex4(body, at: index + 2))
        guard value & 0xf800 == 0xd800 else { return (value, 6) }
        if value & 0x0400 == 0, JSONBytes.begins(body, at: index + 6, with: "\\u") {
            let low = UInt32(clamping: JSONBytes.hex4(body, at: index + 8))
            if low & 0xfc00 == 0xdc00 { return (0x1_0000 + ((value & 0x3ff) << 10 | low & 0x3ff), 12) }
        }
        return (0xfffd, 6)
    }

    private mutating func append(_ scalar: UInt32) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: 0x80 | scalar >> shift & 0x3f) }
        switch scalar {
        case 0..<0x80:
            buffer.append(UInt8(scalar))
        case 0x80..<0x800:
            buffer.append(UInt8(0xc0 | scalar >> 6))
            buffer.append(tail(0))
        case 0x800..<0x1_0000:
            buffer.append(UInt8(0xe0 | scalar >> 12))
            buffer.append(tail(6))
            buffer.append(tail(0))
        default:
            buffer.append(UInt8(truncatingIfNeeded: 0xf0 | scalar >> 18))
            buffer.append(tail(12))
            buffer.append(tail(6))
            buffer.append(tail(0))
        }
        if buffer.count >= target { flush() }
    }

    /// Ends a text: what comes next is another.
    mutating func finish() {
        countBuffer(upTo: buffer.count)
        buffer.removeAll(keepingCapacity: true)
        target = Self.chunkBytes
    }

    private mutating func countBuffer(upTo end: Int) {
        guard end > 0, !isOverLimit else { return }
        tokens += tokenizer.count(buffer.span.extracting(0..<end), stoppingAfter: max(limit - tokens, 0))
    }

    /// Counts up to the last place where every encoding begins a piece, whatever follows.
    private mutating func flush() {
        let cut = lastCut()
        guard cut > 0 else {
            target *= 2
            return
        }
        countBuffer(upTo: cut)
        buffer.removeSubrange(0..<cut)
        target = max(Self.chunkBytes, buffer.count * 2)
    }

    /// A place after an ASCII letter, digit or sign and before a blank; or after a letter and before an ASCII sign that
    /// is no apostrophe.
    ///
    /// A piece that ends there cannot take in what follows in any of the split rules, and none looks back.
    private func lastCut() -> Int {
        let classes = UnicodeClasses.shared.bytes
        var index = buffer.count - 1
        while index > 0 {
            let before = classes[Int(buffer[index - 1])]
            let after = buffer[index]
            if after == UInt8(ascii: " "), before & (UnicodeClasses.white | UnicodeClasses.multibyte) == 0 {
                return index
            }
            if before & UnicodeClasses.letter != 0 || before == UnicodeClasses.multibyte && isLetter(before: index),
                classes[Int(after)] & (UnicodeClasses.letter | UnicodeClasses.number | UnicodeClasses.multibyte) == 0,
                after != UInt8(ascii: "'")
            {
                return index
            }
            index -= 1
        }
        return 0
    }

    /// Whether the character that ends before a place, which is not ASCII, is a letter.
    private func isLetter(before end: Int) -> Bool {
        var start = end - 1
        while start > 0, end - start < 4, buffer[start] & 0xc0 == 0x80 { start -= 1 }
        let (scalar, length) = CharacterReader.decode(buffer.span, at: start)
        guard scalar != CharacterReader.broken, start + length == end else { return false }
        return UnicodeClasses.shared.bits(of: scalar) & UnicodeClasses.letter != 0
    }
}
