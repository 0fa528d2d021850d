// Rules of the sizes that people write: what evaluating, decoding and compiling one costs, on one core.

import Benchmark
import CEL

/// Values as a gateway has them when a rule asks.
struct Request: Resolver {
    static let environment = Environment(variables: [
        .init("request.model", .string), .init("request.max_tokens", .int), .init("app.tier", .string),
        .init("request.headers", .map(.string, .string)), .init("app.tags", .list(.string)),
        .init("request.user", .string),
    ])

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

let rules: [(name: String, expression: String)] = [
    ("one comparison", #"request.model == "gpt-4o""#),
    (
        "list of 8, two comparisons",
        #"request.model in ["gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "o3", "o4-mini", "gpt-4o", "gpt-5", "gpt-5-mini"]"#
            + #" && request.max_tokens <= 4096 && app.tier != "free""#
    ),
    (
        "header, startsWith, exists over 8",
        #"request.headers["x-team"].startsWith("platform-") && app.tags.exists(t, t == "production")"#
    ),
    ("matches 60 bytes", #"request.user.matches("^[a-z0-9-]+@[a-z.]+example\\.(com|org)$")"#),
]

let benchmarks: @Sendable () -> Void = {
    for (name, text) in rules {
        let source = Array(text.utf8)
        let expression: CompiledExpression
        do {
            expression = try CompiledExpression(source, in: Request.environment)
        } catch {
            fatalError("\(text) does not compile: \(error)")
        }
        let bytes = expression.program.encoded(for: Request.environment)
        let request = Request()
        Benchmark("evaluate: \(name)", configuration: .init(metrics: [.cpuTotal, .wallClock], scalingFactor: .mega)) {
            benchmark in
            for _ in benchmark.scaledIterations {
                var meter = Meter(limit: 10_000)
                blackHole(try expression.program.evaluate(request, &meter))
            }
        }
        Benchmark("decode: \(name)", configuration: .init(metrics: [.cpuTotal, .wallClock], scalingFactor: .kilo)) {
            benchmark in
            for _ in benchmark.scaledIterations { blackHole(try Program.decode(bytes, for: Request.environment)) }
        }
        Benchmark("compile: \(name)", configuration: .init(metrics: [.cpuTotal, .wallClock], scalingFactor: .kilo)) {
            benchmark in
            for _ in benchmark.scaledIterations {
                blackHole(try CompiledExpression(source, in: Request.environment))
            }
        }
    }
}
