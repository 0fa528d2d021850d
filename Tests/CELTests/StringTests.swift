// The string functions, by code points.

import Testing

@testable import CEL

@Suite struct `Strings in CEL` {
    @Test(arguments: [
        Call(.contains, .text("\r\n"), .text("\r"), gives: "true"),
        Call(.contains, .text("hello"), .text(""), gives: "true"),
        Call(.contains, .text(""), .text("x"), gives: "false"),
        Call(.contains, .text("abababababc"), .text("ababababc"), gives: "true"),
        Call(.contains, .text("aaaaaaaaaaaaaaaa"), .text("aaaaaaaaab"), gives: "false"),
        Call(.startsWith, .text("e\u{301}"), .text("e"), gives: "true"),
        Call(.startsWith, .text(""), .text("foo"), gives: "false"),
        Call(.endsWith, .text("forté"), .text("té"), gives: "true"),
        Call(.endsWith, .text("a"), .text("ba"), gives: "false"),
        Call(.charAt, .text("tacocat"), .int(7), gives: "\"\""),
        Call(.charAt, .text("©αT"), .int(1), gives: "\"α\""),
        Call(.charAt, .text("tacocat"), .int(8), gives: "indexOutOfRange"),
        Call(.charAt, .text("tacocat"), .int(-1), gives: "indexOutOfRange"),
        Call(.charAt, .text("a"), .bool(true), gives: "noSuchOverload"),
        Call(.indexOf, .text("ta©o©αT"), .text("©"), gives: "2"),
        Call(.indexOf, .text("ta©o©αT"), .text("©αT"), .int(3), gives: "4"),
        Call(.indexOf, .text("tacocat"), .text(""), .int(7), gives: "7"),
        Call(.indexOf, .text("tacocat"), .text("a"), .int(8), gives: "indexOutOfRange"),
        Call(.indexOf, .text("tacocat"), .text("none"), gives: "-1"),
        Call(.lastIndexOf, .text("bananananana"), .text("nana"), .int(7), gives: "6"),
        Call(.lastIndexOf, .text("tacocat"), .text(""), gives: "7"),
        Call(.lastIndexOf, .text("tacocat"), .text("at"), gives: "5"),
        Call(.lastIndexOf, .text(""), .text("@@"), gives: "-1"),
        Call(.lastIndexOf, .text("tacocat"), .text("a"), .int(-1), gives: "indexOutOfRange"),
        Call(.substring, .text("ta©o©αT"), .int(2), .int(6), gives: "\"©o©α\""),
        Call(.substring, .text("tacocat"), .int(7), gives: "\"\""),
        Call(.substring, .text("tacocat"), .int(40), gives: "indexOutOfRange"),
        Call(.substring, .text("tacocat"), .int(1), .int(50), gives: "indexOutOfRange"),
        Call(.substring, .text("tacocat"), .int(4), .int(3), gives: "invalidArgument"),
        Call(.substring, .text("tacocat"), .int(-1), .int(3), gives: "indexOutOfRange"),
        Call(.trim, .text(" \u{85}\u{3000}\ttext\u{2029}"), gives: "\"text\""),
        Call(.trim, .text("\u{200b}x\u{feff}"), gives: "\"\u{200b}x\u{feff}\""),
        Call(.trim, .text(" \n "), gives: "\"\""),
        Call(.lowerAscii, .text("TacoCÆt"), gives: "\"tacocÆt\""),
        Call(.upperAscii, .text("tacoCαt{"), gives: "\"TACOCαT{\""),
        Call(.reverse, .text("Ta©oCα🐱"), gives: "\"🐱αCo©aT\""),
        Call(.quote, .text("a\"\\\u{7}\u{0}é"), gives: "\"\"a\\\"\\\\\\a\u{0}é\"\""),
    ])
    func `give`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }

    @Test(arguments: [
        Call(.replace, .text("{0} days {0} hours"), .text("{0}"), .text("2"), gives: "\"2 days 2 hours\""),
        Call(.replace, .text("{0} days {0} hours"), .text("{0}"), .text("2"), .int(1), gives: "\"2 days {0} hours\""),
        Call(.replace, .text("abc"), .text(""), .text("-"), gives: "\"-a-b-c-\""),
        Call(.replace, .text("©α"), .text(""), .text("-"), .int(2), gives: "\"-©-α\""),
        Call(.replace, .text("abc"), .text("b"), .text("x"), .int(0), gives: "\"abc\""),
        Call(.replace, .text("aaa"), .text("aa"), .text("b"), .int(-1), gives: "\"ba\""),
        Call(.replace, .text(""), .text(""), .text("x"), gives: "\"x\""),
        Call(.split, .text("hello world events!"), .text(" "), .int(2), gives: "[\"hello\", \"world events!\"]"),
        Call(.split, .text("o©o©o"), .text("©"), .int(-1), gives: "[\"o\", \"o\", \"o\"]"),
        Call(.split, .text("a,"), .text(","), gives: "[\"a\", \"\"]"),
        Call(.split, .text("a"), .text(","), .int(0), gives: "[]"),
        Call(.split, .text("a,b"), .text(","), .int(1), gives: "[\"a,b\"]"),
        Call(.split, .text("aé©"), .text(""), gives: "[\"a\", \"é\", \"©\"]"),
        Call(.split, .text("abc"), .text(""), .int(2), gives: "[\"a\", \"bc\"]"),
        Call(.split, .text(""), .text(","), gives: "[\"\"]"),
        Call(.split, .text(""), .text(""), gives: "[]"),
        Call(.join, .list([.text("x"), .text("y")]), gives: "\"xy\""),
        Call(.join, .list([.text("x"), .text("y")]), .text("-"), gives: "\"x-y\""),
        Call(.join, .list([]), .text("-"), gives: "\"\""),
        Call(.join, .list([.int(1)]), gives: "noSuchOverload"),
    ])
    func `come apart and together`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `are searched as the obvious search does`(seed: UInt64) {
        var generator = RandomBits(seed: seed)
        func text(_ range: ClosedRange<Int>) -> [UInt8] {
            (0..<Int.random(in: range, using: &generator)).map { _ in "aab".utf8.randomElement(using: &generator) ?? 97
            }
        }
        let haystack = text(0...200)
        let needle = text(1...20)
        let start = Int.random(in: 0...haystack.count, using: &generator)
        let expected = (start...max(start, haystack.count)).first { haystack[$0...].starts(with: needle) }
        #expect(Needle(ByteString(needle)).first(in: ByteString(haystack), from: start) == expected)
    }

    @Test(arguments: [
        Call(.base64Encode, .bytes(ByteString("hello")), gives: "\"aGVsbG8=\""),
        Call(.base64Encode, .bytes(ByteString("")), gives: "\"\""),
        Call(.base64Encode, .bytes(ByteString([251, 255])), gives: "\"+/8=\""),
        Call(.base64Decode, .text("aGVsbG8="), gives: "b[104, 101, 108, 108, 111]"),
        Call(.base64Decode, .text("aGVsbG8"), gives: "b[104, 101, 108, 108, 111]"),
        Call(.base64Decode, .text("aGVs\r\nbG8\n=\n"), gives: "b[104, 101, 108, 108, 111]"),
        Call(.base64Decode, .text("\r"), gives: "b[]"),
        Call(.base64Decode, .text("aGVs bG8="), gives: "malformedText"),
        Call(.base64Decode, .text("-_8="), gives: "malformedText"),
        Call(.base64Decode, .text("a"), gives: "malformedText"),
        Call(.base64Decode, .text("a=b="), gives: "malformedText"),
        Call(.base64Decode, .text("aG==="), gives: "malformedText"),
        Call(.base64Decode, .text("===="), gives: "malformedText"),
        Call(.base64Decode, .text("aG\n="), gives: "malformedText"),
    ])
    func `go through base64`(call: Call) {
        #expect(outcome(call.function, call.arguments) == call.expected)
    }
}

@Suite struct `A regular expression` {
    @Test(arguments: [
        ("hubba", "ubb", "true"), ("", "foo|bar", "false"), ("", "", "true"), ("cows", "", "true"),
        ("🐱😀😀", "(a|😀){2}", "true"), ("a\n", "a$", "false"), ("é", "^.$", "true"), ("é", "\\w", "false"),
        ("a", "(", "badPattern"), ("a", "a++", "badPattern"), ("aa", "(a)\\1", "badPattern"),
        ("a", "(?=a)", "badPattern"), ("a", "a\\Z", "badPattern"), ("a", "(a{1000}){1000}", "badPattern"),
        ("a", String(repeating: "a", count: 1025), "badPattern"),
    ])
    func `searches, or is refused`(text: String, pattern: String, expected: String) throws {
        #expect(outcome(.matches, [.text(text), .text(pattern)]) == expected)
        var meter = Meter(limit: 1_000)
        if let regex = try? Regex(ByteString(pattern)) {
            #expect("\(regex.matches(ByteString(text)))" == expected)
            #expect("\(try regex.search(ByteString(text), &meter))" == expected)
        }
    }

    @Test func `sees only the slice that a value is`() throws {
        let text = ByteString(Array("xaay".utf8), in: 1..<3)
        let pattern = ByteString(Array("(^a+$)".utf8), in: 1..<5)
        #expect(try Regex(pattern).matches(text))
    }

    @Test func `that is compiled for one call pays for that`() throws {
        var meter = Meter(limit: 10_000)
        var calls = 0
        while (try? Library.call(.matches, [.text("a"), .text("a{1,100}")].span, &meter)) != nil { calls += 1 }
        #expect(calls > 50)
        #expect(calls < 250)
    }

    // Reading `\pL` takes RE2 0.2 ms, and turning it into a program one; both were measured.
    @Test(arguments: [
        "\\pL", "\\pL{30}", "(?i)" + String(repeating: "\\pL|", count: 200), "((\\pL{30}){30}){30}",
        String(repeating: "\\pL?", count: 250), "((a{100}){10})", String(repeating: "(x+x+)+", count: 140),
    ])
    func `cannot be made to compile for long by a request`(pattern: String) {
        var meter = Meter(limit: 10_000)
        let start = ContinuousClock.now
        var last: EvaluationError?
        while last?.isAbort != true {
            do throws(EvaluationError) {
                _ = try Library.call(.matches, [.text("hello world"), .text(pattern)].span, &meter)
            } catch { last = error }
        }
        #expect(ContinuousClock.now - start < .seconds(10))
    }
}
