// `weir cel bench`: what rules of several sizes cost on this machine, in one process and one thread. The figures that
// are kept come from Benchmarks/, which repeats and compares; this one is for a quick look.

import ArgumentParser
import CEL
import Glibc

struct CelBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Time expressions of several sizes: compiling, decoding, evaluating."
    )

    @Option(help: "Evaluations of each.")
    var iterations = 1_000_000

    func run() async throws {
        Console.line("evaluate ns   compile ns    decode ns   ratio   bytes   expression")
        for text in BenchRequest.expressions { try measure(text) }
    }

    private func measure(_ text: String) throws {
        let source = Array(text.utf8)
        var expression = try CompiledExpression(source, in: BenchRequest.environment)
        let compile = try nanoseconds(max(1, iterations / 1_000)) {
            expression = try CompiledExpression(source, in: BenchRequest.environment)
        }
        let bytes = expression.program.encoded(for: BenchRequest.environment)
        var program = expression.program
        let decode = try nanoseconds(max(1, iterations / 10)) {
            program = try Program.decode(bytes, for: BenchRequest.environment)
        }
        let request = BenchRequest()
        var holds = 0
        let evaluate = try nanoseconds(iterations) {
            var meter = Meter(limit: 10_000)
            if case .bool(true) = try program.evaluate(request, &meter) { holds += 1 }
        }
        guard holds > 0 else { throw ValidationError("\(text) does not hold") }
        Console.line(
            "\(column(evaluate, 11)) \(column(compile, 12)) \(column(decode, 12)) \(column(compile / decode, 7)) "
                + "\(column(Double(bytes.count), 7))   \(text)"
        )
    }

    private func column(_ value: Double, _ width: Int) -> String {
        let text = "\(Int(value.rounded()))"
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// The thread's own time for a run, in nanoseconds: other processes do not count.
    private func nanoseconds(_ count: Int, _ body: () throws -> Void) throws -> Double {
        try body()
        let start = Self.threadTime
        for _ in 0..<count { try body() }
        return (Self.threadTime - start) / Double(count)
    }

    private static var threadTime: Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

/// A request with values that the expressions look at; they are there before, as in a gateway.
private struct BenchRequest: Resolver {
    static let environment = Environment(variables: [
        .init("request.model", .string), .init("request.max_tokens", .int), .init("app.tier", .string),
        .init("request.headers", .map(.string, .string)), .init("app.tags", .list(.string)),
        .init("request.user", .string),
    ])

    static let expressions = [
        #"request.model == "gpt-4o""#,
        #"request.model in ["gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "o3", "o4-mini", "gpt-4o", "gpt-5", "gpt-5-mini"]"#
            + #" && request.max_tokens <= 4096 && app.tier != "free""#,
        #"request.headers["x-team"].startsWith("platform-") && app.tags.exists(t, t == "production")"#,
        #"request.user.matches("^[a-z0-9-]+@[a-z.]+example\\.(com|org)$")"#,
    ]

    private let model = Array("gpt-4o".utf8)
    private let tier = Array("pro".utf8)
    private let team = Array("platform-search".utf8)
    private let user = Array("some-longer-user-name-0123456789@mail.department.example.org".utf8)
    private let tags: Value = .list(
        ["eu", "us", "beta", "batch", "internal", "search", "ranking", "production"].map { .text($0) }
    )

    func value(of variable: Int) -> Value {
        switch variable {
        case 0: .string(ByteString(model))
        case 1: .int(1_024)
        case 2: .string(ByteString(tier))
        case 4: tags
        case 5: .string(ByteString(user))
        default: .unset
        }
    }

    func member(_ key: ByteString, of variable: Int) -> Value { .string(ByteString(team)) }
}
