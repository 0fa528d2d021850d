// No expression may make a slow request: whatever somebody writes ends inside the meter's bounds on units and work.

import Testing

@testable import CEL

@Suite struct `An expression that asks for too much` {
    /// Each doubles, squares or nests; none may get far.
    private static let bombs: [String] = [
        "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, l.all(c, l.all(d, true))))",
        "l.map(a, l.map(b, l.map(c, l.map(d, [a, b, c, d]))))",
        "cel.bind(a, l + l + l + l, cel.bind(b, a + a + a + a, cel.bind(c, b + b + b + b, cel.bind(d, c + c + c + c, "
            + "cel.bind(e, d + d + d + d, size(e + e + e + e) > 0)))))",
        "l.filter(a, l.filter(b, l.filter(c, l.filter(d, false).size() == 0).size() == 0).size() == 0)",
        "lists.range(9999999).size() > 0", "lists.range(10000000).all(x, true)",
        "[s].map(x, x + x + x + x + x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x)",
        "s.replace('', s).replace('', s).replace('', s).replace('', s).size() > 0",
        "l.map(x, s.matches(s.substring(0, 500) + 'a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?')).size() > 0",
        "'%s'.format([['%s'.format([l, l, l]), [l, l, [l, l]], '%s%s%s'.format([l, l, l])]]).size() > 0",
        "sets.equivalent(l.map(x, l), l.map(y, l)) && l.map(x, l).distinct().size() > 0",
    ]

    private static let environment = Environment(variables: [.init("l", .list(.int)), .init("s", .string)])

    private static let host = Bindings([
        .list((0..<500).map { .int($0) }), .text(String(repeating: "ab", count: 2_000)),
    ])

    @Test(arguments: bombs)
    func `ends within its bounds`(text: String) throws {
        let program = try CompiledExpression(Array(text.utf8), in: Self.environment).program
        var meter = Meter(limit: 10_000)
        let reason: EvaluationError.Reason?
        do throws(EvaluationError) {
            _ = try program.evaluate(Self.host, &meter)
            reason = nil
        } catch {
            reason = error.reason
        }
        #expect(reason == nil || reason == .costLimitExceeded || reason == .workLimitExceeded, "\(text)")
        // What did not fail was cheap.
        #expect(reason != nil || meter.cost <= 10_000)
    }

    @Test func `compares what it shares in time that it pays for`() throws {
        // Thirty doublings: followed to the end, a billion comparisons.
        var text = "v30 == v30"
        for index in stride(from: 30, to: 0, by: -1) {
            text = "cel.bind(v\(index), [v\(index - 1), v\(index - 1)], \(text))"
        }
        text = "cel.bind(v0, [s], \(text))"
        let program = try CompiledExpression(Array(text.utf8), in: Self.environment).program
        var meter = Meter(limit: 10_000)
        #expect {
            _ = try program.evaluate(Self.host, &meter)
        } throws: { error in
            (error as? EvaluationError)?.reason == .workLimitExceeded
        }
    }

    @Test(.timeLimit(.minutes(1))) func `is compiled in time that its size bounds`() throws {
        // Constants by the thousand, each folded by itself, and one that is folded again at every level around it.
        let maps = (0..<4_000).map { ["{'k': 1}", "{'k': 1u}", "{'k': s}"][$0 % 3] }.joined(separator: ",")
        let zones = (0..<900).map { "timestamp(0).getHours('Etc/X\($0)') > 30" }.joined(separator: " && ")
        var shared = "[e, e, e, e] == [e, e, e, e]"
        for (name, part) in [("e", "d"), ("d", "c"), ("c", "b"), ("b", "a"), ("a", "1")] {
            let parts = Array(repeating: part, count: 8).joined(separator: ",")
            shared = "cel.bind(\(name), [\(parts)], \(shared))"
        }
        let nested = String(repeating: "[", count: 120) + shared + String(repeating: "]", count: 120)
        for source in ["[\(maps)]", zones, nested] {
            _ = try CompiledExpression(Array(source.utf8), in: Self.environment)
        }
    }

    /// Random expressions from the grammar, over values with much in them.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func `ends whatever it is made of`(seed: UInt64) throws {
        var maker = ExpressionMaker(seed: seed)
        var evaluated = 0
        for _ in 0..<500 {
            let text = maker.expression(depth: 5)
            var options = CompiledExpression.Options()
            options.checksTypes = false
            guard
                let program = try? CompiledExpression(Array(text.utf8), in: Self.environment, options: options).program
            else {
                continue
            }
            evaluated += 1
            var meter = Meter(limit: 10_000)
            _ = try? program.evaluate(Self.host, &meter)
        }
        #expect(evaluated > 400)
    }
}

/// Makes expressions that parse; few of them have types that fit.
private struct ExpressionMaker {
    private var state: UInt64
    private var names = ["l", "s"]

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    private mutating func random(_ count: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % count
    }

    private mutating func pick(_ choices: [String]) -> String { choices[random(choices.count)] }

    mutating func expression(depth: Int) -> String {
        guard depth > 0 else {
            return pick(names + ["1", "0", "2u", "1.5", "'a'", "b'x'", "true", "null", "[]", "{}"])
        }
        let next = depth - 1
        switch random(12) {
        case 0:
            return "(\(expression(depth: next)) \(pick(["+", "-", "*", "==", "<", "in", "&&", "||"])) "
                + "\(expression(depth: next)))"
        case 1: return "[\(expression(depth: next)), \(expression(depth: next))]"
        case 2: return "{'k': \(expression(depth: next))}"
        case 3: return "(\(expression(depth: next)) ? \(expression(depth: next)) : \(expression(depth: next)))"
        case 4, 5, 6:
            let name = "v\(names.count)"
            let range = expression(depth: next)
            names.append(name)
            let body = expression(depth: next)
            names.removeLast()
            return "\(range).\(pick(["all", "exists", "exists_one", "map", "filter", "sortBy"]))(\(name), \(body))"
        case 7:
            let name = "v\(names.count)"
            let value = expression(depth: next)
            names.append(name)
            let body = expression(depth: next)
            names.removeLast()
            return "cel.bind(\(name), \(value), \(body))"
        case 8:
            let call = pick([
                "size", "distinct", "flatten", "reverse", "sort", "trim", "lowerAscii", "first", "last", "hasValue",
            ])
            return "\(expression(depth: next)).\(call)()"
        case 9:
            return "\(expression(depth: next)).\(pick(["contains", "matches", "split", "join", "format"]))"
                + "(\(expression(depth: next)))"
        case 10: return "\(expression(depth: next))[\(expression(depth: next))]"
        default:
            return "\(pick(["string", "int", "lists.range", "type", "dyn", "sets.contains", "optional.of"]))"
                + "(\(expression(depth: next)))"
        }
    }
}
