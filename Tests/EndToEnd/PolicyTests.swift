// Each kind of policy refuses and allows, on every node, in the words that SDKs understand.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `A policy` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        struct Case: Sendable, CustomTestStringConvertible {
            let name: String
            let kind: String
            let config: JSONValue
            let allowed: JSONValue
            let refused: JSONValue
            let status: Int
            let reason: String
            var testDescription: String { name }
        }

        static let cases = [
            Case(
                name: "model_allowlist",
                kind: "model_allowlist",
                config: ["allow": ["mock-s*"], "deny": []],
                allowed: chat(model: "mock-small"),
                refused: chat(model: "mock-large"),
                status: 403,
                reason: "model_not_allowed"
            ),
            Case(
                name: "model_allowlist, deny wins",
                kind: "model_allowlist",
                config: ["allow": ["*"], "deny": ["*-large"]],
                allowed: chat(model: "mock-small"),
                refused: chat(model: "mock-large"),
                status: 403,
                reason: "model_not_allowed"
            ),
            Case(
                name: "request_size",
                kind: "request_size",
                config: ["max_bytes": 1000],
                allowed: chat("short"),
                refused: chat(String(repeating: "long ", count: 300)),
                status: 413,
                reason: "request_too_large"
            ),
            Case(
                name: "cel, deny_if",
                kind: "cel",
                config: ["deny_if": "request.max_tokens > 100 && request.model.startsWith('mock')"],
                allowed: chat("Hello", ["max_tokens": 100]),
                refused: chat("Hello", ["max_tokens": 101]),
                status: 403,
                reason: "denied"
            ),
            Case(
                name: "cel, allow_if",
                kind: "cel",
                config: ["allow_if": "request.?max_tokens.orValue(0) <= 100 && size(app.tags) == 0"],
                allowed: chat(),
                refused: chat("Hello", ["max_tokens": 101]),
                status: 403,
                reason: "denied"
            ),
            Case(
                name: "cel, an expression that errors",
                kind: "cel",
                config: ["deny_if": "request.metadata['team'] == 'x'"],
                allowed: chat("Hello", ["metadata": ["team": "y"]]),
                refused: chat(),
                status: 403,
                reason: "evaluation_failed"
            ),
            Case(
                name: "token_limit, prompt",
                kind: "token_limit",
                config: ["max_prompt_tokens": 400],
                allowed: chat("short"),
                refused: chat(String(repeating: "long ", count: 1000)),
                status: 429,
                reason: "prompt_too_long"
            ),
            Case(
                name: "token_limit, output cap",
                kind: "token_limit",
                config: ["max_completion_tokens": 50],
                allowed: chat("Hello", ["max_tokens": 50]),
                refused: chat("Hello", ["max_tokens": 51]),
                status: 429,
                reason: "output_cap_too_high"
            ),
        ]

        @Test(arguments: cases)
        func `refuses and allows on both nodes, and the refusal is found by its id`(_ example: Case) async throws {
            let app = try await system.makeApp()
            for node in system.gateways.indices {
                #expect(try await app.send(example.refused, node: node).status == 200, "before there is a policy")
            }
            let policy = try await app.add(example.kind, example.config)
            for node in system.gateways.indices {
                let allowed = try await app.send(example.allowed, node: node)
                #expect(allowed.status == 200, "\(allowed.text)")
                let refused = try await app.send(example.refused, node: node)
                #expect(refused.status == example.status, "\(refused.text)")
                #expect(refused.header("x-weir-origin") == "policy")
                // SDKs send a 429 again by themselves unless they are told that it is of no use.
                if example.status == 429 { #expect(refused.header("x-should-retry") == "false") }
                let error = try JSONValue(parsing: refused.body)["error"]
                #expect(error?["message"]?.text?.isEmpty == false)
                let record = try await app.record(of: refused)
                #expect(record["outcome"]?.text == "refused")
                #expect(record["refused_by"] == policy["id"])
                #expect(record["reason"]?.text?.contains(example.reason) == true, "\(record)")
                #expect(record["app_id"]?.text == app.id)
                #expect(record["total_tokens"]?.int == 0)
                let id = try #require(refused.header("x-request-id"))
                let why = try await system.admin.call("GET", "/v1/requests/\(id)/explain")
                #expect(why["decision"]?.text == "refuse" && why["explained"] == true)
                let verdict = try #require(why["rules"]?.elements?.first { $0["policy"] == policy["id"] })
                #expect(verdict["verdict"]?.text == "refuse" && verdict["reason"]?.text == example.reason)
                // The very values of the record, which were written down when they were compared.
                if let limit = verdict["limit"]?.int, let got = verdict["got"]?.int {
                    #expect(record["reason"]?.text == "\(example.reason) limit=\(limit) got=\(got)")
                }
            }
            // What the control plane says would happen is what happens.
            for (body, decision) in [(example.allowed, "allow"), (example.refused, "refuse")] {
                let answer = try await system.admin.call(
                    "POST",
                    "/v1/simulate",
                    ["key": .string(app.keyID), "body": body]
                )
                #expect(answer["decision"]?.text == decision, "\(answer)")
                if decision == "refuse" {
                    #expect(answer["reason"]?.text == example.reason && answer["policy"] == policy["id"])
                }
            }
        }

        @Test func `of rate_limit is explained by its counter, which a simulation leaves alone`() async throws {
            let app = try await system.makeApp([("rate_limit", ["limit": 2, "window": "31d"])])
            let question: JSONValue = ["key": .string(app.keyID), "body": chat()]
            for used in 0..<2 as Range<Int64> {
                for _ in 0..<3 {
                    let limit = try await system.admin.call("POST", "/v1/simulate", question)["limits"]?[0]
                    #expect(limit?["remaining"]?.int == 2 - used && limit?["verdict"]?.text == "allow")
                }
                #expect(try await app.send(chat(), node: Int(used)).status == 200)
            }
            #expect(try await system.admin.call("POST", "/v1/simulate", question)["decision"]?.text == "refuse")
            let refused = try await app.send(chat())
            #expect(refused.status == 429)
            _ = try await app.record(of: refused)
            let id = try #require(refused.header("x-request-id"))
            let why = try await system.admin.call("GET", "/v1/requests/\(id)/explain")
            let limit = why["limits"]?[0]
            #expect(limit?["limit"]?.int == 2 && limit?["remaining"]?.int == 0 && limit?["cost"]?.int == 1)
            #expect(limit?["verdict"]?.text == "refuse" && limit?["algorithm"]?.text == "fixed_window")
            #expect(why["rules"]?[0]?["verdict"]?.text == "allow", "from memory alone it had nothing against it")
        }

        @Test func `of rate_limit admits its limit exactly over both nodes`() async throws {
            let app = try await system.makeApp([("rate_limit", ["limit": 7, "window": "31d", "per": ["app"]])])
            var statuses: [Int] = []
            var last: LoopbackResponse?
            for number in 0..<20 {
                let response = try await app.send(chat(), node: number % 2)
                statuses.append(response.status)
                last = response
            }
            #expect(statuses.prefix(7).allSatisfy { $0 == 200 }, "\(statuses)")
            #expect(statuses.dropFirst(7).allSatisfy { $0 == 429 }, "\(statuses)")
            let refused = try #require(last)
            #expect(refused.header("x-ratelimit-limit-requests") == "7" || refused.header("x-should-retry") == "false")
            // A month's window is longer than SDKs are willing to wait.
            let isBrief = refused.header("retry-after").flatMap { Int($0) }.map { $0 <= 60 } ?? false
            #expect(isBrief || refused.header("x-should-retry") == "false")
            let record = try await app.record(of: refused)
            #expect(record["outcome"]?.text == "refused")
        }

        @Test func `of rate_limit admits its limit exactly under concurrent requests`() async throws {
            let app = try await system.makeApp([("rate_limit", ["limit": 25, "window": "31d"])])
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<60 {
                    group.addTask { try await app.send(chat(), node: number % 2).status }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.filter { $0 == 200 }.count == 25)
            #expect(statuses.filter { $0 == 429 }.count == 35)
        }

        @Test func `of token_limit charges what was used, not what was reserved`() async throws {
            // One request reserves far more than it uses; were that charged, the second would not pass.
            let app = try await system.makeApp([
                ("token_limit", ["limit": 3000, "window": "31d", "assumed_output_tokens": 2000])
            ])
            for number in 0..<10 {
                let response = try await app.send(chat("Small"), node: number % 2)
                #expect(response.status == 200, "request \(number): \(response.text)")
                // Settled when the record is there; the next reserves from what is left.
                _ = try await app.record(of: response)
            }
            let large = try await app.send(chat("Hello", ["max_tokens": 4000]))
            #expect(large.status == 429)
        }

        @Test func `of token_limit refuses when the window is used up`() async throws {
            let app = try await system.makeApp([
                ("token_limit", ["limit": 60, "window": "31d", "assumed_output_tokens": 1])
            ])
            var refused = 0
            for number in 0..<8 {
                let response = try await app.send(chat("[[mock: words=20]]", ["max_tokens": 30]), node: number % 2)
                if response.status == 429 { refused += 1 }
                _ = try await app.record(of: response)
            }
            #expect(refused >= 5)
        }

        @Test func `in shadow refuses nobody`() async throws {
            let app = try await system.makeApp()
            _ = try await app.add("model_allowlist", ["allow": []], mode: "shadow")
            _ = try await app.add("rate_limit", ["limit": 1, "window": "31d"], mode: "shadow")
            for _ in 0..<3 { #expect(try await app.send(chat()).status == 200) }
        }

        @Test func `is in force on both nodes when its write answers, and no longer when its removal does`()
            async throws
        {
            let app = try await system.makeApp()
            for _ in 0..<5 {
                let policy = try await app.add("model_allowlist", ["allow": []])
                for node in system.gateways.indices { #expect(try await app.send(chat(), node: node).status == 403) }
                let id = try #require(policy["id"]?.text)
                try await system.admin.call("DELETE", "/v1/policies/\(id)?wait=applied")
                for node in system.gateways.indices { #expect(try await app.send(chat(), node: node).status == 200) }
            }
        }

        @Test func `of another app or key does not count`() async throws {
            let other = try await system.makeApp([("model_allowlist", ["allow": []])])
            let app = try await system.makeApp()
            #expect(try await app.send(chat()).status == 200)
            #expect(try await other.send(chat()).status == 403)
            let second = try await system.admin.call("POST", "/v1/apps/\(app.id)/keys?wait=applied", ["name": "second"])
            let key = TestApp(
                system: system,
                id: app.id,
                key: try #require(second["key"]?.text),
                keyID: try #require(second["id"]?.text)
            )
            try await system.admin.call(
                "POST",
                "/v1/policies?wait=applied",
                [
                    "name": .string("key-\(UUID().uuidString)"), "kind": "model_allowlist", "config": ["allow": []],
                    "scope": ["key": .string(key.keyID)],
                ]
            )
            #expect(try await key.send(chat()).status == 403)
            #expect(try await app.send(chat()).status == 200)
        }

        @Test func `that costs a request keeps it from the provider`() async throws {
            let app = try await system.makeApp([("model_allowlist", ["allow": ["mock-small"]])])
            let mark = UUID().uuidString
            #expect(try await app.send(chat(mark, model: "mock-large")).status == 403)
            #expect(try await system.provider.requests(holding: mark).isEmpty)
        }

        @Test func `of kind cel tells the client the admin's words, or the general ones, and nothing of the rule`()
            async throws
        {
            let app = try await system.makeApp()
            _ = try await app.add(
                "cel",
                ["deny_if": "request.n == 3", "message": "three \"answers\" need a ticket"]
            )
            _ = try await app.add("cel", ["deny_if": "request.headers['x-secret-rule'] == 'yes' && request.n > 1"])
            let worded = try await app.send(chat("Hello", ["n": 3]))
            #expect(worded.status == 403)
            let error = try JSONValue(parsing: worded.body)["error"]
            #expect(error?["message"]?.text == "three \"answers\" need a ticket")
            // The second rule asks for a header that is not there; with n = 1 that does not matter, with n = 2 it does.
            #expect(try await app.send(chat()).status == 200)
            let failed = try await app.send(chat("Hello", ["n": 2]))
            #expect(failed.status == 403)
            let general = try JSONValue(parsing: failed.body)["error"]
            #expect(general?["message"]?.text == "request not allowed")
            #expect(general?["code"]?.text == "permission_denied")
            for text in [worded.text, failed.text] {
                for secret in ["request.", "x-secret", "no such key", "deny_if"] { #expect(!text.contains(secret)) }
            }
        }

        @Test func `of kind cel that fails and may, lets the request pass`() async throws {
            let app = try await system.makeApp()
            try await system.admin.call(
                "POST",
                "/v1/policies?wait=applied",
                [
                    "name": .string("open-\(UUID().uuidString)"), "kind": "cel",
                    "config": ["deny_if": "request.user == 'x'"],
                    "scope": ["app": .string(app.id)], "on_error": "allow",
                ]
            )
            #expect(try await app.send(chat()).status == 200)
            #expect(try await app.send(chat("Hello", ["user": "x"])).status == 403)
        }
    }

    @Suite struct `A key` {
        @Test func `that is revoked, or whose app is disabled, is refused on both nodes`() async throws {
            let system = try WholeSystem.running
            let app = try await system.makeApp()
            try await system.admin.call("DELETE", "/v1/apps/\(app.id)/keys/\(app.keyID)?wait=applied")
            for node in system.gateways.indices { #expect(try await app.send(chat(), node: node).status == 401) }
            let disabled = try await system.makeApp()
            let current = try await system.admin.send("GET", "/v1/apps/\(disabled.id)")
            try await system.admin.call(
                "PATCH",
                "/v1/apps/\(disabled.id)?wait=applied",
                ["enabled": false],
                headers: [("If-Match", try #require(current.response.header("etag")))]
            )
            for node in system.gateways.indices {
                let status = try await disabled.send(chat(), node: node).status
                #expect(status == 401 || status == 403)
            }
        }
    }
}
