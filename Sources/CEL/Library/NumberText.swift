// Numbers as text, without Foundation: exactly the forms that `int(string)` and its kin take, and the shortest digits
// that read back, in the shape that cel-go prints them.

/// Numbers read from text and printed.
enum NumberText {
    /// `[+-]?[0-9]+` in range.
    static func int(_ text: ByteString) throws(EvaluationError) -> Int64 {
        let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
        let isSigned = isNegative || text.count > 0 && text[0] == UInt8(ascii: "+")
        let magnitude = try uint(isSigned ? text.slice(1..<text.count) : text)
        if isNegative {
            guard magnitude <= 1 << 63 else { throw EvaluationError(.overflow) }
            return Int64(truncatingIfNeeded: 0 &- magnitude)
        }
        guard let int = Int64(exactly: magnitude) else { throw EvaluationError(.overflow) }
        return int
    }

    /// `[0-9]+` in range.
    static func uint(_ text: ByteString) throws(EvaluationError) -> UInt64 {
        guard !text.isEmpty else { throw EvaluationError(.malformedText) }
        var value: UInt64 = 0
        var overflows = false
        for offset in 0..<text.count {
            guard let digit = digit(text[offset]) else { throw EvaluationError(.malformedText) }
            let (product, one) = value.multipliedReportingOverflow(by: 10)
            let (sum, other) = product.addingReportingOverflow(digit)
            value = sum
            overflows = overflows || one || other
        }
        guard !overflows else { throw EvaluationError(.overflow) }
        return value
    }

    /// Decimal or hexadecimal with an optional sign and exponent, `inf`, `infinity` and `nan` in any case.
    ///
    /// - Throws: `.malformedText`, and `.overflow` for numbers that are larger than any double.
    static func double(_ text: ByteString) throws(EvaluationError) -> Double {
        let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
        let isSigned = isNegative || text.count > 0 && text[0] == UInt8(ascii: "+")
        let unsigned = isSigned ? text.slice(1..<text.count) : text
        if unsigned.count <= 8 {
            switch String(decoding: (0..<unsigned.count).map { unsigned[$0] | 0x20 }, as: UTF8.self) {
            case "inf", "infinity": return isNegative ? -.infinity : .infinity
            case "nan": return .nan
            default: break
            }
        }
        guard isNumber(unsigned), let value = Double(unsigned.text) else { throw EvaluationError(.malformedText) }
        guard value.isFinite else { throw EvaluationError(.overflow) }
        return isNegative ? -value : value
    }

    /// The shortest digits that read back; with an exponent when it is below -4 or above 5 and not covered by digits.
    ///
    /// - Source: cel-go prints as Go's `%g`: `1e+06`, `123456.7`, `0.0001`, `1e-05`, `NaN`, `+Inf`.
    static func text(_ value: Double) -> [UInt8] {
        guard value.isFinite else { return Array((value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf").utf8) }
        let (digits, point) = shortest(value.magnitude)
        var text: [UInt8] = value.sign == .minus ? [UInt8(ascii: "-")] : []
        let exponent = point - 1
        guard exponent < -4 || exponent >= 6 else {
            appendFixed(digits, point: point, to: &text)
            return text
        }
        text.append(digits[0])
        if digits.count > 1 {
            text.append(UInt8(ascii: "."))
            text += digits[1...]
        }
        appendExponent(exponent, to: &text)
        return text
    }

    /// The shortest digits that read back, without an exponent: up to 325 octets.
    static func fixedText(_ value: Double) -> [UInt8] {
        guard value.isFinite else { return Array((value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity").utf8) }
        let (digits, point) = shortest(value.magnitude)
        var text: [UInt8] = value.sign == .minus ? [UInt8(ascii: "-")] : []
        appendFixed(digits, point: point, to: &text)
        return text
    }

    /// `e`, a sign and at least two digits.
    static func appendExponent(_ exponent: Int, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "e"))
        text.append(UInt8(ascii: exponent < 0 ? "-" : "+"))
        if exponent.magnitude < 10 { text.append(UInt8(ascii: "0")) }
        text += String(exponent.magnitude).utf8
    }

    /// Digits with a point after as many of them as said, also before or behind all of them.
    private static func appendFixed(_ digits: [UInt8], point: Int, to text: inout [UInt8]) {
        guard point > 0 else {
            text += [UInt8(ascii: "0")]
            if digits == [UInt8(ascii: "0")] { return }
            text.append(UInt8(ascii: "."))
            text += [UInt8](repeating: UInt8(ascii: "0"), count: -point)
            text += digits
            return
        }
        guard point < digits.count else {
            text += digits
            text += [UInt8](repeating: UInt8(ascii: "0"), count: point - digits.count)
            return
        }
        text += digits[..<point]
        text.append(UInt8(ascii: "."))
        text += digits[point...]
    }

    /// The shortest digits of a finite magnitude, and where the point stands in them: 0.05 is ("5", -1).
    ///
    /// The digits are those of Swift's `description`, which are the shortest; only their shape differs.
    private static func shortest(_ magnitude: Double) -> (digits: [UInt8], point: Int) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        var octets = Array(magnitude.description.utf8)[...]
        if let mark = octets.firstIndex(of: UInt8(ascii: "e")) {
            exponent = Int(String(decoding: octets[(mark + 1)...], as: UTF8.self)) ?? 0
            octets = octets[..<mark]
        }
        for octet in octets {
            if octet == UInt8(ascii: ".") { point = digits.count } else { digits.append(octet) }
        }
        var place = (point ?? digits.count) + exponent
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        guard zeros < digits.count else { return ([UInt8(ascii: "0")], 1) }
        digits.removeFirst(zeros)
        place -= zeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, place)
    }

    /// Whether a text is a number without a sign: digits with at most one point, at least one digit, an exponent if
    /// any; hexadecimal after `0x`, and then with an exponent for certain.
    private static func isNumber(_ text: ByteString) -> Bool {
        let isHex = text.count > 2 && text[0] == UInt8(ascii: "0") && text[1] | 0x20 == UInt8(ascii: "x")
        var offset = isHex ? 2 : 0
        var digits = 0
        var points = 0
        while offset < text.count {
            let octet = text[offset]
            if octet == UInt8(ascii: ".") {
                points += 1
            } else if digit(octet) != nil || isHex && (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(octet | 0x20) {
                digits += 1
            } else {
                break
            }
            offset += 1
        }
        guard digits > 0, points <= 1 else { return false }
        guard offset < text.count else { return !isHex }
        guard text[offset] | 0x20 == UInt8(ascii: isHex ? "p" : "e") else { return false }
        offset += 1
        if offset < text.count, text[offset] == UInt8(ascii: "-") || text[offset] == UInt8(ascii: "+") { offset += 1 }
        guard offset < text.count else { return false }
        for index in offset..<text.count where digit(text[index]) == nil { return false }
        return true
    }

    /// A decimal digit's value.
    @inline(__always)
    static func digit(_ octet: UInt8) -> UInt64? {
        octet >= UInt8(ascii: "0") && octet <= UInt8(ascii: "9") ? UInt64(octet - UInt8(ascii: "0")) : nil
    }
}
