// The arithmetic operators: no result outside of 64 bits, no mixing of types, no trap.

import Testing

@testable import CEL

@Suite struct `Arithmetic` {
    @Test(arguments: [
        Call(.add, .int(1), .int(2), gives: "3"),
        Call(.add, .uint(1), .uint(2), gives: "3u"),
        Call(.add, .double(0.1), .double(0.2), gives: "0.30000000000000004"),
        Call(.add, .text("he"), .text("llo"), gives: "\"hello\""),
        Call(.add, .text(""), .text("é"), gives: "\"é\""),
        Call(.add, .bytes(ByteString([255])), .bytes(ByteString([0])), gives: "b[255, 0]"),
        Call(.add, .list([.int(1)]), .list([.text("a")]), gives: "[1, \"a\"]"),
        Call(.add, .duration(5), .duration(-7), gives: "-2ns"),
        Call(.subtract, .int(1), .int(2), gives: "-1"),
        Call(.multiply, .double(40.75), .double(-2.25), gives: "-91.6875"),
        Call(.divide, .int(-5), .int(3), gives: "-1"),
        Call(.divide, .double(1), .double(0), gives: "inf"),
        Call(.modulo, .int(-5), .int(3), gives: "-2"),
        Call(.modulo, .int(5), .int(-3), gives: "2"),
        Call(.modulo, .uint(7), .uint(4), gives: "3u"),
        Call(.negate, .double(0), gives: "-0.0"),
        Call(.negate, .int(4), gives: "-4"),
        Call(.not, .bool(true), gives: "false"),
    ])
    func `gives`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }

    @Test(arguments: [
        Call(.add, .int(.max), .int(1), gives: "overflow"),
        Call(.add, .uint(.max), .uint(1), gives: "overflow"),
        Call(.add, .duration(.max), .duration(1), gives: "overflow"),
        Call(.subtract, .uint(1), .uint(2), gives: "overflow"),
        Call(.subtract, .int(.min), .int(1), gives: "overflow"),
        Call(.multiply, .int(.min), .int(-1), gives: "overflow"),
        Call(.divide, .int(.min), .int(-1), gives: "overflow"),
        Call(.modulo, .int(.min), .int(-1), gives: "overflow"),
        Call(.negate, .int(.min), gives: "overflow"),
        Call(.divide, .int(1), .int(0), gives: "divisionByZero"),
        Call(.divide, .uint(1), .uint(0), gives: "divisionByZero"),
        Call(.modulo, .int(1), .int(0), gives: "divisionByZero"),
        Call(.modulo, .uint(1), .uint(0), gives: "divisionByZero"),
        Call(.modulo, .double(47.5), .double(5.5), gives: "noSuchOverload"),
        Call(.add, .int(1), .uint(1), gives: "noSuchOverload"),
        Call(.add, .int(1), .double(1), gives: "noSuchOverload"),
        Call(.negate, .uint(1), gives: "noSuchOverload"),
        Call(.negate, .duration(1), gives: "noSuchOverload"),
        Call(.not, .int(0), gives: "noSuchOverload"),
    ])
    func `refuses`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }
}

@Suite struct `Mathematics` {
    @Test(arguments: [
        Call(.least, .int(1), .double(1), gives: "1"),
        Call(.greatest, .uint(1), .double(1), gives: "1u"),
        Call(.greatest, .double(5.4), .int(10), .uint(3), .double(-5), gives: "10"),
        Call(.greatest, .list([.double(5.4), .int(10), .uint(3)]), gives: "10"),
        Call(.least, .int(5), gives: "5"),
        Call(.least, .text("a"), gives: "noSuchOverload"),
        Call(.greatest, .list([]), gives: "invalidArgument"),
        Call(.greatest, .int(1), .list([.int(2)]), gives: "noSuchOverload"),
        Call(.round, .double(-1.5), gives: "-2.0"),
        Call(.round, .double(.nan), gives: "nan"),
        Call(.ceil, .double(-1.2), gives: "-1.0"),
        Call(.floor, .double(-1.2), gives: "-2.0"),
        Call(.truncate, .double(-1.2), gives: "-1.0"),
        Call(.ceil, .int(1), gives: "noSuchOverload"),
        Call(.isInfinite, .double(-.infinity), gives: "true"),
        Call(.isNaN, .double(.infinity), gives: "false"),
        Call(.isFinite, .double(.nan), gives: "false"),
        Call(.absolute, .int(-11), gives: "11"),
        Call(.absolute, .int(.min), gives: "overflow"),
        Call(.absolute, .double(-0.0), gives: "0.0"),
        Call(.absolute, .uint(1), gives: "1u"),
        Call(.sign, .double(-32), gives: "-1.0"),
        Call(.sign, .double(-0.0), gives: "0.0"),
        Call(.sign, .double(.nan), gives: "nan"),
        Call(.sign, .int(-11), gives: "-1"),
        Call(.sign, .uint(100), gives: "1u"),
        Call(.sign, .bool(true), gives: "noSuchOverload"),
        Call(.squareRoot, .int(81), gives: "9.0"),
        Call(.squareRoot, .double(-1), gives: "-nan"),
        Call(.bitOr, .int(4), .int(-2), gives: "-2"),
        Call(.bitAnd, .uint(1), .uint(3), gives: "1u"),
        Call(.bitXor, .int(1), .int(3), gives: "2"),
        Call(.bitXor, .int(1), .uint(3), gives: "noSuchOverload"),
        Call(.bitNot, .uint(0), gives: "18446744073709551615u"),
        Call(.bitShiftLeft, .int(-1), .int(200), gives: "0"),
        Call(.bitShiftLeft, .uint(1), .int(2), gives: "4u"),
        Call(.bitShiftRight, .int(-1024), .int(3), gives: "2305843009213693824"),
        Call(.bitShiftRight, .uint(1), .int(-1), gives: "invalidArgument"),
        Call(.bitShiftRight, .uint(1), .int(.max), gives: "0u"),
    ])
    func `gives`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }
}
