// Arithmetic on times, and the getters. A zone moves the clock before its fields are read, so that the date moves too.

/// Functions on timestamps and durations.
enum Timestamps {
    /// A time moved by a duration.
    static func moved(_ time: Timestamp, by span: Int64) throws(EvaluationError) -> Timestamp {
        let (seconds, nanoseconds) = span.flooredDivision(by: 1_000_000_000)
        return try moved(time, seconds: seconds, nanoseconds: nanoseconds)
    }

    /// A time moved back by a duration.
    static func moved(_ time: Timestamp, back span: Int64) throws(EvaluationError) -> Timestamp {
        let (seconds, nanoseconds) = span.flooredDivision(by: 1_000_000_000)
        return try moved(time, seconds: -seconds, nanoseconds: -nanoseconds)
    }

    /// The time between two times.
    static func span(from start: Timestamp, to end: Timestamp) throws(EvaluationError) -> Int64 {
        let difference = Int128(end.seconds) - Int128(start.seconds)
        let nanoseconds = difference * 1_000_000_000 + Int128(end.nanoseconds) - Int128(start.nanoseconds)
        guard let span = Int64(exactly: nanoseconds) else { throw EvaluationError(.overflow) }
        return span
    }

    private static func moved(
        _ time: Timestamp,
        seconds: Int64,
        nanoseconds: Int64
    ) throws(EvaluationError) -> Timestamp {
        let (carry, rest) = (Int64(time.nanoseconds) + nanoseconds).flooredDivision(by: 1_000_000_000)
        return try Timestamp(seconds: time.seconds + seconds + carry, nanoseconds: Int32(rest))
    }

    /// The getters; a zone goes with timestamps only, and is UTC when nil.
    static func get(
        _ function: Function,
        _ value: Value,
        zone: Value?,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch (value, zone) {
        case (.duration(let span), nil): return .int(try get(function, duration: span))
        case (.timestamp(let time), nil): return .int(get(function, time, offset: 0))
        case (.timestamp(let time), .string(let zone)):
            // At the ends of the range the clock on the wall may show the year 0 or 10000, as with cel-go and cel-cpp.
            let offset = try TimeZones.offset(zone, at: time.seconds, &meter)
            return .int(get(function, time, offset: offset))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func get(_ function: Function, duration: Int64) throws(EvaluationError) -> Int64 {
        switch function {
        case .getHours: duration / 3_600_000_000_000
        case .getMinutes: duration / 60_000_000_000
        case .getSeconds: duration / 1_000_000_000
        // The part below a second by the specification; cel-go gives the whole.
        case .getMilliseconds: duration / 1_000_000 % 1_000
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func get(_ function: Function, _ time: Timestamp, offset: Int64) -> Int64 {
        let (day, second) = (time.seconds + offset).flooredDivision(by: 86_400)
        switch function {
        case .getHours: return second / 3_600
        case .getMinutes: return second / 60 % 60
        case .getSeconds: return second % 60
        case .getMilliseconds: return Int64(time.nanoseconds) / 1_000_000
        // The epoch was a Thursday.
        case .getDayOfWeek: return (day + 4).flooredDivision(by: 7).remainder
        default: break
        }
        let date = Calendar.date(day: day)
        switch function {
        case .getFullYear: return date.year
        case .getMonth: return date.month - 1
        case .getDate: return date.day
        case .getDayOfMonth: return date.day - 1
        default: return day - Calendar.days(year: date.year, month: 1, day: 1)
        }
    }
}

/// The Gregorian calendar, also before there was one.
enum Calendar {
    /// Days from the epoch to a date.
    ///
    /// Years are counted from March, so that the leap day is a year's last; 400 of them have 146,097 days.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month > 2 ? month - 3 : month + 9
        let (era, yearOfEra) = (month > 2 ? year : year - 1).flooredDivision(by: 400)
        let dayOfYear = (153 * shifted + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The date that is so many days after the epoch.
    static func date(day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (day + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    /// How many days a month has, 1...12.
    static func days(inMonth month: Int64, year: Int64) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: isLeap(year) ? 29 : 28
        default: 31
        }
    }

    static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
}

extension Int64 {
    /// The quotient rounded down, and the remainder that is never negative; the divisor is positive.
    func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
