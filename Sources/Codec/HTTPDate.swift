// Dates in header fields, for the one use we have: how long a server wants us to wait, told by its own clock.

/// A moment as HTTP writes it.
public enum HTTPDate {
    private static let months: [String] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`; the name of the day is not checked against the date.
    ///
    /// - Source: RFC 9110, section 5.6.7, IMF-fixdate; its two obsolete forms are not read.
    /// - Returns: seconds since 1970-01-01T00:00:00Z; nil for anything else, and for years before 1970.
    public static func seconds(_ text: [UInt8]) -> Int? {
        guard text.count == 29, text[3] == UInt8(ascii: ","), text[25...].elementsEqual(" GMT".utf8),
            [4, 7, 11, 16].allSatisfy({ text[$0] == UInt8(ascii: " ") }),
            text[19] == UInt8(ascii: ":"), text[22] == UInt8(ascii: ":"),
            let day = number(text[5..<7]), let year = number(text[12..<16]), let hour = number(text[17..<19]),
            let minute = number(text[20..<22]), let second = number(text[23..<25]),
            let month = months.firstIndex(where: { $0.utf8.elementsEqual(text[8..<11]) }),
            (1...31).contains(day), year >= 1970, hour < 24, minute < 60, second <= 60
        else { return nil }
        return ((days(year, month + 1, day) * 24 + hour) * 60 + minute) * 60 + second
    }

    /// How long it is until a moment that a server names, by that server's own clock, since clocks differ.
    ///
    /// - Parameters:
    ///   - text: the moment.
    ///   - date: the `date` field of the answer that names it.
    /// - Returns: seconds, 0 when it has passed; nil when either is missing or cannot be read.
    public static func seconds(until text: [UInt8], from date: [UInt8]?) -> Int? {
        guard let until = seconds(text), let now = date.flatMap(seconds) else { return nil }
        return max(until - now, 0)
    }

    /// Days since 1970-01-01 of a date of the Gregorian calendar.
    ///
    /// Years are counted from March, so that a leap day ends one.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let years = month > 2 ? year : year - 1
        let leapDays = years / 4 - years / 100 + years / 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return years * 365 + leapDays + dayOfYear - 719_468
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for byte in digits {
            guard byte &- UInt8(ascii: "0") < 10 else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return value
    }
}
