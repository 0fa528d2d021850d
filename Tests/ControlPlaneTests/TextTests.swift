// JSON and times: strict in, exact out.

import Testing

@testable import ControlPlane

@Suite struct `JSON text` {
    @Test(arguments: [
        "null", "true", "-0", "0", "9223372036854775807", "1.5", "-2.5e-3", "\"\"", "\"a\\u00e9\\ud83d\\ude00\\n\"",
        "[]", "{}",
        "[1,[2,{\"a\":null}]]", " { \"b\" : 1 , \"a\" : [ ] } ",
    ])
    func `is read and written to the same value`(text: String) throws {
        let value = try JSONParser.parse(Array(text.utf8))
        #expect(try JSONParser.parse(value.bytes) == value)
    }

    @Test(arguments: [
        "", " ", "nul", "01", "+1", "1.", ".5", "1e", "9223372036854775808", "1e999", "\"", "\"\\x\"", "\"\\ud800\"",
        "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "[1,]", "[1", "{\"a\"}", "{\"a\":1,}", "{a:1}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}", "1 2", "[] x", "tru", "\u{FEFF}{}", "NaN",
    ])
    func `is refused when another parser might read it otherwise`(text: String) {
        #expect(throws: JSONError.self) { try JSONParser.parse(Array(text.utf8)) }
    }

    @Test func `is refused when it is not UTF-8 or too deep`() {
        #expect(throws: JSONError.self) { try JSONParser.parse([0x22, 0xC0, 0xAF, 0x22]) }
        #expect(throws: JSONError.self) { try JSONParser.parse([0x22, 0xED, 0xA0, 0x80, 0x22]) }
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError.self) { try JSONParser.parse(Array(deep.utf8)) }
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `never traps on damaged text`(seed: UInt64) {
        var random = SplitMix(state: seed)
        var bytes = Array("{\"a\":[1,2.5e3,\"x\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":null,\"d\":true}}".utf8)
        for _ in 0..<Int(1 + random.next() % 4) {
            let index = Int(random.next() % UInt64(bytes.count))
            switch random.next() % 3 {
            case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes.remove(at: index)
            default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
            }
        }
        do throws(JSONError) {
            let value = try JSONParser.parse(bytes)
            #expect(throws: Never.self) { try JSONParser.parse(value.bytes) }
        } catch {
            #expect(error.offset <= bytes.count)
        }
    }
}

@Suite struct `A time` {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_518_504_120, "2026-11-24T11:08:24.120Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] as [(Int64, String)]
    )
    func `is written and read in RFC 3339`(milliseconds: Int64, text: String) {
        #expect(Timestamp.text(milliseconds) == text)
        #expect(Timestamp.milliseconds(text) == milliseconds)
    }

    @Test func `may be written with an offset and any fraction`() {
        #expect(Timestamp.milliseconds("2026-11-24T12:08:24+01:00") == 1_795_518_504_000)
        #expect(Timestamp.milliseconds("2026-11-24T11:08:24.1209999Z") == 1_795_518_504_120)
    }

    @Test(arguments: [
        "", "2026-11-24", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T11:08:24",
        "2026-11-24T11:08:24.Z", "2026-11-24 11:08:24Z", "2026-11-24T11:08:24+0100", "x026-11-24T11:08:24Z",
    ])
    func `is refused when it is none`(text: String) {
        #expect(Timestamp.milliseconds(text) == nil)
    }
}

/// A seeded generator: Vigna's SplitMix64.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
