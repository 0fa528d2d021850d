// Conversions: which texts are numbers, and which digits come out.

import Testing

@testable import CEL

@Suite struct `Conversions` {
    @Test(arguments: [
        ("0", "0"), ("-0", "0"), ("+7", "7"), ("987", "987"), ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"), ("9223372036854775808", "overflow"), ("", "malformedText"),
        ("-9223372036854775809", "overflow"), ("99999999999999999999999", "overflow"), (" 1", "malformedText"),
        ("1 ", "malformedText"), ("0x1", "malformedText"), ("1_0", "malformedText"), ("1.0", "malformedText"),
        ("-", "malformedText"), ("--1", "malformedText"), ("١", "malformedText"),
    ])
    func `of text to int`(text: String, expected: String) {
        #expect(outcome(.toInt, [.text(text)]) == expected)
    }

    @Test(arguments: [
        ("300", "300u"), ("18446744073709551615", "18446744073709551615u"), ("18446744073709551616", "overflow"),
        ("-0", "malformedText"), ("+5", "malformedText"), ("", "malformedText"),
    ])
    func `of text to uint`(text: String, expected: String) {
        #expect(outcome(.toUint, [.text(text)]) == expected)
    }

    @Test(arguments: [
        ("6.02214e23", "6.02214e+23"), ("-0.0", "-0.0"), ("1.", "1.0"), (".5", "0.5"), ("+1e2", "100.0"),
        ("inf", "inf"), ("-Infinity", "-inf"), ("+INF", "inf"), ("nAn", "nan"), ("0x1p4", "16.0"),
        ("-0x.8P+1", "-1.0"), ("0x1.8p0", "1.5"), ("1e-400", "0.0"), ("5e-324", "5e-324"), ("1e400", "overflow"),
        ("0x10", "malformedText"), (" 1", "malformedText"), ("1 ", "malformedText"), (".", "malformedText"),
        ("", "malformedText"), ("e5", "malformedText"), ("1e", "malformedText"), ("1e+", "malformedText"),
        ("1_0", "malformedText"), ("infinit", "malformedText"), ("nan(1)", "malformedText"), ("1,5", "malformedText"),
        ("1.2.3", "malformedText"), ("0x", "malformedText"), ("--1", "malformedText"), ("1\u{0}", "malformedText"),
    ])
    func `of text to double`(text: String, expected: String) {
        #expect(outcome(.toDouble, [.text(text)]) == expected)
    }

    @Test(
        arguments: [
            (1, "1"), (-0.0, "-0"), (0, "0"), (0.1 + 0.2, "0.30000000000000004"), (999_999, "999999"), (1e6, "1e+06"),
            (1_234_567, "1.234567e+06"), (123_456_789, "1.23456789e+08"), (0.0001, "0.0001"), (0.00001, "1e-05"),
            (123.456, "123.456"), (-4.5e-3, "-0.0045"), (1e100, "1e+100"),
            (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
            (.leastNonzeroMagnitude, "5e-324"), (100, "100"), (1e21, "1e+21"), (.nan, "NaN"), (.infinity, "+Inf"),
            (-.infinity, "-Inf"),
        ] as [(Double, String)]
    )
    func `of double to text`(double: Double, expected: String) {
        #expect(outcome(.toString, [.double(double)]) == "\"\(expected)\"")
    }

    @Test(arguments: [
        Call(.toInt, .double(-7.9), gives: "-7"),
        Call(.toInt, .double(0x1p63), gives: "overflow"),
        Call(.toInt, .double(-0x1p63), gives: "overflow"),
        Call(.toInt, .double(.nan), gives: "overflow"),
        Call(.toInt, .uint(.max), gives: "overflow"),
        Call(.toInt, .bool(true), gives: "noSuchOverload"),
        Call(.toInt, .duration(1), gives: "noSuchOverload"),
        Call(.toUint, .double(-0.5), gives: "overflow"),
        Call(.toUint, .double(0x1p64), gives: "overflow"),
        Call(.toUint, .double(25.5), gives: "25u"),
        Call(.toUint, .int(-1), gives: "overflow"),
        Call(.toDouble, .uint(.max), gives: "1.8446744073709552e+19"),
        Call(.toBool, .text("T"), gives: "true"),
        Call(.toBool, .text("False"), gives: "false"),
        Call(.toBool, .text("TrUe"), gives: "malformedText"),
        Call(.toBool, .int(1), gives: "noSuchOverload"),
        Call(.toString, .bytes(ByteString([0xC3, 0xBF])), gives: "\"ÿ\""),
        Call(.toString, .bytes(ByteString([0, 0xFF])), gives: "malformedText"),
        Call(.toString, .bytes(ByteString([0xED, 0xA0, 0x80])), gives: "malformedText"),
        Call(.toString, .bytes(ByteString([0xC0, 0x80])), gives: "malformedText"),
        Call(.toString, .bytes(ByteString([0xF4, 0x90, 0x80, 0x80])), gives: "malformedText"),
        Call(.toString, .bytes(ByteString([0xE2, 0x82])), gives: "malformedText"),
        Call(.toString, .uint(123), gives: "\"123\""),
        Call(.toString, .bool(false), gives: "\"false\""),
        Call(.toString, .null, gives: "noSuchOverload"),
        Call(.toString, .list([]), gives: "noSuchOverload"),
        Call(.toBytes, .text("ÿ"), gives: "b[195, 191]"),
        Call(.typeOf, .list([.int(1)]), gives: "type list"),
        Call(.typeOf, .type(ByteString("int")), gives: "type type"),
        Call(.toDyn, .int(1), gives: "1"),
        Call(.size, .text("πέντε"), gives: "5"),
        Call(.size, .bytes(ByteString("πέντε")), gives: "10"),
        Call(.size, .int(1), gives: "noSuchOverload"),
    ])
    func `between types`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }

    @Test func `print doubles that read back`() {
        var generator = RandomBits(seed: 7)
        for _ in 0..<20_000 {
            let double = Double(bitPattern: generator.next())
            guard double.isFinite else { continue }
            for text in [NumberText.text(double), NumberText.fixedText(double)] {
                #expect(try! NumberText.double(ByteString(text)) == double)
            }
        }
    }
}
