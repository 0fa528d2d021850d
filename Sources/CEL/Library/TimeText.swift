// Times as text: RFC 3339 with a zone, and durations as cel-go reads them. Where engines differ, the strict reading
// is taken: a rule should not mean one thing here and another elsewhere.

/// Timestamps and durations read from text and printed.
enum TimeText {
    /// `YYYY-MM-DDTHH:MM:SS[.f…](Z|±HH:MM)`; digits beyond nanoseconds are cut off.
    ///
    /// - Throws: `.malformedText`, and `.overflow` for years that there are not.
    static func timestamp(_ text: ByteString) throws(EvaluationError) -> Timestamp {
        // Longer fractions than this are nobody's.
        guard text.count >= 20, text.count <= 128 else { throw EvaluationError(.malformedText) }
        let year = try number(text, at: 0, digits: 4)
        try expect("-", text, at: 4)
        let month = try number(text, at: 5, digits: 2, in: 1...12)
        try expect("-", text, at: 7)
        let lastDay = Int64(Calendar.days(inMonth: month, year: year))
        let day = try number(text, at: 8, digits: 2, in: 1...lastDay)
        try expect("T", text, at: 10)
        let hour = try number(text, at: 11, digits: 2, in: 0...23)
        try expect(":", text, at: 13)
        let minute = try number(text, at: 14, digits: 2, in: 0...59)
        try expect(":", text, at: 16)
        let second = try number(text, at: 17, digits: 2, in: 0...59)
        var offset = 19
        let nanoseconds = try fraction(text, at: &offset)
        let zone = try zoneSeconds(text, at: offset)
        let days = Calendar.days(year: year, month: month, day: day)
        return try Timestamp(
            seconds: days * 86_400 + hour * 3_600 + minute * 60 + second - zone,
            nanoseconds: nanoseconds
        )
    }

    /// RFC 3339 in UTC, with the digits of a second that are needed.
    static func text(_ time: Timestamp) -> [UInt8] {
        let (day, second) = time.seconds.flooredDivision(by: 86_400)
        let date = Calendar.date(day: day)
        var text: [UInt8] = []
        append(date.year, digits: 4, to: &text)
        text.append(UInt8(ascii: "-"))
        append(date.month, digits: 2, to: &text)
        text.append(UInt8(ascii: "-"))
        append(date.day, digits: 2, to: &text)
        text.append(UInt8(ascii: "T"))
        append(second / 3_600, digits: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        append(second / 60 % 60, digits: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        append(second % 60, digits: 2, to: &text)
        appendFraction(Int64(time.nanoseconds), to: &text)
        text.append(UInt8(ascii: "Z"))
        return text
    }

    /// `[+-]?` and one or more of a number and a unit, `h m s ms us ns`; a plain 0 needs none.
    ///
    /// - Throws: `.malformedText`, and `.overflow` beyond 64 bits of nanoseconds.
    static func duration(_ text: ByteString) throws(EvaluationError) -> Int64 {
        // The range has 19 digits; whoever writes more than this writes zeros.
        guard !text.isEmpty, text.count <= 128 else { throw EvaluationError(.malformedText) }
        var offset = 0
        let isNegative = text[0] == UInt8(ascii: "-")
        if isNegative || text[0] == UInt8(ascii: "+") { offset = 1 }
        guard offset < text.count else { throw EvaluationError(.malformedText) }
        if offset + 1 == text.count, text[offset] == UInt8(ascii: "0") { return 0 }
        var total: UInt64 = 0
        while offset < text.count {
            let part = try durationPart(text, at: &offset)
            total = try Arithmetic.checked(total.addingReportingOverflow(part))
        }
        if isNegative {
            guard total <= 1 << 63 else { throw EvaluationError(.overflow) }
            return Int64(truncatingIfNeeded: 0 &- total)
        }
        guard let span = Int64(exactly: total) else { throw EvaluationError(.overflow) }
        return span
    }

    /// Decimal seconds and `s`.
    static func text(duration: Int64) -> [UInt8] {
        var text: [UInt8] = duration < 0 ? [UInt8(ascii: "-")] : []
        let magnitude = duration.magnitude
        text += String(magnitude / 1_000_000_000).utf8
        appendFraction(Int64(magnitude % 1_000_000_000), to: &text)
        text.append(UInt8(ascii: "s"))
        return text
    }

    /// `HH:MM` with an optional sign, in seconds east of Greenwich; nil for anything else.
    static func offsetSeconds(_ text: ByteString) -> Int64? {
        guard let first = text.isEmpty ? nil : text[0] else { return nil }
        let isSigned = first == UInt8(ascii: "-") || first == UInt8(ascii: "+")
        let start = isSigned ? 1 : 0
        guard text.count == start + 5, text[start + 2] == UInt8(ascii: ":"),
            let seconds = offset(text, at: start)
        else { return nil }
        return first == UInt8(ascii: "-") ? -seconds : seconds
    }

    private static func offset(_ text: ByteString, at start: Int) -> Int64? {
        do throws(EvaluationError) {
            let hours = try number(text, at: start, digits: 2, in: 0...23)
            let minutes = try number(text, at: start + 3, digits: 2, in: 0...59)
            return hours * 3_600 + minutes * 60
        } catch {
            return nil  // it is no offset, which is all that the caller asks
        }
    }

    /// A number and its unit, in nanoseconds.
    private static func durationPart(_ text: ByteString, at offset: inout Int) throws(EvaluationError) -> UInt64 {
        var whole: UInt64 = 0
        var fraction: UInt64 = 0
        var scale: UInt64 = 1
        var digits = 0
        var isBehindPoint = false
        while offset < text.count {
            if let digit = NumberText.digit(text[offset]) {
                digits += 1
                if !isBehindPoint {
                    whole = try Arithmetic.checked(whole.multipliedReportingOverflow(by: 10))
                    whole = try Arithmetic.checked(whole.addingReportingOverflow(digit))
                } else if scale < 1_000_000_000_000_000_000 {
                    // An hour has 3.6·10^12 nanoseconds: later digits do not count.
                    fraction = fraction * 10 + digit
                    scale *= 10
                }
            } else if text[offset] == UInt8(ascii: "."), !isBehindPoint {
                isBehindPoint = true
            } else {
                break
            }
            offset += 1
        }
        let (unit, length) = try unit(text, at: offset)
        guard digits > 0 else { throw EvaluationError(.malformedText) }
        offset += length
        let nanoseconds = try Arithmetic.checked(whole.multipliedReportingOverflow(by: unit))
        // The fraction is less than its scale, hence the quotient less than the unit.
        let part = scale.dividingFullWidth(fraction.multipliedFullWidth(by: unit)).quotient
        return try Arithmetic.checked(nanoseconds.addingReportingOverflow(part))
    }

    private static func unit(_ text: ByteString, at offset: Int) throws(EvaluationError) -> (UInt64, length: Int) {
        let first = offset < text.count ? text[offset] : 0
        let isSecond = offset + 1 < text.count && text[offset + 1] == UInt8(ascii: "s")
        switch first {
        case UInt8(ascii: "h"): return (3_600_000_000_000, 1)
        case UInt8(ascii: "m") where isSecond: return (1_000_000, 2)
        case UInt8(ascii: "m"): return (60_000_000_000, 1)
        case UInt8(ascii: "s"): return (1_000_000_000, 1)
        case UInt8(ascii: "u") where isSecond: return (1_000, 2)
        case UInt8(ascii: "n") where isSecond: return (1, 2)
        default: throw EvaluationError(.malformedText)
        }
    }

    /// `.` and digits, if they are there.
    private static func fraction(_ text: ByteString, at offset: inout Int) throws(EvaluationError) -> Int32 {
        guard offset < text.count, text[offset] == UInt8(ascii: ".") else { return 0 }
        offset += 1
        let start = offset
        var nanoseconds: Int32 = 0
        while offset < text.count, let digit = NumberText.digit(text[offset]) {
            if offset - start < 9 { nanoseconds = nanoseconds * 10 + Int32(digit) }
            offset += 1
        }
        guard offset > start else { throw EvaluationError(.malformedText) }
        for _ in 0..<max(0, 9 - (offset - start)) { nanoseconds *= 10 }
        return nanoseconds
    }

    /// `Z` or `±HH:MM`, up to the end.
    private static func zoneSeconds(_ text: ByteString, at offset: Int) throws(EvaluationError) -> Int64 {
        let zone = text.slice(offset..<text.count)
        guard zone.count != 1 else {
            try expect("Z", zone, at: 0)
            return 0
        }
        guard zone.count == 6, let seconds = offsetSeconds(zone) else { throw EvaluationError(.malformedText) }
        return seconds
    }

    private static func number(
        _ text: ByteString,
        at offset: Int,
        digits: Int,
        in range: ClosedRange<Int64> = 0...9999
    ) throws(EvaluationError) -> Int64 {
        var value: Int64 = 0
        for index in offset..<offset + digits {
            guard let digit = NumberText.digit(text[index]) else { throw EvaluationError(.malformedText) }
            value = value * 10 + Int64(digit)
        }
        guard range.contains(value) else { throw EvaluationError(.malformedText) }
        return value
    }

    private static func expect(
        _ character: Unicode.Scalar,
        _ text: ByteString,
        at offset: Int
    ) throws(EvaluationError) {
        guard text[offset] == UInt8(ascii: character) else { throw EvaluationError(.malformedText) }
    }

    private static func append(_ value: Int64, digits: Int, to text: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    private static func appendFraction(_ nanoseconds: Int64, to text: inout [UInt8]) {
        guard nanoseconds > 0 else { return }
        text.append(UInt8(ascii: "."))
        append(nanoseconds, digits: 9, to: &text)
        while text.last == UInt8(ascii: "0") { text.removeLast() }
    }
}
