// What calls cost, in cel-go's units; every figure is one of `cel_go_cost.jsonl` less what literals and `==` cost, or
// follows from cel-go's trackers for functions that the suite does not have.

import Testing

@testable import CEL

@Suite struct `A call` {
    private static let taco = Value.text("tacocat")

    @Test(
        arguments: [
            (.add, [.int(1), .int(2)], 1), (.add, [.text("hello"), .text(" ")], 1), (.add, [.text(""), .text("")], 0),
            (.add, [.text("¢ÿȀ"), .text("abcdefgh")], 2), (.add, [.list([.int(1)]), .list([])], 1),
            (.equal, [.int(1), .int(2)], 1), (.equal, [.text("12345678901"), .text("12345678901")], 2),
            (.equal, [.text(""), .text("abc")], 0), (.equal, [.list([]), .list([])], 0),
            (.notEqual, [.null, .null], 1),
            (.less, [.text("abc"), .text("abd")], 1), (.less, [.int(1), .double(2)], 1),
            (.isIn, [.int(9), .list([.int(1), .int(2), .int(3)])], 3), (.isIn, [.int(9), .list([])], 0),
            (.contains, [.text("hello"), .text("ol")], 1), (.contains, [.text("hello"), .text("")], 0),
            (.startsWith, [.text(""), .text("foo")], 0), (.startsWith, [.text("foobar"), .text("")], 1),
            (.matches, [.text("banana"), .text("ba(na)*")], 2), (.matches, [.text("cows"), .text("")], 0),
            (.size, [.text("four")], 1), (.toString, [.text("hello")], 1), (.toBytes, [.text("")], 0),
            (.toString, [.bytes(ByteString("abc"))], 1), (.charAt, [taco, .int(3)], 3),
            (.indexOf, [taco, .text("ac")], 3),
            (.indexOf, [taco, .text("")], 1), (.indexOf, [.text("hello wello"), .text("hello wello")], 14),
            (.lastIndexOf, [taco, .text("none")], 4), (.lowerAscii, [.text("TacoCÆt Xii")], 14),
            (.replace, [.text("12 days 12 hours"), .text("{0}"), .text("2")], 22),
            (.replace, [.text("{0} days {0} hours"), .text("{0}"), .text("2")], 21),
            (.split, [.text("hello world"), .text(" ")], 15),
            (.split, [.text("hello world events!"), .text(" "), .int(0)], 13),
            (.substring, [taco, .int(4)], 5), (.substring, [taco, .int(7)], 2),
            (.trim, [.text(" \u{c}\n\r\t\u{b}text  ")], 7),
            (.join, [.list([.text("x"), .text("y")]), .text("-")], 5), (.join, [.list([])], 2),
            (.quote, [.text("first\nsecond")], 2),
            (.format, [.text("str is %s and some more"), .list([.text("f")])], 3),
            (.reverse, [.text("Ta©oCαt")], 9), (.reverse, [.list([.int(1), .int(2)])], 13),
            (.greatest, [.int(1), .int(2), .int(3)], 11), (.greatest, [.int(1), .int(2)], 1),
            (.slice, [.list([.int(1), .int(2)]), .int(0), .int(1)], 12), (.range, [.int(5)], 16),
            (.sort, [.list([.int(2), .int(1), .int(3)])], 29),
            (.sort, [.list([.text("b"), .text("a"), .text("c")])], 30),
            (.distinct, [.list([])], 11), (.flatten, [.list([.list([]), .list([])]), .int(3)], 17),
            (.setContains, [.list([.int(1), .int(2)]), .list([.int(1)])], 3),
            (.setEquivalent, [.list([.int(1), .int(2)]), .list([.int(1)])], 5), (.optionalNone, [], 1),
            (.base64Encode, [.bytes(ByteString("hello"))], 1), (.toDyn, [.int(1)], 1),
        ] as [(Function, [Value], UInt64)]
    )
    func `costs`(function: Function, arguments: [Value], expected: UInt64) {
        #expect(callCost(function, arguments) == expected)
    }

    @Test func `costs the smaller of two sizes, whichever side it is on`() {
        let long = Value.text(String(repeating: "é", count: 1_000))
        for short in [Value.text("aé"), .text(String(repeating: "é", count: 300))] {
            let expected = UInt64(short.costSize + 9) / 10
            #expect(callCost(.equal, [long, short]) == expected)
            #expect(callCost(.equal, [short, long]) == expected)
            #expect(callCost(.less, [long, short]) == expected)
        }
        #expect(callCost(.equal, [long, .int(1)]) == 1)
    }

    // Each of these makes or follows far more than a small meter pays for.
    @Test func `stops before it makes what the meter does not pay for`() throws {
        let long = Value.text(String(repeating: "a", count: 10_000))
        let many = Value.list(Array(repeating: long, count: 10_000))
        let numbers = Value.list((0..<10_000).map { .int($0) })
        let others = Value.list((0..<10_000).map { .int($0) })
        let shared = [Value.list(Array(repeating: numbers, count: 100)), .list(Array(repeating: others, count: 100))]
        let calls: [(Function, [Value])] = [
            (.equal, shared),
            (.range, [.int(10_000_000)]), (.join, [many]), (.replace, [long, .text(""), long]), (.add, [many, many]),
            (.sort, [many]), (.distinct, [many]), (.setIntersects, [many, many]),
            (.format, [.text("%s"), .list([many])]),
            (.split, [long, .text("")]), (.flatten, [.list([many, many])]), (.slice, [many, .int(0), .int(10_000)]),
            (.reverse, [many]), (.lowerAscii, [long]), (.equal, [many, many]), (.isIn, [long, many]),
        ]
        for (function, arguments) in calls {
            var meter = Meter(limit: 500)
            // The best of several: what it would make takes a second each time, and a busy machine does not.
            let duration = (0..<5).map { _ in
                meter = Meter(limit: 500)
                return ContinuousClock().measure { _ = try? Library.call(function, arguments.span, &meter) }
            }.min()
            #expect((duration ?? .seconds(9)) < .milliseconds(50), "\(function)")
            #expect(throws: EvaluationError.self, "\(function)") {
                try Library.call(function, arguments.span, &meter)
            }
        }
    }
}
