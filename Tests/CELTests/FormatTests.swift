// `format`, clause by clause; expected texts of fractions are what glibc's printf writes.

import Testing

@testable import CEL

@Suite struct `A format` {
    @Test(
        arguments: [
            ("no-op", [], "no-op"), ("%% and %%", [], "% and %"), ("%%%s%%", [.text("x")], "%x%"),
            ("%s-%s", [.bool(true), .null], "true-null"), ("%d", [.uint(64)], "64"), ("%d", [.double(.nan)], "NaN"),
            ("%d", [.double(-.infinity)], "-Infinity"), ("%b", [.int(-5)], "-101"), ("%b", [.bool(true)], "1"),
            ("%o", [.uint(65_535)], "177777"), ("%x", [.int(-30)], "-1e"), ("%X", [.int(30)], "1E"),
            ("%x", [.text("Hé")], "48c3a9"), ("%X", [.bytes(ByteString([250, 1]))], "FA01"),
            ("%s", [.double(2)], "2"), ("%s", [.double(1e21)], "1000000000000000000000"),
            ("%s", [.double(1e-7)], "0.0000001"), ("%s", [.bytes(ByteString("xyz"))], "xyz"),
            ("%s", [.type(ByteString("string"))], "string"), ("%s", [.duration(-1_500_000_000)], "-1.5s"),
            ("%s", [.list([.text("a"), .double(3.14), .null, .list([.int(9)])])], "[a, 3.14, null, [9]]"),
            ("%.3f", [.double(1.2345)], "1.234"), ("%f", [.int(2)], "2.000000"), ("%f", [.double(-0.0)], "-0.000000"),
            ("%.0f", [.double(1.5)], "2"), ("%.0f", [.double(2.5)], "2"), ("%.0f", [.double(0.5)], "0"),
            ("%.0f", [.double(9.5)], "10"), ("%.3f", [.double(-123.4999)], "-123.500"),
            ("%.1f", [.double(0.04)], "0.0"),
            ("%.1f", [.double(0.05)], "0.1"), ("%.1f", [.double(0.25)], "0.2"), ("%.2f", [.double(99.999)], "100.00"),
            ("%.20f", [.double(0.1)], "0.10000000000000000555"), ("%.1f", [.double(1e22)], "10000000000000000000000.0"),
            ("%e", [.double(2.71828)], "2.718280e+00"), ("%.6e", [.double(1052.032911275)], "1.052033e+03"),
            ("%e", [.double(0)], "0.000000e+00"), ("%.0e", [.double(9.9)], "1e+01"),
            ("%.3e", [.double(.leastNonzeroMagnitude)], "4.941e-324"),
            ("%.2e", [.double(-12_345)], "-1.23e+04"), ("%e", [.double(.infinity)], "Infinity"),
            ("%s", [.text("used"), .text("unused")], "used"),
        ] as [(String, [Value], String)]
    )
    func `writes`(text: String, arguments: [Value], expected: String) {
        #expect(outcome(.format, [.text(text), .list(arguments)]) == "\"\(expected)\"")
    }

    @Test func `sorts the keys of maps by their texts`() throws {
        let value = Value.map(
            try MapValue(keys: [.text("strKey"), .int(6), .bool(true)], values: [.text("x"), .duration(0), .int(42)])
        )
        #expect(outcome(.format, [.text("%s"), .list([value])]) == "\"{6: 0s, strKey: x, true: 42}\"")
    }

    @Test(
        arguments: [
            ("%a", [.int(1)], "invalidArgument"), ("%", [], "invalidArgument"), ("%.f", [.int(1)], "invalidArgument"),
            ("%.3", [.int(1)], "invalidArgument"), ("%.3d", [.int(1)], "invalidArgument"),
            ("%5d", [.int(1)], "invalidArgument"), ("%.1001f", [.int(1)], "invalidArgument"),
            ("%.99999999999999999999f", [.int(1)], "invalidArgument"), ("%E", [.double(0.5)], "invalidArgument"),
            ("%d %d", [.int(1)], "indexOutOfRange"), ("%b", [.text("a")], "invalidArgument"),
            ("%d", [.duration(1)], "invalidArgument"), ("%d", [.null], "invalidArgument"),
            ("%o", [.text("a")], "invalidArgument"), ("%x", [.double(0.5)], "invalidArgument"),
            ("%f", [.text("1")], "invalidArgument"), ("%e", [.null], "invalidArgument"),
            ("%s", [.optional(.none)], "invalidArgument"), ("%s", [.bytes(ByteString([255]))], "malformedText"),
        ] as [(String, [Value], String)]
    )
    func `refuses`(text: String, arguments: [Value], expected: String) {
        #expect(outcome(.format, [.text(text), .list(arguments)]) == expected)
    }

    @Test(
        arguments: [
            (0x1.fffffffffffffp1023, 309), (.leastNonzeroMagnitude, 1), (0x1p-1022, 1), (1 / 3, 1), (123_456.789, 6),
        ] as [(Double, Int)]
    )
    func `knows all digits of a double`(double: Double, digitsBeforePoint: Int) throws {
        // A thousand places read back to the same double, except for what lies beyond them.
        let text = outcome(.format, [.text("%.1000f"), .list([.double(double)])]).dropFirst().dropLast()
        #expect(text.firstIndex(of: ".").map { text.distance(from: text.startIndex, to: $0) } == digitsBeforePoint)
        if double > 1e-300 { #expect(Double(text) == double) }
    }
}
