// What each kind says of requests: refusals, limits, reviews; and that saying nothing costs nothing.

import AllocationCounter
import LLMWire
import Limits
import Policy
import Testing

private func claims(_ rule: RuleProgram, _ request: PolicyRequest, isShadow: Bool = false) -> [LimitClaim] {
    var claims: [LimitClaim] = []
    rule.claims(request, rule: 3, policyID: Array("pol_1".utf8), isShadow: isShadow, into: &claims)
    return claims
}

/// The macro cannot take a span.
private func permits(_ rule: RuleProgram, _ model: [UInt8]) -> Bool { rule.permits(model: model.span) }

private func counter(_ rule: RuleProgram, _ request: PolicyRequest) throws -> String {
    let claims = claims(rule, request)
    try #require(claims.count == 1)
    return String(decoding: claims[0].counter, as: UTF8.self)
}

@Suite struct `request_size` {
    @Test(arguments: [(99, true), (100, true), (101, false), (0, true), (Int.max, false)])
    func `refuses a body over its bound`(bytes: Int, isAllowed: Bool) throws {
        let rule = try makeRule("request_size", ["max_bytes": 100])
        #expect(rule.maxBodyBytes == 100)
        let refusal = Refusal(.requestTooLarge, limit: 100, got: Int64(bytes))
        #expect(rule.decide(try makeRequest(bodyBytes: bytes)) == (isAllowed ? .allow : .refuse(refusal)))
    }
}

@Suite struct `model_allowlist` {
    @Test(arguments: [
        ("gpt-4o", true), ("gpt-4o-mini", true), ("o3", true), ("gpt-4o-preview", false), ("gpt-4", false),
        ("o3-mini", false), ("", false), ("GPT-4o", false), ("gpt-4o ", true), (" gpt-4o", false), ("o3 ", false),
        ("o3\u{200B}", false), ("o\u{FF13}", false), ("caf\u{E9}", true), ("cafe\u{301}", false), ("o3\0", false),
    ])
    func `compares names byte by byte`(model: String, isAllowed: Bool) throws {
        let rule = try makeRule(
            "model_allowlist",
            ["allow": ["gpt-4o*", "o3", "caf\u{E9}"], "deny": ["*-preview"]]
        )
        #expect(permits(rule, Array(model.utf8)) == isAllowed)
        #expect(rule.decide(try makeRequest(model: model)) == (isAllowed ? .allow : .refuse(Refusal(.modelNotAllowed))))
    }

    @Test func `asks for the name and for every model behind it`() throws {
        let rule = try makeRule("model_allowlist", ["allow": ["fast", "gpt-4o*"], "deny": ["gpt-4o-preview"]])
        let refused = Verdict.refuse(Refusal(.modelNotAllowed))
        #expect(rule.decide(try makeRequest(model: "fast", upstream: ["gpt-4o", "gpt-4o-mini"])) == .allow)
        #expect(rule.decide(try makeRequest(model: "fast", upstream: ["gpt-4o", "o1"])) == refused)
        #expect(rule.decide(try makeRequest(model: "fast", upstream: ["gpt-4o-preview"])) == refused)
        #expect(rule.decide(try makeRequest(model: "slow", upstream: ["gpt-4o"])) == refused)
    }

    @Test func `denies every model when allow is empty, and none but deny's without allow`() throws {
        let none = try makeRule("model_allowlist", ["allow": []])
        let others = try makeRule("model_allowlist", ["deny": ["o1*"]])
        for name in ["gpt-4o", "", "*", "o1-mini"] {
            #expect(!permits(none, Array(name.utf8)))
            #expect(permits(others, Array(name.utf8)) == (name != "o1-mini"))
        }
    }

    @Test func `permits no name longer than any model's`() throws {
        let rule = try makeRule("model_allowlist", ["allow": ["*"]])
        #expect(permits(rule, [UInt8](repeating: 97, count: 512)))
        #expect(!permits(rule, [UInt8](repeating: 97, count: 513)))
        // A deny pattern cannot be outgrown either.
        let others = try makeRule("model_allowlist", ["deny": ["a*"]])
        #expect(!permits(others, [UInt8](repeating: 97, count: 513)))
    }
}

@Suite struct `rate_limit` {
    @Test func `claims one request of its window`() throws {
        let rule = try makeRule("rate_limit", ["limit": 100, "window": "15m"])
        let request = try makeRequest()
        #expect(rule.decide(request) == .allow)
        let claim = try #require(claims(rule, request, isShadow: true).first)
        #expect(claim.rule == 3 && claim.limit == 100 && claim.windowMilliseconds == 900_000)
        #expect(claim.cost == 1 && claim.unit == .requests && claim.isShadow && claim.algorithm == .fixedWindow)
        #expect(claim.counter == Array("pol_1".utf8))
    }

    @Test func `has a counter for each combination that per names, in whatever order`() throws {
        let one = try makeRule("rate_limit", ["limit": 1, "window": "1m", "per": ["model", "app", "key"]])
        let other = try makeRule("rate_limit", ["limit": 1, "window": "1m", "per": ["key", "model"]])
        let request = try makeRequest(model: "gpt-4o", key: "k7")
        #expect(try counter(one, request) == "pol_1:kk7:mgpt-4o")
        #expect(try counter(other, request) == "pol_1:kk7:mgpt-4o")
    }

    @Test func `tells header values apart, also an absent and an empty one, and shows none`() throws {
        let rule = try makeRule("rate_limit", ["limit": 1, "window": "1m", "per": ["header:x-user", "header:x-team"]])
        let requests: [[String: String]] = [
            [:], ["x-user": ""], ["x-user": "ada"], ["x-user": "Ada"], ["x-user": "ada "], ["x-team": "ada"],
            ["x-user": "ada", "x-team": "ada"], ["x-user": "a:hb"], ["x-user": "caf\u{E9}"], ["x-user": "cafe\u{301}"],
            ["x-user": String(repeating: "ada", count: 10_000)], ["x-user": "ada\u{200B}"],
        ]
        var counters: Set<String> = []
        for headers in requests {
            let counter = try counter(rule, try makeRequest(headers: headers))
            #expect(counter.utf8.count == 5 + 2 * 34)
            #expect(!counter.contains("ada"))
            #expect(counter.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x7B && $0 != 0x7D })
            counters.insert(counter)
        }
        #expect(counters.count == requests.count)
        // The same request has the same counter on every node and after every restart.
        #expect(
            try counter(rule, try makeRequest())
                == "pol_1:a7058d1a729489673583614357311bb95:ab029b02e775f379357c1d05c5abfd7cb"
        )
    }

    @Test func `bounds only what clients can invent`() throws {
        let header: ConfigValue = ["limit": 1, "window": "1m", "per": ["header:x-user"], "max_distinct": 7]
        let claim = try #require(claims(try makeRule("rate_limit", header), try makeRequest()).first)
        #expect(claim.distinct == DistinctBound(max: 7, sharedCounter: Array("pol_1:~".utf8)))
        let usual = try makeRule("rate_limit", ["limit": 1, "window": "1m", "per": ["header:x-user"]])
        #expect(claims(usual, try makeRequest()).first?.distinct?.max == 10_000)
        let fixed = try makeRule("rate_limit", ["limit": 1, "window": "1m", "per": ["app", "key", "model"]])
        #expect(claims(fixed, try makeRequest()).first?.distinct == nil)
    }

    @Test func `claims a place in flight, alone or beside its window`() throws {
        let alone = claims(try makeRule("rate_limit", ["max_concurrent": 8]), try makeRequest())
        #expect(alone.map(\.algorithm) == [.concurrency] && alone.map(\.unit) == [.inFlight])
        #expect(alone.map(\.limit) == [8] && alone.map(\.cost) == [1] && alone.map(\.windowMilliseconds) == [0])
        let config: ConfigValue = [
            "limit": 100, "window": "1m", "max_concurrent": 8, "per": ["key"], "on_redis_failure": "deny",
        ]
        let both = claims(try makeRule("rate_limit", config), try makeRequest(key: "k7"))
        #expect(both.map(\.algorithm) == [.fixedWindow, .concurrency])
        #expect(both.map(\.limit) == [100, 8])
        #expect(both.allSatisfy { $0.onRedisFailure == .deny && $0.counter == Array("pol_1:kk7".utf8) })
    }

    @Test(
        arguments: [
            ("fixed_window", nil, LimitAlgorithm.fixedWindow, Int64(100)), ("sliding_window", nil, .slidingWindow, 100),
            ("token_bucket", nil, .tokenBucket, 100), ("token_bucket", 20, .tokenBucket, 20),
            ("token_bucket", 500, .tokenBucket, 500),
        ] as [(String, Int64?, LimitAlgorithm, Int64)]
    )
    func `counts as its algorithm says`(name: String, burst: Int64?, algorithm: LimitAlgorithm, capacity: Int64) throws
    {
        var config: [String: ConfigValue] = ["limit": 100, "window": "1m", "algorithm": .string(name)]
        if let burst { config["burst"] = .integer(burst) }
        for kind in ["rate_limit", "token_limit"] {
            let claim = try #require(claims(try makeRule(kind, .object(config)), try makeRequest()).first)
            #expect(claim.algorithm == algorithm && claim.capacity == capacity && claim.limit == 100)
        }
    }

    @Test(arguments: [("local_share", OutageRule.localShare), ("deny", .deny), ("allow", .allow)])
    func `carries what to do without Redis`(name: String, rule: OutageRule) throws {
        let config: ConfigValue = ["limit": 1, "window": "1m", "on_redis_failure": .string(name)]
        for kind in ["rate_limit", "token_limit"] {
            #expect(claims(try makeRule(kind, config), try makeRequest()).first?.onRedisFailure == rule)
        }
    }

    @Test(arguments: ["gpt 4o", "a:b", "{x}", "é", "a\r\nb", "#", String(repeating: "m", count: 65), ""])
    func `never lets a model's name shape the counter's`(model: String) throws {
        let rule = try makeRule("rate_limit", ["limit": 1, "window": "1m", "per": ["model"]])
        let counter = try counter(rule, try makeRequest(model: model))
        #expect(model.isEmpty ? counter == "pol_1:m" : counter.hasPrefix("pol_1:m#") && counter.utf8.count == 40)
    }
}

@Suite struct `token_limit` {
    @Test(
        arguments: [
            // prompt's bound, the rest of the body, verdict
            (100, "", nil), (101, "", Refusal(.promptTooLong, limit: 100, got: 101)),
            (50, #","max_tokens":60"#, nil), (50, #","max_tokens":61"#, Refusal(.outputCapTooHigh, limit: 60, got: 61)),
            (50, #","max_tokens":30,"n":2"#, nil),
            (50, #","max_tokens":31,"n":2"#, Refusal(.outputCapTooHigh, limit: 60, got: 62)),
            (90, #","max_tokens":60"#, nil),
            (91, #","max_tokens":60"#, Refusal(.outputCapTooHigh, limit: 150, got: 151)),
        ] as [(Int, String, Refusal?)]
    )
    func `judges what a request may use at most`(prompt: Int, members: String, refusal: Refusal?) throws {
        let rule = try makeRule(
            "token_limit",
            ["max_prompt_tokens": 100, "max_completion_tokens": 60, "max_total_tokens": 150]
        )
        let request = try makeRequest(members: members, promptTokens: prompt)
        #expect(rule.decide(request) == (refusal.map { .refuse($0) } ?? .allow))
        #expect(claims(rule, request).isEmpty)
    }

    @Test func `names the prompt when it alone passes the total`() throws {
        let rule = try makeRule("token_limit", ["max_total_tokens": 50])
        let refusal = Refusal(.promptTooLong, limit: 50, got: 60)
        #expect(rule.decide(try makeRequest(members: #","max_tokens":9"#, promptTokens: 51)) == .refuse(refusal))
    }

    @Test(arguments: [
        ("", Endpoint.chatCompletions, Int64(110)), (#","n":3"#, .chatCompletions, 310),
        (#","max_tokens":7"#, .chatCompletions, 17), (#","max_tokens":7,"n":3"#, .chatCompletions, 31),
        (#","max_tokens":0"#, .chatCompletions, 10), ("", .embeddings, 10),
    ])
    func `reserves the prompt and every choice's cap`(members: String, endpoint: Endpoint, cost: Int64) throws {
        let rule = try makeRule("token_limit", ["limit": 500, "window": "1h", "assumed_output_tokens": 100])
        let request = try makeRequest(members: members, endpoint: endpoint, promptTokens: 10)
        #expect(rule.decide(request) == .allow)
        let claim = try #require(claims(rule, request).first)
        #expect(claim.cost == cost && claim.unit == .tokens && claim.limit == 500)
    }

    @Test(arguments: [(limit: 100_000, assumed: 1_024), (500, 62), (3, 1)])
    func `assumes 1024 tokens of output when nobody says, or an eighth of a small limit`(
        limit: Int64,
        assumed: Int64
    ) throws {
        let rule = try makeRule("token_limit", ["limit": .integer(limit), "window": "1h"])
        #expect(claims(rule, try makeRequest(promptTokens: 0)).first?.cost == assumed)
    }

    @Test func `bounds what it reserves, whatever the client asks for`() throws {
        let rule = try makeRule("token_limit", ["limit": 500, "window": "1h", "max_total_tokens": 9])
        let request = try makeRequest(members: #","max_tokens":2147483647,"n":128"#, promptTokens: .max)
        #expect(claims(rule, request).first?.cost == 1 << 53)
        #expect(rule.decide(request) == .refuse(Refusal(.promptTooLong, limit: 9, got: .max)))
    }

    @Test(
        arguments: [
            (SettledUsage(promptTokens: 10, completionTokens: 20, totalTokens: 25), nil),
            (
                SettledUsage(promptTokens: 11, completionTokens: 0, totalTokens: 11),
                Violation(.promptTokens, limit: 10, got: 11)
            ),
            (
                SettledUsage(promptTokens: 1, completionTokens: 21, totalTokens: 22),
                Violation(.completionTokens, limit: 20, got: 21)
            ),
            (
                SettledUsage(promptTokens: 9, completionTokens: 17, totalTokens: 26),
                Violation(.totalTokens, limit: 25, got: 26)
            ),
        ] as [(SettledUsage, Violation?)]
    )
    func `reviews what was used`(usage: SettledUsage, violation: Violation?) throws {
        let rule = try makeRule(
            "token_limit",
            ["max_prompt_tokens": 10, "max_completion_tokens": 20, "max_total_tokens": 25]
        )
        #expect(rule.review(usage, try makeRequest()) == violation)
        #expect(try makeRule("token_limit", ["limit": 5, "window": "1h"]).review(usage, try makeRequest()) == nil)
    }
}

@Suite struct `A rule` {
    private func makeRule(_ mode: RuleMode, _ onError: RuleErrorChoice) -> Rule {
        Rule(
            policyID: [1],
            kind: "k",
            mode: mode,
            onError: onError,
            program: RuleProgram(),
            priority: nil,
            createdAt: 0
        )
    }

    @Test(arguments: [
        (RuleMode.enforce, RuleErrorChoice.deny, true, true), (.enforce, .allow, true, false),
        (.shadow, .deny, false, false), (.shadow, .allow, false, false),
    ])
    func `refuses unless in shadow, and on failure unless it fails open`(
        mode: RuleMode,
        onError: RuleErrorChoice,
        denied: Bool,
        failed: Bool
    ) {
        let rule = makeRule(mode, onError)
        #expect(rule.refuses(Refusal(.denied)) == denied)
        #expect(rule.refuses(Refusal(.evaluationFailed)) == failed)
    }

    @Test func `explains a limit's refusal in figures`() throws {
        let rule = try PolicyTests.makeRule("rate_limit", ["limit": 100, "window": "15m"])
        let claim = try #require(claims(rule, try makeRequest()).first)
        let state = LimitState(remaining: 0, resetMilliseconds: 5, windowID: 1, isOver: true)
        #expect(Refusal(claim, at: state) == Refusal(.rateLimited, limit: 100, got: 101))
        let places = try #require(
            claims(try PolicyTests.makeRule("rate_limit", ["max_concurrent": 8]), try makeRequest()).first
        )
        #expect(Refusal(places, at: state) == Refusal(.concurrencyLimited, limit: 8, got: 9))
    }

    @Test(
        arguments: [
            ("request_size", ["max_bytes": 1000]),
            ("model_allowlist", ["allow": ["o*3*x", "gpt-4o*"], "deny": ["*-preview", "*a*b*"]]),
            ("token_limit", ["max_prompt_tokens": 100, "max_completion_tokens": 200, "max_total_tokens": 300]),
            ("rate_limit", ["limit": 1, "window": "1m"]),
        ] as [(String, ConfigValue)]
    )
    func `allocates nothing to allow`(kind: String, config: ConfigValue) throws {
        let rule = try PolicyTests.makeRule(kind, config)
        let request = try makeRequest(upstream: ["gpt-4o-2024-11-20", "gpt-4o-mini"], members: #","max_tokens":7"#)
        #expect(rule.decide(request) == .allow)
        let before = weir_allocation_count()
        var allowed = 0
        for _ in 0..<1_000 where rule.decide(request) == .allow { allowed += 1 }
        let after = weir_allocation_count()
        #expect(allowed == 1_000)
        #expect(after - before == 0)
        // The counter counts: this allocates.
        let array = [UInt8](repeating: 0, count: Int.random(in: 100...200))
        #expect(weir_allocation_count() > after && array.count >= 100)
    }
}
