// Lists, lists as sets, and optionals.

import Testing

@testable import CEL

@Suite struct `Lists in CEL` {
    private static let numbers = Value.list([.int(3), .int(1), .int(2)])

    @Test(arguments: [
        Call(.slice, numbers, .int(1), .int(3), gives: "[1, 2]"),
        Call(.slice, numbers, .int(3), .int(3), gives: "[]"),
        Call(.slice, numbers, .int(-1), .int(1), gives: "indexOutOfRange"),
        Call(.slice, numbers, .int(0), .int(4), gives: "indexOutOfRange"),
        Call(.slice, numbers, .int(2), .int(1), gives: "invalidArgument"),
        Call(.slice, numbers, .int(2), .int(.min), gives: "invalidArgument"),
        Call(.flatten, .list([.int(1), .list([.int(2), .list([.int(3)])])]), gives: "[1, 2, [3]]"),
        Call(.flatten, .list([.int(1), .list([.int(2), .list([.int(3)])])]), .int(2), gives: "[1, 2, 3]"),
        Call(.flatten, .list([.list([.int(1)])]), .int(0), gives: "[[1]]"),
        Call(.flatten, numbers, .int(-1), gives: "invalidArgument"),
        Call(.distinct, .list([.int(1), .double(1), .text("a"), .uint(1), .text("a")]), gives: "[1, \"a\"]"),
        Call(.distinct, .list([.double(.nan), .double(.nan)]), gives: "[nan, nan]"),
        Call(.sort, numbers, gives: "[1, 2, 3]"),
        Call(
            .sort,
            .list([.text("b"), .text("a\u{10000}"), .text("a\u{ffff}")]),
            gives: "[\"a\u{ffff}\", \"a\u{10000}\", \"b\"]"
        ),
        Call(.sort, .list([.double(1), .double(.nan), .double(-1)]), gives: "[nan, -1.0, 1.0]"),
        Call(.sort, .list([.int(1), .uint(2)]), gives: "noSuchOverload"),
        Call(.sort, .list([.list([])]), gives: "noSuchOverload"),
        Call(.sort, .list([]), gives: "[]"),
        Call(.range, .int(3), gives: "[0, 1, 2]"),
        Call(.range, .int(-1), gives: "invalidArgument"),
        Call(.range, .int(.max), gives: "invalidArgument"),
        Call(.range, .int(9_999_999), gives: "costLimitExceeded"),
        Call(.reverse, numbers, gives: "[2, 1, 3]"),
        Call(.first, numbers, gives: "some(3)"),
        Call(.last, numbers, gives: "some(2)"),
        Call(.last, .list([]), gives: "none"),
        Call(.setContains, numbers, .list([.uint(1), .double(2)]), gives: "true"),
        Call(.setContains, numbers, .list([.int(4)]), gives: "false"),
        Call(.setContains, .list([]), .list([]), gives: "true"),
        Call(.setEquivalent, numbers, .list([.int(1), .int(2), .int(3), .int(3)]), gives: "true"),
        Call(.setEquivalent, numbers, .list([.int(1)]), gives: "false"),
        Call(.setIntersects, numbers, .list([.int(9), .int(1)]), gives: "true"),
        Call(.setIntersects, numbers, .list([]), gives: "false"),
        Call(.setIntersects, numbers, .int(1), gives: "noSuchOverload"),
    ])
    func `give`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }

    @Test func `are sorted by keys, and keep the order of equals`() throws {
        var meter = Meter(limit: 10_000)
        let elements: [Value] = [.text("b"), .text("a"), .text("c"), .text("d")]
        let sorted = try Lists.sorted(elements, by: [.int(1), .int(0), .int(1), .int(0)], &meter)
        #expect(written(.list(sorted)) == "[\"a\", \"d\", \"b\", \"c\"]")
    }

    @Test(arguments: [
        Call(.optionalNone, gives: "none"),
        Call(.optionalOf, .null, gives: "some(null)"),
        Call(.optionalOfNonZero, .null, gives: "none"),
        Call(.optionalOfNonZero, .text(""), gives: "none"),
        Call(.optionalOfNonZero, .int(42), gives: "some(42)"),
        Call(.optionalOfNonZero, .list([]), gives: "none"),
        Call(.optionalOfNonZero, .optional(.none), gives: "some(none)"),
        Call(.optionalHasValue, .optional(.none), gives: "false"),
        Call(.optionalValue, .optional(.none), gives: "emptyOptional"),
        Call(.optionalValue, .optional(OptionalValue(.int(1))), gives: "1"),
        Call(.optionalValue, .int(1), gives: "noSuchOverload"),
        Call(.optionalUnwrap, .list([.optional(.none), .optional(OptionalValue(.int(1)))]), gives: "[1]"),
        Call(.optionalUnwrap, .list([.int(1)]), gives: "noSuchOverload"),
    ])
    func `have optionals beside them`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }
}
