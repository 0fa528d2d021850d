// What a number literal says. The minus comes with it, since the least integer could not be written otherwise.

/// Reads number literals.
enum NumberLiteral {
    /// The value of a literal.
    ///
    /// - Parameters:
    ///   - source: the source.
    ///   - token: an `int`, `uint` or `double` token.
    ///   - isNegative: whether a minus belongs to it; never for `uint`.
    /// - Returns: an int, uint or double.
    /// - Throws: that the number is out of its type's range.
    static func value(_ source: [UInt8], _ token: Token, isNegative: Bool) throws(Problem) -> Value {
        let digits = source[token.start..<token.end]
        switch token.kind {
        case .uint:
            guard let magnitude = magnitude(digits.dropLast()) else {
                throw Problem(at: token.start, "the number is out of range: a uint is 0 to 18446744073709551615")
            }
            return .uint(magnitude)
        case .double:
            let text = String(decoding: digits, as: UTF8.self)
            guard let number = Double(text), number.isFinite else {
                throw Problem(at: token.start, "the number is out of range: a double is at most 1.7976931348623157e308")
            }
            return .double(isNegative ? -number : number)
        default:
            guard let magnitude = magnitude(digits), let int = signed(magnitude, isNegative: isNegative) else {
                throw Problem(
                    at: token.start,
                    "the number is out of range: an int is -9223372036854775808 to 9223372036854775807"
                )
            }
            return .int(int)
        }
    }

    private static func signed(_ magnitude: UInt64, isNegative: Bool) -> Int64? {
        guard isNegative else { return Int64(exactly: magnitude) }
        return magnitude <= Int64.min.magnitude ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil
    }

    /// Decimal digits, or hexadecimal ones after `0x`; nil beyond 64 bits.
    private static func magnitude(_ digits: ArraySlice<UInt8>) -> UInt64? {
        let isHexadecimal = digits.count > 2 && digits.dropFirst().first == UInt8(ascii: "x")
        return UInt64(
            String(decoding: isHexadecimal ? digits.dropFirst(2) : digits, as: UTF8.self),
            radix: isHexadecimal ? 16 : 10
        )
    }
}
