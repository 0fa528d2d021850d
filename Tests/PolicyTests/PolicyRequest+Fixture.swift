// Requests as the gateway would build them, from a body's text.

import LLMWire
import Policy

final class FixedHeaders: RequestHeaders {
    private let fields: [[UInt8]: [UInt8]]

    init(_ fields: [String: String] = [:]) {
        self.fields = Dictionary(uniqueKeysWithValues: fields.map { (Array($0.key.utf8), Array($0.value.utf8)) })
    }

    func value(of name: [UInt8]) -> [UInt8]? { fields[name] }

    func visit(_ show: (_ name: [UInt8], _ value: [UInt8]) -> Void) {
        for (name, value) in fields.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) { show(name, value) }
    }
}

/// A request for `model`; `members` are added to its body.
func makeRequest(
    model: String = "gpt-4o",
    upstream: [String] = [],
    members: String = "",
    endpoint: Endpoint = .chatCompletions,
    bodyBytes: Int? = nil,
    promptTokens: Int = 10,
    maxOutputTokens: Int64? = nil,
    key: String = "k0",
    app: PolicyApp = PolicyApp(id: "app_0", name: "Shop", tier: "free", organisation: "org_1", tags: ["eu", "beta"]),
    headers: [String: String] = [:]
) throws -> PolicyRequest {
    let input = endpoint == .embeddings ? #""input":"x""# : #""messages":[{"role":"user","content":"x"}]"#
    let body = Array(#"{"model":"m",\#(input)\#(members)}"#.utf8)
    return PolicyRequest(
        endpoint: endpoint,
        model: Array(model.utf8),
        upstreamModels: upstream.map { Array($0.utf8) },
        bodyBytes: bodyBytes ?? body.count,
        parsed: try ParsedRequest.scan(body.span, endpoint: endpoint),
        body: body,
        prompt: PromptTokens(known: promptTokens),
        maxOutputTokens: maxOutputTokens,
        app: app,
        key: PolicyKey(id: Array(key.utf8), name: "first", tags: ["ci"], createdAt: 1_700_000_000_000),
        provider: Array("openai".utf8),
        nowMilliseconds: 1_764_072_000_000,
        headers: FixedHeaders(headers)
    )
}

extension RuleProgram {
    /// Judges a request that no other expression has been asked about.
    func decide(_ request: borrowing PolicyRequest) -> Verdict {
        var budget = EvaluationBudget()
        return decide(request, &budget)
    }
}

/// The rule of a config: compiled and loaded, as it reaches a node.
func makeRule(_ kind: String, _ config: ConfigValue) throws -> RuleProgram {
    struct NoSuchKind: Error { let name: String }
    guard let kind = PolicyRegistry.standard.kind(named: kind) else { throw NoSuchKind(name: kind) }
    return try kind.load(try kind.compile(config))
}

/// SplitMix64: the failing seed is in the test's name.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
