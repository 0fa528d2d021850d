// Reads text eight bytes at a time. One of the module's three files with unsafe expressions (docs/decisions/0010); the
// standard library still checks the bounds of every load here.

/// Loads and compares raw bytes of text.
enum TextBytes {
    /// Eight bytes, the first in the lowest place; a place without eight bytes after it traps.
    @inline(__always)
    static func word(_ bytes: Span<UInt8>, at offset: Int) -> UInt64 {
        // Any bit pattern is a UInt64, so the load cannot make an invalid value.
        UInt64(littleEndian: unsafe bytes.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// From 1 to 8 bytes, the first in the lowest place, zeros above them.
    @inline(__always)
    static func word(_ bytes: Span<UInt8>, at offset: Int, count: Int) -> UInt64 {
        let mask = UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- count &* 8)
        if offset &+ 8 <= bytes.count { return word(bytes, at: offset) & mask }
        return tail(bytes, at: offset, count: count)
    }

    /// The same where the text ends within eight bytes.
    @inline(never)
    private static func tail(_ bytes: Span<UInt8>, at offset: Int, count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[offset + index]) << UInt64(index * 8) }
        return value
    }

    /// Whether two ranges hold the same bytes.
    static func areEqual(
        _ left: Span<UInt8>,
        from leftStart: Int,
        _ right: Span<UInt8>,
        from rightStart: Int,
        count: Int
    ) -> Bool {
        var index = 0
        while index + 8 <= count {
            guard word(left, at: leftStart + index) == word(right, at: rightStart + index) else { return false }
            index += 8
        }
        guard index < count else { return true }
        return word(left, at: leftStart + index, count: count - index)
            == word(right, at: rightStart + index, count: count - index)
    }

    /// Whether bytes are exactly an ASCII literal.
    static func areEqual(_ bytes: Span<UInt8>, _ literal: StaticString) -> Bool {
        bytes.count == literal.utf8CodeUnitCount && begin(bytes, with: literal)
    }

    /// Whether bytes begin with an ASCII literal.
    static func begin(_ bytes: Span<UInt8>, with literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard count <= bytes.count else { return false }
        // A StaticString's buffer lives for ever; it is read within its count only.
        let expected = unsafe literal.utf8Start
        for index in 0..<count where unsafe bytes[index] != expected[index] { return false }
        return true
    }

    /// Appends a fixed text.
    static func append(_ literal: StaticString, to output: inout [UInt8]) {
        // A StaticString's buffer lives for ever; it is read within its count only.
        unsafe output.append(
            contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
        )
    }

    /// Appends some of a span's bytes.
    static func append(_ bytes: Span<UInt8>, from start: Int, to end: Int, into output: inout [UInt8]) {
        guard start < end else { return }
        // The pointer does not leave the closure, and `extracting` has checked the range.
        unsafe bytes.extracting(start..<end).withUnsafeBufferPointer { unsafe output.append(contentsOf: $0) }
    }
}
