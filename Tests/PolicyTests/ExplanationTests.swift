// An explanation names every rule, those that refuse first when there is no room for all.

import Limits
import Testing

@testable import Policy

@Suite struct `An explanation` {
    private func rule(_ id: String, _ kind: String, _ config: ConfigValue, mode: RuleMode = .enforce) throws -> Rule {
        let policy = try #require(PolicyRegistry.standard.kind(named: kind))
        return Rule(
            policyID: Array(id.utf8),
            kind: kind,
            mode: mode,
            onError: .allow,
            program: try policy.load(try policy.compile(config)),
            priority: nil,
            createdAt: 0
        )
    }

    @Test func `has what each rule says, also behind the first that refuses`() throws {
        let request = try makeRequest(model: "gpt", members: #","max_tokens":9"#)
        let explanation = Explanation(
            of: [
                try rule("p1", "model_allowlist", ["allow": ["gpt"]]),
                try rule("p2", "token_limit", ["max_completion_tokens": 5]),
                try rule("p3", "cel", ["deny_if": "request.metadata['x'] == 'y'"]),
                try rule("p4", "request_size", ["max_bytes": 10], mode: .shadow),
            ],
            asking: request
        )
        #expect(explanation.rules.map(\.outcome) == [.allow, .refuse, .failedOpen, .wouldRefuse])
        let bytes = request.bodyBytes
        #expect(
            explanation.text() == """
                {"rules":[{"policy":"p2","kind":"token_limit","verdict":"refuse","reason":"output_cap_too_high",\
                "limit":5,"got":9},\
                {"policy":"p3","kind":"cel","verdict":"failed_open","reason":"evaluation_failed","failed_at":16},\
                {"policy":"p4","kind":"request_size","mode":"shadow","verdict":"would_refuse",\
                "reason":"request_too_large","limit":10,"got":\(bytes)},\
                {"policy":"p1","kind":"model_allowlist","verdict":"allow"}],"limits":[]}
                """
        )
    }

    @Test func `names the rule that admits nothing without its counters`() throws {
        let rules = [
            try rule("p1", "model_allowlist", ["allow": ["gpt"]]),
            try rule("p2", "rate_limit", ["limit": 5, "window": "1m", "on_redis_failure": "deny"]),
        ]
        var explanation = Explanation(of: rules, asking: try makeRequest(model: "gpt"))
        explanation.overrule(1, rules[1], Refusal(.countersUnavailable, limit: 5))
        #expect(explanation.rules.map(\.outcome) == [.allow, .refuse])
        #expect(
            explanation.text().contains(
                #"{"policy":"p2","kind":"rate_limit","verdict":"refuse","reason":"counters_unavailable","limit":5}"#
            )
        )
        explanation.overrule(2, rules[1], Refusal(.countersUnavailable))
        #expect(explanation.rules.count == 2)
    }

    @Test func `keeps to its bound, and says what it left out`() throws {
        let request = try makeRequest(model: "gpt")
        var rules = try (0..<100).map { try rule("allowing-\($0)", "model_allowlist", ["allow": ["*"]]) }
        rules.append(try rule("refusing", "model_allowlist", ["allow": []]))
        let explanation = Explanation(of: rules, asking: request)
        let text = explanation.text()
        #expect(text.utf8.count <= Explanation.maxBytes)
        #expect(text.hasPrefix(#"{"rules":[{"policy":"refusing","#))
        #expect(text.contains(#""left_out":"#))
        let whole = explanation.text(maxBytes: .max)
        #expect(whole.contains("allowing-99") && !whole.contains("left_out"))
    }
}
