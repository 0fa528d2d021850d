// Regular expressions: RE2, which searches in linear time whatever the pattern. The pointer to a compiled pattern lives
// and dies in this file.

private import CRE2

/// A compiled pattern; usable from any thread.
@safe final class Regex: Sendable {
    // `nonisolated(unsafe)` is safe: RE2's objects are immutable once made, and RE2 says that matching is thread-safe.
    private nonisolated(unsafe) let compiled: OpaquePointer
    private let programSize: Int
    private let patternCodePoints: Int

    /// The most octets that a pattern can have.
    static let maxPatternBytes = 1024
    /// The most bytes that a compiled pattern can need; RE2 refuses larger ones.
    ///
    /// Compiling the worst of what is accepted takes 45 ms, mostly for Unicode's classes (`\pL` has a millisecond).
    static let maxProgramBytes = 1 << 20
    /// The same for patterns that a request brings: 2,000 instructions, which take about 3 ms.
    static let maxDynamicProgramBytes = 1 << 17

    /// Compiles a pattern.
    ///
    /// - Throws: `.badPattern`.
    convenience init(_ pattern: ByteString) throws(EvaluationError) {
        try self.init(pattern, maxProgramBytes: Self.maxProgramBytes)
    }

    private init(_ pattern: ByteString, maxProgramBytes: Int) throws(EvaluationError) {
        guard pattern.count <= Self.maxPatternBytes else { throw EvaluationError(.badPattern) }
        let made = unsafe pattern.storage.withUnsafeBufferPointer { storage in
            let part = unsafe UnsafeBufferPointer(rebasing: storage[pattern.range])
            return unsafe weir_re2_compile(part.baseAddress, part.count, Int64(maxProgramBytes))
        }
        guard let made = unsafe made else { throw EvaluationError(.badPattern) }
        unsafe compiled = made
        programSize = max(1, Int(unsafe weir_re2_program_size(made)))
        patternCodePoints = pattern.codePointCount
    }

    deinit { unsafe weir_re2_free(compiled) }

    /// Whether a text is a pattern; compiles it.
    static func isGood(_ pattern: ByteString) -> Bool {
        do throws(EvaluationError) {
            _ = try Regex(pattern)
            return true
        } catch {
            return false
        }
    }

    /// Whether the pattern is found anywhere in a text; linear in the text.
    func matches(_ text: ByteString) -> Bool {
        unsafe text.storage.withUnsafeBufferPointer { storage in
            let part = unsafe UnsafeBufferPointer(rebasing: storage[text.range])
            return unsafe weir_re2_matches(compiled, part.baseAddress, part.count)
        }
    }

    /// `text.matches(this)`, paid for.
    func search(_ text: ByteString, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        try Library.matchesCost(text: text, patternCodePoints: patternCodePoints, meter: &meter)
        return try paidMatches(text, &meter)
    }

    /// Small patterns can have large programs (`(\\pL{9}){9}`), which no unit pays for: an instruction for each octet at
    /// worst, a table look-up nearly always, hence the divisor.
    private func paidMatches(_ text: ByteString, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        let (steps, overflows) = text.count.multipliedReportingOverflow(by: programSize)
        try meter.touch(overflows ? .max : steps >> 8)
        return matches(text)
    }

    /// `text.matches(pattern)` with a pattern that is not known before: compiled for this call, and paid for.
    static func matches(_ text: Value, _ pattern: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (text, pattern) = try Strings.strings(text, pattern)
        guard pattern.count <= maxPatternBytes else { throw EvaluationError(.badPattern) }
        try Library.matchesCost(text: text, patternCodePoints: pattern.codePointCount, meter: &meter)
        // Compiling takes about 10 µs and more with the pattern, which no unit pays for; how much more is known after,
        // except that reading a Unicode class takes 0.2 ms by itself.
        try meter.touch(1000 + 64 * pattern.count + 2000 * unicodeClasses(pattern))
        let compiled: Regex
        do throws(EvaluationError) {
            compiled = try Regex(pattern, maxProgramBytes: maxDynamicProgramBytes)
        } catch {
            try meter.touch(16_000)
            throw error
        }
        try meter.touch(8 * compiled.programSize)
        return .bool(try compiled.paidMatches(text, &meter))
    }

    /// How often a pattern has `\p` or `\P`; not fewer, though perhaps more, times than RE2 finds a class.
    private static func unicodeClasses(_ pattern: ByteString) -> Int {
        var found = 0
        for offset in 0..<max(0, pattern.count - 1)
        where pattern[offset] == UInt8(ascii: "\\") && pattern[offset + 1] | 0x20 == UInt8(ascii: "p") {
            found += 1
        }
        return found
    }
}

extension Library {
    /// Pays for one search: a tenth of the text and one, times a quarter of the pattern.
    static func matchesCost(
        text: ByteString,
        patternCodePoints: Int,
        meter: inout Meter
    ) throws(EvaluationError) {
        let rows = Strings.tenths(text.codePointCount + 1)
        let (units, overflows) = rows.multipliedReportingOverflow(by: (UInt64(patternCodePoints) + 3) / 4)
        try meter.charge(overflows ? .max : units)
        // An empty pattern is free, and the text is looked at all the same.
        try meter.touch(text.count >> 4)
    }
}
