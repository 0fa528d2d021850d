// Where a value stands in a body: policy works on offsets, so that reading a request copies nothing.

/// A string's contents in a body, without its quotes; or, where said so, the text of another value.
public struct JSONSlice: Sendable, Equatable {
    /// Bytes from the start of the body.
    public let start: Int32
    /// Bytes as written, escapes included.
    public let count: Int32
    /// Whether the bytes differ from the text that they mean.
    public let hasEscapes: Bool

    /// Makes a slice.
    ///
    /// - Parameters:
    ///   - start: bytes from the start of the body.
    ///   - count: bytes as written.
    ///   - hasEscapes: whether there is a backslash among them.
    public init(start: Int32, count: Int32, hasEscapes: Bool) {
        self.start = start
        self.count = count
        self.hasEscapes = hasEscapes
    }

    /// The text that the string means, as UTF-8.
    ///
    /// One allocation.
    ///
    /// - Parameter body: the body that was scanned.
    /// - Returns: the decoded bytes.
    public func decoded(in body: Span<UInt8>) -> [UInt8] {
        JSONString(start: Int(start), count: Int(count), decodedCount: hasEscapes ? 0 : Int(count)).decoded(in: body)
    }

    /// The bytes as written.
    ///
    /// One allocation.
    ///
    /// - Parameter body: the body that was scanned.
    /// - Returns: the bytes of the slice.
    public func raw(in body: Span<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(Int(count))
        append(body, from: Int(start), to: Int(start) + Int(count), into: &output)
        return output
    }
}

/// A string that the reader has passed and found valid.
package struct JSONString {
    /// The first byte after the opening quote.
    package let start: Int
    /// Bytes as written, without the quotes.
    package let count: Int
    /// Bytes of UTF-8 that it means.
    ///
    /// Every escape is longer than what it means, so this tells escapes too.
    package let decodedCount: Int

    package var end: Int { start + count }
    package var hasEscapes: Bool { decodedCount != count }
    package var slice: JSONSlice { JSONSlice(start: Int32(start), count: Int32(count), hasEscapes: hasEscapes) }

    /// Costs one comparison of lengths for most wrong guesses.
    @inline(__always)
    package func equals(_ literal: StaticString, in bytes: Span<UInt8>) -> Bool {
        guard hasEscapes else { return JSONBytes.areEqual(bytes, from: start, count: count, to: literal) }
        guard decodedCount == literal.utf8CodeUnitCount else { return false }
        let text = decoded(in: bytes)
        return JSONBytes.areEqual(text.span, from: 0, count: text.count, to: literal)
    }

    /// The text it means.
    ///
    /// A lone surrogate, which only a lenient reader lets through, becomes U+FFFD.
    func decoded(in bytes: Span<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(count)
        var index = start
        var copied = start
        while index < end {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < end else {
                index += 1
                continue
            }
            append(bytes, from: copied, to: index, into: &output)
            index += decodeEscape(bytes, at: index, into: &output)
            copied = index
        }
        append(bytes, from: copied, to: end, into: &output)
        return output
    }

    /// Returns the length of the escape at `offset`.
    private func decodeEscape(_ bytes: Span<UInt8>, at offset: Int, into output: inout [UInt8]) -> Int {
        switch bytes[offset + 1] {
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0c)
        case UInt8(ascii: "n"): output.append(0x0a)
        case UInt8(ascii: "r"): output.append(0x0d)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"):
            var value = UInt32(clamping: JSONBytes.hex4(bytes, at: offset + 2))
            var length = 6
            if value & 0xfc00 == 0xd800, offset + 8 <= end, JSONBytes.begins(bytes, at: offset + 6, with: "\\u") {
                let low = UInt32(clamping: JSONBytes.hex4(bytes, at: offset + 8))
                if low & 0xfc00 == 0xdc00 {
                    value = 0x1_0000 + ((value & 0x3ff) << 10 | low & 0x3ff)
                    length = 12
                }
            }
            output.append(contentsOf: String(Character(Unicode.Scalar(value) ?? "\u{fffd}")).utf8)
            return length
        case let byte: output.append(byte)
        }
        return 2
    }
}
