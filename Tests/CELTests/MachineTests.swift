// What the machine promises beside right answers: it asks its host for no more than it needs, allocates nothing for
// scalars, and says where an error came from.

import AllocationCounter
import Synchronization
import Testing

@testable import CEL

/// Answers with one value each and counts how often it is asked.
private final class CountingHost: Resolver {
    let values: [Value]
    private let questions = Mutex<[Int: Int]>([:])

    init(_ values: [Value]) { self.values = values }

    func value(of variable: Int) -> Value {
        questions.withLock { $0[variable, default: 0] += 1 }
        return values[variable]
    }

    func asked(_ variable: Int) -> Int { questions.withLock { $0[variable] ?? 0 } }
}

private func program(_ text: String, _ variables: [Environment.Variable]) throws -> Program {
    try CompiledExpression(Array(text.utf8), in: Environment(variables: variables)).program
}

private func run(_ program: Program, _ host: borrowing some Resolver, limit: UInt64 = 10_000) -> String {
    var meter = Meter(limit: limit)
    do throws(EvaluationError) {
        return written(try program.evaluate(host, &meter))
    } catch {
        return "\(error.reason) at \(error.offset)"
    }
}

@Suite struct `The machine` {
    private static let variables: [Environment.Variable] = [
        .init("request.model", .string), .init("request.prompt_tokens", .int), .init("app.tags", .list(.string)),
        .init("request.headers", .map(.string, .string)),
    ]

    @Test(arguments: [
        ("request.model == 'a' || request.prompt_tokens > 5", 0),
        ("request.model == 'b' || request.prompt_tokens > 5", 1),
        ("request.model == 'a' ? 1 : request.prompt_tokens", 0),
        ("cel.bind(t, request.prompt_tokens, request.model == 'a' || t + t > 5)", 0),
        ("cel.bind(t, request.prompt_tokens, request.model == 'b' || t + t > 5)", 1),
        ("[1, 2].map(i, cel.bind(t, request.prompt_tokens, t + t + i))", 2),
        ("optional.of(1).orValue(request.prompt_tokens)", 0),
        ("[].exists(x, request.prompt_tokens > 5)", 0),
    ])
    func `asks for a value only when it needs it, and once for each time it binds it`(text: String, times: Int) throws {
        let host = CountingHost([.text("a"), .int(7), .list([]), .map(.empty)])
        #expect(!run(try program(text, Self.variables), host).contains("at"))
        #expect(host.asked(1) == times)
    }

    @Test(arguments: [
        (#"request.headers["x"] == "1""#, "noSuchKey at 15"), (#"has(request.headers.x)"#, "false"),
        (#""x" in request.headers"#, "false"), (#"request.headers.?x.orValue("d")"#, #""d""#),
        (#"request.headers[?"x"].hasValue()"#, "false"), (#"request.headers["a"]"#, #""1""#),
        (#"request.headers.a"#, #""1""#), (#"request.headers.exists(k, k == "a")"#, "true"),
    ])
    func `looks single keys of the host's maps up`(text: String, expected: String) throws {
        let map = try MapValue(keys: [.text("a")], values: [.text("1")])
        let host = CountingHost([.text("a"), .int(7), .list([]), .map(map)])
        #expect(run(try program(text, Self.variables), host) == expected)
    }

    @Test(arguments: [
        #"request.headers.?x.hasValue()"#, #"request.headers[?"x"].hasValue()"#, #"request.headers.?a.hasValue()"#,
        #"request.headers[?"a"].hasValue()"#, #"has(request.headers.x)"#, #"has(request.headers.a)"#,
        #""x" in request.headers"#, #"request.headers.a"#, #"request.headers["a"]"#,
    ])
    func `charges as much for single keys as for looking into the map`(text: String) throws {
        let host = Bindings([.text("a"), .int(7), .list([]), .map(try MapValue(keys: [.text("a")], values: [.null]))])
        let environment = Environment(variables: Self.variables)
        var costs: [UInt64] = []
        for isChecked in [true, false] {
            var options = CompiledExpression.Options()
            options.checksTypes = isChecked
            var meter = Meter(limit: 100)
            _ = try CompiledExpression(Array(text.utf8), in: environment, options: options)
                .program.evaluate(host, &meter)
            costs.append(meter.cost)
        }
        #expect(costs[0] == costs[1])
    }

    @Test(arguments: [
        ("1 / (request.prompt_tokens - 7)", "divisionByZero at 2"),
        ("request.model == 'a' && app.tags[3] == 'x'", "indexOutOfRange at 32"),
        ("int(request.model) > 3 || false", "malformedText at 0"),
    ])
    func `says where an error is`(text: String, expected: String) throws {
        let host = CountingHost([.text("a"), .int(7), .list([]), .map(.empty)])
        #expect(run(try program(text, Self.variables), host) == expected)
    }

    @Test(arguments: [
        #"request.model == "gpt-4o""#,
        #"request.model in ["a","b","gpt-4","o1","o3","gpt-4o","x","yy"] && request.prompt_tokens <= 4096 && app != "free""#,
        #"request.prompt_tokens * 2 + 1 > 3 ? request.model.startsWith("gpt") : app.size() > 2"#,
    ])
    func `allocates nothing for scalars`(text: String) throws {
        let names: [Environment.Variable] = [
            .init("request.model", .string), .init("request.prompt_tokens", .int), .init("app", .string),
        ]
        let program = try program(text, names)
        let host = Bindings([.text("gpt-4o"), .int(1_000), .text("pro")])
        var meter = Meter(limit: 1_000_000)
        guard case .bool(true) = try program.evaluate(host, &meter) else {
            Issue.record("\(text) holds")
            return
        }
        let before = weir_allocation_count()
        for _ in 0..<1_000 { _ = try program.evaluate(host, &meter) }
        let after = weir_allocation_count()
        #expect(after - before == 0)
        // The counter counts: this allocates.
        let array = [UInt8](repeating: 0, count: Int.random(in: 100...200))
        #expect(weir_allocation_count() > after && array.count >= 100)
    }

    @Test func `absorbs errors in chains of thousands without going deeper`() throws {
        let chain = Array(repeating: "1 / zero > 0", count: 3_000).joined(separator: " || ") + " || true"
        let program = try program(chain, [.init("zero", .int)])
        #expect(run(program, Bindings([.int(0)]), limit: 100_000) == "true")
    }

    @Test func `charges for no list when there is nothing to look for in it`() throws {
        let program = try program("int(x) in [1, 2, 3] || true", [.init("x", .string)])
        var meter = Meter(limit: 100)
        _ = try program.evaluate(Bindings([.text("one")]), &meter)
        #expect(meter.cost == 2)
    }

    @Test func `computes constants beforehand and charges for them as ever`() throws {
        let folded = try program("x in [1 + 1, 2 + 2, 3]", [.init("x", .int)])
        #expect(folded.instructionCount == 3)
        var meter = Meter(limit: 100)
        _ = try folded.evaluate(Bindings([.int(4)]), &meter)
        // Two additions, a list, the variable, three elements.
        #expect(meter.cost == 2 + 10 + 1 + 3)
    }
}
