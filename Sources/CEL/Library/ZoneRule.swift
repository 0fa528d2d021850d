// The rule at the end of a TZif file, for all times after its last change: `CET-1CEST,M3.5.0,M10.5.0/3` (POSIX's TZ).
// Offsets in it count westwards.

/// Standard time, and when it is summer.
struct ZoneRule: Sendable {
    private let standard: Int32
    private let summer: (offset: Int32, start: Change, end: Change)?

    /// When in a year the clock changes: a day, and seconds of the clock after its midnight.
    private struct Change: Sendable {
        enum Day: Sendable {
            /// 1...365, never the leap day.
            case julian(Int64)
            /// 0...365
            case ordinal(Int64)
            /// The first...fourth weekday of a month, or the last when 5.
            case weekday(month: Int64, week: Int64, day: Int64)
        }
        let day: Day
        let seconds: Int64
    }

    /// Reads a rule; nil when it is malformed.
    init?(_ octets: [UInt8]) {
        var parser = Parser(octets: octets)
        guard parser.name(), let west = parser.time(maxHours: 24) else { return nil }
        standard = Int32(-west)
        guard !parser.isAtEnd else {
            summer = nil
            return
        }
        guard parser.name() else { return nil }
        var offset = standard + 3_600
        if parser.peek != UInt8(ascii: ",") {
            guard let west = parser.time(maxHours: 24) else { return nil }
            offset = Int32(-west)
        }
        guard parser.take(","), let start = parser.change(), parser.take(","), let end = parser.change(), parser.isAtEnd
        else { return nil }
        summer = (offset, start, end)
    }

    /// Seconds east of Greenwich at a time.
    func offset(at seconds: Int64) -> Int32 {
        guard let summer else { return standard }
        let (day, _) = (seconds + Int64(standard)).flooredDivision(by: 86_400)
        let year = Calendar.date(day: day).year
        let start = Self.seconds(summer.start, year: year) - Int64(standard)
        let end = Self.seconds(summer.end, year: year) - Int64(summer.offset)
        let isSummer = start < end ? start <= seconds && seconds < end : start <= seconds || seconds < end
        return isSummer ? summer.offset : standard
    }

    /// When a change is in a year, by the clock that shows until then.
    private static func seconds(_ change: Change, year: Int64) -> Int64 {
        let newYear = Calendar.days(year: year, month: 1, day: 1)
        let day: Int64
        switch change.day {
        case .julian(let number): day = newYear + number - 1 + (Calendar.isLeap(year) && number >= 60 ? 1 : 0)
        case .ordinal(let number): day = newYear + number
        case .weekday(let month, let week, let weekday):
            let first = Calendar.days(year: year, month: month, day: 1)
            let ahead = (weekday - (first + 4)).flooredDivision(by: 7).remainder
            var date = ahead + 7 * (week - 1)
            if date >= Int64(Calendar.days(inMonth: month, year: year)) { date -= 7 }
            day = first + date
        }
        return day * 86_400 + change.seconds
    }

    private struct Parser {
        let octets: [UInt8]
        var offset = 0

        var isAtEnd: Bool { offset == octets.count }
        var peek: UInt8? { offset < octets.count ? octets[offset] : nil }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard peek == UInt8(ascii: character) else { return false }
            offset += 1
            return true
        }

        /// Three letters or more, or anything in angle brackets.
        mutating func name() -> Bool {
            let start = offset
            if take("<") {
                while let octet = peek, octet != UInt8(ascii: ">") { offset += 1 }
                return take(">")
            }
            while let octet = peek, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(octet | 0x20) { offset += 1 }
            return offset - start >= 3
        }

        mutating func number(_ range: ClosedRange<Int64>) -> Int64? {
            let start = offset
            var value: Int64 = 0
            while let octet = peek, let digit = NumberText.digit(octet), offset - start < 3 {
                value = value * 10 + Int64(digit)
                offset += 1
            }
            return offset > start && range.contains(value) ? value : nil
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        mutating func time(maxHours: Int64) -> Int64? {
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            guard let hours = number(0...maxHours) else { return nil }
            var seconds = hours * 3_600
            for unit: Int64 in [60, 1] where take(":") {
                guard let part = number(0...59) else { return nil }
                seconds += part * unit
            }
            return isNegative ? -seconds : seconds
        }

        /// `Mm.w.d`, `Jn` or `n`, and `/time`; two in the morning without.
        mutating func change() -> Change? {
            let day: Change.Day
            if take("M") {
                guard let month = number(1...12), take("."), let week = number(1...5), take("."),
                    let weekday = number(0...6)
                else { return nil }
                day = .weekday(month: month, week: week, day: weekday)
            } else if take("J") {
                guard let number = number(1...365) else { return nil }
                day = .julian(number)
            } else {
                guard let number = number(0...365) else { return nil }
                day = .ordinal(number)
            }
            guard take("/") else { return Change(day: day, seconds: 7_200) }
            guard let seconds = time(maxHours: 167) else { return nil }
            return Change(day: day, seconds: seconds)
        }
    }
}
