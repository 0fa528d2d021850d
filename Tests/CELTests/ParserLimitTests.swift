// Every bound of the parser, on both sides of it, and on a small stack: a bound must hold before the stack ends.

import Testing

@testable import CEL

private func times(_ count: Int, _ text: String) -> String { String(repeating: text, count: count) }

/// The first problem of a source without its place; nil when it has none.
private func problem(_ source: String) -> String? {
    do throws(Problems) {
        return try Parser.parse(Array(source.utf8)).flaw
    } catch {
        return error.problems[0].message
    }
}

@Suite struct `A parser's limits` {
    static let tooDeep = "the expression is nested more than 250 levels deep"

    /// Sources that are as many levels deep as is asked for.
    static let deep: [(name: String, source: @Sendable (Int) -> String)] = [
        ("parentheses", { times($0 - 1, "(") + "a" + times($0 - 1, ")") }),
        ("lists", { times($0 - 1, "[") + "a" + times($0 - 1, "]") }),
        ("maps", { times($0 - 1, "{a:") + "a" + times($0 - 1, "}") }),
        ("messages", { times($0 - 1, "A{a:") + "a" + times($0 - 1, "}") }),
        ("calls", { times($0 - 1, "f(") + "a" + times($0 - 1, ")") }),
        ("calls on receivers", { times($0 - 1, "a.f(") + "a" + times($0 - 1, ")") }),
        ("indices", { times($0 - 1, "a[") + "a" + times($0 - 1, "]") }),
        ("macros", { times($0 - 1, "a.map(x,x,") + "a" + times($0 - 1, ")") }),
        ("binds", { times($0 - 1, "cel.bind(x,1,") + "a" + times($0 - 1, ")") }),
        ("signs", { times($0 - 1, "!(") + "a" + times($0 - 1, ")") }),
        ("conditionals", { times($0 - 1, "a?b:") + "a" }),
        ("conditionals in the middle", { times($0 - 1, "a?(") + "a" + times($0 - 1, "):b") }),
        ("sums", { "a" + times($0 - 1, "+a") }),
        ("sums to the right", { times($0 - 1, "a+(") + "a" + times($0 - 1, ")") }),
        ("relations", { "a" + times($0 - 1, "==a") }),
        ("selections", { "a" + times($0 - 1, ".a") }),
        ("indexing", { "a" + times($0 - 1, "[0]") }),
        ("chains of calls", { "a" + times($0 - 1, ".f()") }),
        ("chains of macros", { "a" + times($0 - 1, ".map(x,x)") }),
        ("chains in chains", { times($0 - 1, "a||(") + "a" + times($0 - 1, ")") }),
        // Five nodes for each parenthesis: the tree is too deep long before the parentheses are.
        (
            "all operators",
            {
                times(($0 - 1) / 5, "a||a&&a<a+a*(") + times(($0 - 1) % 5, "-(")
                    + "a" + times(($0 - 1) / 5 + ($0 - 1) % 5, ")")
            }
        ),
    ]

    @Test func `are 250 levels, whatever they are made of`() {
        let wrong = onSmallStack {
            Self.deep.flatMap { name, source in
                let tooDeep = [251, 252, 300, 4000].filter { problem(source($0)) != Self.tooDeep }
                return (problem(source(250)).map { ["\(name): \($0)"] } ?? []) + tooDeep.map { "\(name), \($0) deep" }
            }
        }
        #expect(wrong == [])
    }

    @Test func `hold where nothing is closed`() {
        let accepted = onSmallStack {
            let openings = [
                "(", "[", "{", "f(", "a[", "A{a:", "{a:", "a?b:", "a.map(x,", "cel.bind(x,", "a||", "!(", "-", "a.",
                "has(", "cel.bind(", "a.map(", "a.all(x,", "[?", "{?", "a.f(", "a?(", "a&&a<a+a*-(",
            ]
            return openings.filter { opening in
                let many = times(4_000, opening)
                return problem(many) == nil || problem(many + "a") == nil || problem(many + times(4_000, ",1)")) == nil
            }
        }
        // Only these two are expressions once something follows.
        #expect(accepted == ["a||", "-"])
    }

    @Test func `leave chains and signs as long as they like`() throws {
        let problems = onSmallStack {
            let sources = [
                "a" + times(5_000, "&&a"), "a" + times(5_000, "||a"), times(5_000, "a&&b||") + "c",
                times(1_000, "!") + "a", times(1_000, "-") + "a", "[" + times(10_000, "1,") + "]",
            ]
            return sources.compactMap(problem)
        }
        #expect(problems == [])
        let tree = try Parser.parse(Array(("a" + times(5_000, "&&a")).utf8))
        #expect(tree[tree.root].depth == 2)
    }

    @Test func `are 64 KiB and 20,000 parts`() {
        #expect(problem("a" + times(65_535, " ")) == nil)
        #expect(problem("a" + times(65_536, " ")) == "the expression is longer than 65536 bytes")
        #expect(problem("[" + times(19_999, "1,") + "]") == nil)
        #expect(problem("[" + times(20_000, "1,") + "]") == "the expression has more than 20000 parts")
    }
}
