// The kind that asks an expression: what configs it takes, what its rules see of a request, and what they do when they
// cannot say.

import AllocationCounter
import CEL
import LLMWire
import Policy
import Testing

@Suite struct `A cel config` {
    private func problems(_ config: ConfigValue) -> [String] {
        do throws(ConfigProblems) {
            _ = try PolicyRegistry.standard.kind(named: "cel")?.compile(config)
            return []
        } catch {
            return error.problems.map { "\($0.path): \($0.reason)" }
        }
    }

    @Test(
        arguments: [
            ([:], ": must have deny_if or allow_if, and not both"),
            (["deny_if": "true", "allow_if": "true"], ": must have deny_if or allow_if, and not both"),
            (["deny_if": 1], "/deny_if: must be a string"),
            (
                ["deny_if": "true", "on_error": "allow"],
                "/on_error: unknown field; known are deny_if, allow_if, message"
            ),
            (["deny_if": "request.n"], "/deny_if: must give a bool, and gives int"),
            (["deny_if": "request.metadata.x"], "/deny_if: must give a bool, and gives dyn"),
            (["allow_if": "true", "message": ""], "/message: must be 1 to 256 characters, none a control character"),
            (
                ["allow_if": "true", "message": "a\nb"],
                "/message: must be 1 to 256 characters, none a control character"
            ),
            (
                ["deny_if": "request.model.matches('(')"],
                "/deny_if: not a regular expression that RE2 accepts"
            ),
            (
                ["deny_if": "request.model.matches('(a{1000}){1000}')"],
                "/deny_if: not a regular expression that RE2 accepts"
            ),
        ] as [(ConfigValue, String)]
    )
    func `is refused with its reason`(config: ConfigValue, reason: String) {
        #expect(problems(config) == [reason])
    }

    @Test func `that always costs too much is refused`() {
        let list = "[" + (0..<400).map(String.init).joined(separator: ",") + "]"
        let found = problems(["deny_if": .string("\(list).map(a, \(list).map(b, a + b)).size() > request.n")])
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("/deny_if: is estimated to cost at least") == true, "\(found)")
    }

    @Test func `says where in the text a problem is`() throws {
        do throws(ConfigProblems) {
            _ = try PolicyRegistry.standard.kind(named: "cel")?.compile(["deny_if": "true &&\n  app.teir == 'x'"])
            Issue.record("it has a problem")
        } catch {
            let problem = try #require(error.problems.first)
            #expect(problem.place?.line == 2)
            #expect(
                problem.place?.excerpt == """
                    ERROR: 2:7: no field 'teir' in 'app'; did you mean 'app.tier'?
                     |   app.teir == 'x'
                     |       ^
                    """
            )
        }
    }
}

@Suite struct `A cel rule` {
    @Test(arguments: [
        "request.method == 'POST' && request.path == '/v1/chat/completions'", "request.model == 'gpt-4o'",
        "!request.stream", "request.max_tokens == 7", "request.n == 2", "request.message_count == 1",
        "request.prompt_tokens == 10", "request.body_bytes > 60", "request.has_tools", "!request.has_images",
        "request.headers['x-team'] == 'search'", "request.headers.size() == 2", "'x-team' in request.headers",
        "has(request.headers.accept) && !has(request.headers.other)",
        "request.headers.exists(name, name.startsWith('x-'))",
        "request.metadata.team == 'search' && request.metadata['n'] == 3 && request.metadata.f == 2.5",
        "request.metadata.list[1].deep == null && request.metadata.size() == 4", "has(request.metadata.team)",
        "request.metadata[?'other'].orValue('none') == 'none'", "request.user == 'u-\\u00e9'",
        "app.id == 'app_0' && app.name == 'Shop' && app.tier == 'free' && app.org == 'org_1'", "'beta' in app.tags",
        "key.id == 'k0' && key.name == 'first' && key.tags == ['ci']",
        "key.created_at == timestamp('2023-11-14T22:13:20Z')", "now - key.created_at > duration('1000h')",
        "now.getFullYear('Europe/Berlin') == 2025", "provider == 'openai'",
    ])
    func `sees of a request`(expression: String) throws {
        let rule = try makeRule("cel", ["allow_if": .string(expression)])
        #expect(rule.decide(try Self.request()) == .allow)
    }

    private static func request() throws -> PolicyRequest {
        try makeRequest(
            members: ##","max_tokens":7,"n":2,"user":"u-\u00e9","tools":[{"type":"function"}],"metadata":"##
                + ##"{"team":"search", "n":3,"f":2.5,"list":[1,{"deep":null}]}"##,
            headers: ["x-team": "search", "accept": "text/plain", "authorization": "Bearer wk_k0_secret"]
        )
    }

    @Test(arguments: ["authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"])
    func `does not see credentials`(header: String) throws {
        for expression in ["has(request.headers['\(header)'])", "request.headers.exists(h, h == '\(header)')"] {
            let config: ConfigValue = [
                "deny_if": .string(
                    expression.replacing("has(request.headers['", with: "('")
                        .replacing("'])", with: "' in request.headers)")
                )
            ]
            let rule = try makeRule("cel", config)
            #expect(rule.decide(try makeRequest(headers: [header: "secret"])) == .allow)
        }
    }

    @Test(arguments: [
        ("deny_if", "true", false), ("deny_if", "false", true), ("allow_if", "true", true),
        ("allow_if", "false", false),
    ])
    func `refuses when it says so`(form: String, expression: String, isAllowed: Bool) throws {
        let rule = try makeRule("cel", .object([form: .string(expression)]))
        #expect(rule.decide(try makeRequest()) == (isAllowed ? .allow : .refuse(Refusal(.denied))))
    }

    @Test(arguments: ["deny_if", "allow_if"])
    func `that cannot be evaluated says so, whichever way it was put`(form: String) throws {
        let rule = try makeRule("cel", .object([form: "request.max_tokens > 5"]))
        guard case .refuse(let refusal) = rule.decide(try makeRequest()) else {
            Issue.record("there is no max_tokens")
            return
        }
        #expect(refusal.reason == .evaluationFailed)
        #expect(refusal.failure?.reason == .unknownVariable)
        #expect(
            rule.decide(try makeRequest(members: #","max_tokens":5"#))
                == (form == "deny_if" ? .allow : .refuse(Refusal(.denied)))
        )
    }

    @Test func `carries the admin's words`() throws {
        let rule = try makeRule("cel", ["deny_if": "true", "message": "ask é"])
        #expect(rule.clientMessage == Array("ask é".utf8))
        #expect(try makeRule("cel", ["deny_if": "true"]).clientMessage == nil)
    }

    @Test func `shares what a request's expressions may cost`() throws {
        // Each costs some 8,000 units: twelve fit into 100,000.
        let rule = try makeRule(
            "cel",
            ["deny_if": "request.metadata.l.all(a, request.metadata.l.all(b, a + b > 0)) && false"]
        )
        let list = (1...30).map(String.init).joined(separator: ",")
        let request = try makeRequest(members: #","metadata":{"l":[\#(list)]}"#)
        var budget = EvaluationBudget()
        var verdicts: [Verdict] = []
        for _ in 0..<40 { verdicts.append(rule.decide(request, &budget)) }
        let allowed = verdicts.prefix { $0 == .allow }.count
        #expect((5..<40).contains(allowed))
        guard case .refuse(let refusal)? = verdicts.last else {
            Issue.record("the budget ends")
            return
        }
        #expect(refusal.reason == .evaluationFailed && refusal.failure?.reason == .costLimitExceeded)
    }

    @Test(arguments: [
        #"request.model == "gpt-4o""#,
        #"request.model in ["a", "b", "c", "d", "gpt-4o", "e", "f", "g"] && request.max_tokens <= 4096 && app.tier != "x""#,
        #"request.n < 5 && request.has_tools == false && key.id != 'k1'"#,
    ])
    func `allocates nothing for scalars`(expression: String) throws {
        let rule = try makeRule("cel", ["allow_if": .string(expression)])
        let request = try makeRequest(members: #","max_tokens":7"#)
        var budget = EvaluationBudget()
        #expect(rule.decide(request, &budget) == .allow)
        let before = weir_allocation_count()
        var allowed = 0
        for _ in 0..<100 where rule.decide(request, &budget) == .allow { allowed += 1 }
        #expect(weir_allocation_count() - before == 0)
        #expect(allowed == 100)
    }
}
