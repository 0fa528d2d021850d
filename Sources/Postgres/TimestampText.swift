// Timestamps to and from the ISO text that a session with DateStyle ISO writes; no Foundation, no time zone table.

/// `2026-01-31 23:59:59.123456+00`, a year before 1 with ` BC` at its end.
///
/// The calendar is the proleptic Gregorian one; days are counted as in "chrono-Compatible Low-Level Date Algorithms"
/// (H. Hinnant, howardhinnant.github.io/date_algorithms.html), in eras of 400 years that begin in March.
enum TimestampText {
    private static let millisecondsPerDay: Int64 = 86_400_000
    private static let daysPerEra: Int64 = 146_097
    /// From 0000-03-01, where eras begin, to 1970-01-01.
    private static let daysToEpoch: Int64 = 719_468

    static func format(milliseconds: Int64) -> String {
        let (days, rest) = floorDivide(milliseconds, by: millisecondsPerDay)
        let date = civil(fromDays: days)
        let time =
            "\(padded(rest / 3_600_000, 2)):\(padded(rest / 60_000 % 60, 2)):"
            + "\(padded(rest / 1000 % 60, 2)).\(padded(rest % 1000, 3))+00"
        let isBeforeChrist = date.year <= 0
        let year = isBeforeChrist ? 1 - date.year : date.year
        return "\(padded(year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2)) \(time)"
            + (isBeforeChrist ? " BC" : "")
    }

    /// The milliseconds since the epoch, rounded down; nil for anything else, such as `infinity`.
    static func parse(_ text: [UInt8]) -> Int64? {
        var scanner = Scanner(bytes: text)
        guard var year = scanner.number(digits: 4...6), scanner.skip("-"), let month = scanner.number(digits: 2...2),
            scanner.skip("-"), let day = scanner.number(digits: 2...2), (1...12).contains(month),
            (1...31).contains(day)
        else { return nil }
        var microseconds: Int64 = 0
        var offset: Int64 = 0
        if scanner.skip(" "), !scanner.isAt("B") {
            guard let hour = scanner.number(digits: 2...2), scanner.skip(":"),
                let minute = scanner.number(digits: 2...2), scanner.skip(":"),
                let second = scanner.number(digits: 2...2)
            else { return nil }
            microseconds = ((hour * 60 + minute) * 60 + second) * 1_000_000
            if scanner.skip(".") {
                guard let fraction = scanner.fraction() else { return nil }
                microseconds += fraction
            }
            if scanner.isAt("+") || scanner.isAt("-") {
                let sign: Int64 = scanner.skip("-") ? -1 : 1
                if sign == 1 { _ = scanner.skip("+") }
                guard let hours = scanner.number(digits: 2...2) else { return nil }
                let minutes = scanner.skip(":") ? scanner.number(digits: 2...2) : 0
                let seconds = scanner.skip(":") ? scanner.number(digits: 2...2) : 0
                guard let minutes, let seconds else { return nil }
                offset = sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
            }
            _ = scanner.skip(" ")
        }
        if scanner.skip("B") {
            guard scanner.skip("C") else { return nil }
            year = 1 - year
        }
        guard scanner.isAtEnd else { return nil }
        let days = days(fromYear: year, month: month, day: day)
        return days * millisecondsPerDay + floorDivide(microseconds - offset, by: 1000).quotient
    }

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floorDivide(days + daysToEpoch, by: daysPerEra)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    private static func days(fromYear year: Int64, month: Int64, day: Int64) -> Int64 {
        let (era, yearOfEra) = floorDivide(month <= 2 ? year - 1 : year, by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * daysPerEra + dayOfEra - daysToEpoch
    }

    private static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func padded(_ value: Int64, _ count: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, count - digits.utf8.count)) + digits
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }

        func isAt(_ character: Unicode.Scalar) -> Bool {
            position < bytes.count && bytes[position] == UInt8(ascii: character)
        }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard isAt(character) else { return false }
            position += 1
            return true
        }

        mutating func number(digits: ClosedRange<Int>) -> Int64? {
            var value: Int64 = 0
            let start = position
            while position < bytes.count, position - start < digits.upperBound, let digit = digit(at: position) {
                value = value * 10 + digit
                position += 1
            }
            return digits.contains(position - start) ? value : nil
        }

        /// One to six digits after the point, as microseconds.
        mutating func fraction() -> Int64? {
            let start = position
            guard var value = number(digits: 1...6) else { return nil }
            for _ in 0..<6 - (position - start) { value *= 10 }
            return value
        }

        private func digit(at position: Int) -> Int64? {
            let byte = bytes[position]
            return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) ? Int64(byte - UInt8(ascii: "0")) : nil
        }
    }
}
