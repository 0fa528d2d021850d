// Times: what is read and refused, the ends of the ranges, and clocks in zones.

import Testing

@testable import CEL

@Suite struct `Times` {
    @Test(arguments: [
        ("2009-02-13T23:31:30Z", "2009-02-13T23:31:30Z"), ("2009-02-13T23:31:30.5Z", "2009-02-13T23:31:30.5Z"),
        ("2023-02-03T23:31:20+00:00", "2023-02-03T23:31:20Z"), ("2023-01-01T01:30:00+02:00", "2022-12-31T23:30:00Z"),
        ("2023-01-01T00:00:00.1234567899Z", "2023-01-01T00:00:00.123456789Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"), ("1900-02-29T00:00:00Z", "malformedText"),
        ("0000-01-01T00:00:00Z", "overflow"), ("0001-01-01T00:00:00+00:01", "overflow"),
        ("9999-12-31T23:59:59-00:01", "overflow"), ("10000-01-01T00:00:00Z", "malformedText"),
        ("2023-02-29T00:00:00Z", "malformedText"), ("2023-01-01T00:00:60Z", "malformedText"),
        ("2023-01-01T24:00:00Z", "malformedText"), ("2023-01-01t00:00:00Z", "malformedText"),
        ("2023-01-01T00:00:00z", "malformedText"), ("2023-01-01T00:00:00", "malformedText"),
        ("2023-01-01T00:00:00,5Z", "malformedText"), ("2023-01-01T00:00:00.Z", "malformedText"),
        ("2023-01-01T00:00:00+0530", "malformedText"), ("2023-01-01T00:00:00+24:00", "malformedText"),
        ("2023-01-01T00:00:0Z.", "malformedText"), ("2023-13-01T00:00:00Z", "malformedText"), ("", "malformedText"),
    ])
    func `are read from RFC 3339`(text: String, expected: String) {
        #expect(outcome(.toTimestamp, [.text(text)]) == expected)
    }

    @Test(arguments: [
        ("0", "0ns"), ("-0", "0ns"), ("+0", "0ns"), ("100s", "100000000000ns"), ("1.5h", "5400000000000ns"),
        ("1h34us", "3600000034000ns"), (".5s", "500000000ns"), ("1.s", "1000000000ns"), ("-1m1ms", "-60001000000ns"),
        ("0.0000000001h", "360ns"), ("0.3333333333333333333h", "1199999999999ns"),
        ("2562047h47m16.854775807s", "9223372036854775807ns"), ("-2562047h47m16.854775808s", "-9223372036854775808ns"),
        ("2562047h47m16.854775808s", "overflow"), ("320000000000s", "overflow"), ("1.5", "malformedText"),
        ("1d", "malformedText"), ("1 s", "malformedText"), ("--1s", "malformedText"), ("s", "malformedText"),
        (".s", "malformedText"), ("", "malformedText"), ("-", "malformedText"), ("1s-1s", "malformedText"),
        ("1µs", "malformedText"), ("1.1.1s", "malformedText"), ("00", "malformedText"),
    ])
    func `between times are read`(text: String, expected: String) {
        #expect(outcome(.toDuration, [.text(text)]) == expected)
    }

    @Test(
        arguments: [
            (3_600_000_000_000, "3600s"), (1_500_000_000, "1.5s"), (-500_000_000, "-0.5s"), (0, "0s"),
            (1, "0.000000001s"),
            (.min, "-9223372036854775808".dropLast(9) + ".854775808s"),
        ] as [(Int64, String)]
    )
    func `between times are printed in seconds`(span: Int64, expected: String) {
        #expect(outcome(.toString, [.duration(span)]) == "\"\(expected)\"")
    }

    @Test func `move, and end where the years end`() throws {
        let first = try converted(.toTimestamp, "0001-01-01T00:00:00Z")
        let last = try converted(.toTimestamp, "9999-12-31T23:59:59.999999999Z")
        #expect(outcome(.add, [first, .duration(-1)]) == "overflow")
        #expect(outcome(.add, [.duration(1), last]) == "overflow")
        #expect(outcome(.subtract, [first, .duration(1)]) == "overflow")
        #expect(outcome(.subtract, [last, .duration(.min)]) == "overflow")
        #expect(outcome(.subtract, [last, first]) == "overflow")
        #expect(outcome(.subtract, [last, .duration(999_999_999)]) == "9999-12-31T23:59:59Z")
        #expect(outcome(.subtract, [first, .duration(-1)]) == "0001-01-01T00:00:00.000000001Z")
        #expect(
            outcome(.subtract, [.timestamp(try Timestamp(seconds: 1)), .timestamp(try Timestamp(seconds: 2))])
                == "-1000000000ns"
        )
        let far = Value.timestamp(try Timestamp(seconds: 9_223_372_036, nanoseconds: 854_775_807))
        let epoch = Value.timestamp(try Timestamp(seconds: 0))
        #expect(outcome(.subtract, [far, epoch]) == "9223372036854775807ns")
        #expect(outcome(.subtract, [far, .timestamp(try Timestamp(seconds: -1))]) == "overflow")
        let farBack = Value.timestamp(try Timestamp(seconds: -9_223_372_037, nanoseconds: 145_224_192))
        #expect(outcome(.subtract, [farBack, epoch]) == "-9223372036854775808ns")
        #expect(outcome(.toInt, [try converted(.toTimestamp, "1969-12-31T23:59:59.5Z")]) == "-1")
        #expect(outcome(.toTimestamp, [.int(253_402_300_800)]) == "overflow")
        #expect(outcome(.toTimestamp, [.int(.min)]) == "overflow")
    }

    @Test(
        arguments: [
            (.getDate, "Australia/Sydney", "14"), (.getDayOfMonth, "US/Central", "12"),
            (.getDayOfMonth, "+11:00", "13"),
            (.getDayOfWeek, "UTC", "5"), (.getDayOfYear, "US/Central", "43"), (.getFullYear, "-09:30", "2009"),
            (.getHours, "02:00", "1"), (.getMinutes, "Asia/Kathmandu", "16"), (.getMonth, "", "1"),
            (.getSeconds, "-00:00", "30"), (.getMinutes, "-00:30", "1"), (.getHours, "Europe/Berlin", "0"),
            (.getHours, "+05", "unknownTimeZone"), (.getHours, "Nowhere/City", "unknownTimeZone"),
            (.getHours, "../../etc/passwd", "unknownTimeZone"), (.getHours, "/etc/passwd", "unknownTimeZone"),
            (.getHours, "Europe", "unknownTimeZone"), (.getHours, "zone.tab", "unknownTimeZone"),
            (.getHours, "localtime", "unknownTimeZone"), (.getHours, "Europe/Berlin\u{0}", "unknownTimeZone"),
            (.getHours, String(repeating: "A", count: 65), "unknownTimeZone"), (.getHours, "+24:00", "unknownTimeZone"),
        ] as [(Function, String, String)]
    )
    func `have fields that a zone moves`(function: Function, zone: String, expected: String) throws {
        let time = try converted(.toTimestamp, "2009-02-13T23:31:30Z")
        #expect(outcome(function, [time, .text(zone)]) == expected)
    }

    @Test func `have fields in any zone at the ends of the range, too`() throws {
        let first = try converted(.toTimestamp, "0001-01-01T00:00:00Z")
        let last = try converted(.toTimestamp, "9999-12-31T23:59:59.999999999Z")
        #expect(outcome(.getDayOfMonth, [first, .text("-08:00")]) == "30")
        #expect(outcome(.getFullYear, [first, .text("-08:00")]) == "0")
        #expect(outcome(.getMonth, [last, .text("Europe/Berlin")]) == "0")
        #expect(outcome(.getFullYear, [last, .text("Europe/Berlin")]) == "10000")
    }

    // Before the first change, in both halves of a year, just around a change, and long after the file's last one.
    @Test(arguments: [
        ("Europe/Berlin", "1800-01-01T00:00:00Z", 3_208), ("Europe/Berlin", "2020-01-01T00:00:00Z", 3_600),
        ("Europe/Berlin", "2020-07-01T00:00:00Z", 7_200), ("Europe/Berlin", "2020-03-29T00:59:59Z", 3_600),
        ("Europe/Berlin", "2020-03-29T01:00:00Z", 7_200), ("Europe/Berlin", "2500-07-01T00:00:00Z", 7_200),
        ("Europe/Berlin", "2500-12-01T00:00:00Z", 3_600), ("Europe/Berlin", "2100-10-31T00:59:59Z", 7_200),
        ("Europe/Berlin", "2100-10-31T01:00:00Z", 3_600), ("America/New_York", "2040-07-01T00:00:00Z", -14_400),
        ("America/New_York", "2040-03-11T06:59:59Z", -18_000), ("America/New_York", "2040-03-11T07:00:00Z", -14_400),
        ("Australia/Sydney", "2050-01-01T00:00:00Z", 39_600), ("Australia/Sydney", "2050-07-01T00:00:00Z", 36_000),
        ("Asia/Kolkata", "2050-01-01T00:00:00Z", 19_800), ("America/St_Johns", "2050-01-01T00:00:00Z", -12_600),
        ("Etc/GMT+5", "2050-01-01T00:00:00Z", -18_000),
    ])
    func `follow a zone's rules`(zone: String, time: String, expected: Int32) throws {
        let zone = try #require(TimeZones.zone(named: ByteString(zone)))
        #expect(zone.offset(at: try TimeText.timestamp(ByteString(time)).seconds) == expected)
    }

    @Test func `between times have whole hours, minutes and seconds, and part of a second`() {
        let span = Value.duration(-3_999_000_000)
        #expect(outcome(.getSeconds, [span]) == "-3")
        #expect(outcome(.getMinutes, [.duration(3_730_000_000_000)]) == "62")
        #expect(outcome(.getHours, [.duration(10_000_000_000_000)]) == "2")
        #expect(outcome(.getMilliseconds, [.duration(123_321_456_789)]) == "321")
        #expect(outcome(.getMilliseconds, [span]) == "-999")
        #expect(outcome(.getDate, [span]) == "noSuchOverload")
        #expect(outcome(.getHours, [span, .text("UTC")]) == "noSuchOverload")
    }

    @Test func `have dates that count every day once`() {
        var expected = (year: Int64(1895), month: Int64(1), day: Int64(1))
        let start = Calendar.days(year: 1895, month: 1, day: 1)
        for day in start..<start + 366 * 220 {
            #expect(Calendar.date(day: day) == expected)
            expected.day += 1
            if expected.day > Int64(Calendar.days(inMonth: expected.month, year: expected.year)) {
                expected = expected.month == 12 ? (expected.year + 1, 1, 1) : (expected.year, expected.month + 1, 1)
            }
        }
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `are never read from a damaged zone file in a way that traps`(seed: UInt64) throws {
        var generator = RandomBits(seed: seed)
        var octets = try #require(ZoneFile.read(ByteString("Europe/Berlin")))
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            octets[Int.random(in: 0..<octets.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        octets.removeLast(Int.random(in: 0...(seed % 2 == 0 ? 0 : octets.count), using: &generator))
        let zone = Zone(octets)
        _ = zone?.offset(at: Timestamp.range.lowerBound)
        _ = zone?.offset(at: Timestamp.range.upperBound)
    }
}
