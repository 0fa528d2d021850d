// Equality and order: across the types of numbers, by code points, through lists and maps, and never for free.

import Testing

@testable import CEL

@Suite struct `Equality of values` {
    @Test(arguments: [
        Call(.equal, .int(1), .double(1), gives: "true"),
        Call(.equal, .uint(1), .int(1), gives: "true"),
        Call(.equal, .int(-1), .uint(.max), gives: "false"),
        Call(.equal, .int(9_007_199_254_740_993), .double(9_007_199_254_740_992), gives: "true"),
        Call(.equal, .int(.max), .double(0x1p63), gives: "true"),
        Call(.equal, .double(.nan), .double(.nan), gives: "false"),
        Call(.notEqual, .double(.nan), .double(.nan), gives: "true"),
        Call(.equal, .list([.double(.nan)]), .list([.double(.nan)]), gives: "false"),
        Call(.equal, .double(-0.0), .double(0), gives: "true"),
        Call(.equal, .int(1), .text("a"), gives: "false"),
        Call(.equal, .null, .int(0), gives: "false"),
        Call(.equal, .null, .null, gives: "true"),
        Call(.equal, .text("e\u{301}"), .text("\u{e9}"), gives: "false"),
        Call(.equal, .text("a"), .bytes(ByteString("a")), gives: "false"),
        Call(.equal, .list([.int(1), .list([.uint(2)])]), .list([.double(1), .list([.int(2)])]), gives: "true"),
        Call(.equal, .list([.int(1)]), .list([.int(1), .int(1)]), gives: "false"),
        Call(.equal, .type(ByteString("int")), .type(ByteString("int")), gives: "true"),
        Call(.equal, .duration(1), .duration(1), gives: "true"),
        Call(.equal, .duration(1), .int(1), gives: "false"),
        Call(.equal, .optional(.none), .optional(.none), gives: "true"),
        Call(.equal, .optional(OptionalValue(.int(1))), .optional(OptionalValue(.uint(1))), gives: "true"),
        Call(.equal, .optional(OptionalValue(.int(1))), .optional(.none), gives: "false"),
        Call(.isIn, .double(3), .list([.int(5), .int(3)]), gives: "true"),
        Call(.isIn, .text("x"), .list([.int(5)]), gives: "false"),
        Call(.isIn, .int(1), .int(1), gives: "noSuchOverload"),
    ])
    func `gives`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }

    @Test func `of maps knows no order, and looks keys up across types`() throws {
        let one = Value.map(try MapValue(keys: [.int(1), .text("a")], values: [.uint(2), .null]))
        let other = Value.map(try MapValue(keys: [.text("a"), .uint(1)], values: [.null, .double(2)]))
        #expect(outcome(.equal, [one, other]) == "true")
        #expect(outcome(.equal, [one, try textMap(["a": .null, "b": .null])]) == "false")
        #expect(outcome(.isIn, [.double(1), one]) == "true")
        #expect(outcome(.isIn, [.null, one]) == "false")
    }

    // A list of two references to a list of two references, and so on: 2⁶⁰ elements in 60 arrays.
    @Test func `ends by the meter for values that share their parts`() throws {
        var one = Value.list([.int(1)])
        var other = one
        for _ in 0..<60 {
            one = .list([one, one])
            other = .list([other, other])
        }
        var meter = Meter(limit: 10_000)
        #expect(throws: EvaluationError(.workLimitExceeded)) {
            try Library.call(.equal, [one, other].span, &meter)
        }
        #expect(throws: EvaluationError(.workLimitExceeded)) {
            try Library.call(.format, [.text("%s"), .list([one])].span, &meter)
        }
    }

    @Test func `ends by an error for values that are nested too deep for the stack`() throws {
        var value = Value.list([])
        for _ in 0..<1_000 { value = .list([value]) }
        #expect(outcome(.equal, [value, value]) == "workLimitExceeded")
        #expect(outcome(.flatten, [value, .int(100_000)]) == "workLimitExceeded")
        #expect(outcome(.format, [.text("%s"), .list([value])]) == "workLimitExceeded")
    }
}

@Suite struct `The order of values` {
    @Test(arguments: [
        Call(.less, .bool(false), .bool(true), gives: "true"),
        Call(.less, .int(-1), .uint(0), gives: "true"),
        Call(.greater, .uint(.max), .int(.max), gives: "true"),
        Call(.less, .int(1), .double(1.5), gives: "true"),
        Call(.greaterOrEqual, .double(1), .uint(1), gives: "true"),
        Call(.greater, .text("\u{10000}"), .text("\u{ffff}"), gives: "true"),
        Call(.less, .text("a"), .text("ab"), gives: "true"),
        Call(.less, .bytes(ByteString([1])), .bytes(ByteString([255])), gives: "true"),
        Call(.lessOrEqual, .duration(-1), .duration(-1), gives: "true"),
        Call(.less, .double(.nan), .double(1), gives: "false"),
        Call(.greaterOrEqual, .double(.nan), .int(1), gives: "false"),
        Call(.less, .null, .null, gives: "noSuchOverload"),
        Call(.less, .list([]), .list([]), gives: "noSuchOverload"),
        Call(.less, .int(1), .text("a"), gives: "noSuchOverload"),
    ])
    func `gives`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }
}
