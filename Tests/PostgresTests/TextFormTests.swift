// The text forms of values, against each other and against what the server writes: pure, except for the last suite.

import Testing

@testable import Postgres

private let samples: [(milliseconds: Int64, text: String)] = [
    (0, "1970-01-01 00:00:00.000+00"),
    (-1, "1969-12-31 23:59:59.999+00"),
    (951_782_400_000, "2000-02-29 00:00:00.000+00"),
    (4_107_542_399_999, "2100-02-28 23:59:59.999+00"),
    (253_402_300_800_000, "10000-01-01 00:00:00.000+00"),
    (-62_135_596_800_000, "0001-01-01 00:00:00.000+00"),
    (-62_135_596_800_001, "0001-12-31 23:59:59.999+00 BC"),
]

@Suite struct `A timestamp` {
    @Test(arguments: samples) func `has the form the server reads`(milliseconds: Int64, text: String) {
        #expect(TimestampText.format(milliseconds: milliseconds) == text)
        #expect(TimestampText.parse(Array(text.utf8)) == milliseconds)
    }

    @Test(arguments: 0..<200 as Range<UInt64>) func `survives its text, whenever it is`(seed: UInt64) {
        var generator = SplitMix(state: seed)
        for _ in 0..<50 {
            let milliseconds = Int64.random(in: -210_000_000_000_000...9_000_000_000_000_000, using: &generator)
            let text = TimestampText.format(milliseconds: milliseconds)
            #expect(TimestampText.parse(Array(text.utf8)) == milliseconds)
        }
    }

    @Test(
        arguments: [
            ("2026-01-02 03:04:05+00", 1_767_323_045_000), ("2026-01-02 03:04:05.6789+00", 1_767_323_045_678),
            ("2026-01-02 05:34:05+02:30", 1_767_323_045_000), ("2026-01-02 01:04:05-02", 1_767_323_045_000),
            ("2026-01-02", 1_767_312_000_000), ("2026-01-02 03:04:05", 1_767_323_045_000),
            ("1969-12-31 23:59:59.9999+00", -1),
        ] as [(String, Int64)]
    )
    func `is read in all forms of a session with DateStyle ISO`(text: String, milliseconds: Int64) {
        #expect(TimestampText.parse(Array(text.utf8)) == milliseconds)
    }

    @Test(arguments: ["", "infinity", "-infinity", "2026", "2026-13-01", "2026-01-02 03:04", "2026-01-02 03:04:05x"])
    func `is nothing else`(text: String) {
        #expect(TimestampText.parse(Array(text.utf8)) == nil)
    }
}

@Suite struct `An array` {
    @Test(arguments: [
        [], [""], ["a"], ["a", "b"], ["NULL"], ["{}", ",", "\"", "\\", "\\\"", " a ", "\n\t"], ["ü€😀", ""],
    ])
    func `survives its text`(values: [String]) throws {
        let text = ArrayText.format(values)
        #expect(ArrayText.parse(Array(text.utf8)) == values.map { Array($0.utf8) })
    }

    @Test(arguments: ["", "{", "}", "a", "{a", "{\"a}", "{\"a\\}", "{{a}}", "{a,}", "{\"a\"b}", "[0:1]={a,b}"])
    func `is nothing else`(text: String) {
        #expect(ArrayText.parse(Array(text.utf8)) == nil)
    }

    @Test func `tells NULL from the word`() {
        #expect(ArrayText.parse(Array("{NULL,\"NULL\"}".utf8)) == [nil, Array("NULL".utf8)])
    }
}

@Suite struct `A copied row` {
    @Test func `keeps fields, rows and NULL apart`() throws {
        let rows: [[PostgresValue]] = [["a\tb", .null, "\\N"], ["x\ny\r", .bytes([0, 0xff]), ""]]
        let text = "a\\tb\t\\N\t\\\\N\nx\\ny\\r\t\\\\x00ff\t\n"
        #expect(try CopyText.encode(rows).flatMap(\.self) == Array(text.utf8))
    }

    @Test func `is cut into chunks between rows`() throws {
        let rows = [[PostgresValue]](repeating: [.text(String(repeating: "x", count: 999))], count: 1000)
        let chunks = try CopyText.encode(rows)
        #expect(chunks.count > 10)
        #expect(chunks.allSatisfy { $0.last == UInt8(ascii: "\n") && $0.count <= (1 << 16) + 1000 })
        #expect(chunks.joined().count == 1_000_000)
        #expect(try CopyText.encode([]).isEmpty)
    }

    @Test func `refuses a NUL, which would end it`() {
        #expect(throws: PostgresError.self) { try CopyText.encode([["a\0b"]]) }
        #expect(throws: PostgresError.self) { try EncodedParameters([.textArray(["a\0b"])]) }
    }
}

@Suite struct `A configuration` {
    @Test func `does not show its password`() {
        let configuration = PostgresConfiguration(conninfo: "host=h password=hunter2")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!"\(configuration)\(String(reflecting: configuration))\(dumped)".contains("hunter2"))
    }

    @Test func `with a connection string that cannot be read is refused without quoting it`() throws {
        let error = #expect(throws: PostgresError.self) {
            try PostgresPool(PostgresConfiguration(conninfo: "host=h pasword=hunter2"))
        }
        #expect(error?.message.contains("hunter2") == false)
    }

    @Test(
        arguments: [
            (.zero, 1), (.microseconds(1), 1), (.milliseconds(1500), 1500), (.seconds(1), 1000),
        ] as [(Duration, Int64)]
    )
    func `rounds a bound up, never to none`(duration: Duration, milliseconds: Int64) {
        #expect(duration.wholeMilliseconds == milliseconds)
    }
}

/// Steele, Lea and Flood's SplitMix64: a seed gives the same values every time.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
