// What SDKs expect beside answers: error bodies in their protocol, lists of models, health.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `An error` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        @Test(arguments: ["wk_0000000000000000_00000000000000000000000000000000", "nonsense", ""])
        func `of a bad key is 401 in the caller's protocol`(key: String) async throws {
            for (path, header) in [("/v1/chat/completions", "Authorization"), ("/v1/messages", "x-api-key")] {
                let value = header == "Authorization" ? "Bearer \(key)" : key
                let response = try await raw(path, chat().bytes, [(header, value)])
                #expect(response.status == 401)
                try expectShape(response, path: path)
            }
        }

        @Test(arguments: [
            ("/v1/chat/completions", #"{"model":"no-such-model","messages":[]}"#, 404),
            ("/v1/messages", #"{"model":"no-such-model","max_tokens":5,"messages":[]}"#, 404),
            ("/v1/chat/completions", #"{"model":"mock-small","messages":[]"#, 400),
            ("/v1/chat/completions", #"{"model":"mock-small","model":"mock-large","messages":[]}"#, 400),
            ("/v1/chat/completions", #"{"messages":[]}"#, 400),
            ("/v1/messages", "[]", 400),
            ("/v1/responses", "", 400),
            ("/v1/nothing", "{}", 404),
        ])
        func `of a request is in the caller's protocol, with its status`(
            path: String,
            body: String,
            status: Int
        ) async throws {
            let app = try await system.makeApp()
            let response = try await raw(path, Array(body.utf8), [("Authorization", "Bearer \(app.key)")])
            #expect(response.status == status, "\(response.text)")
            try expectShape(response, path: path)
        }

        @Test func `of a method or a media type says so`() async throws {
            let app = try await system.makeApp()
            let get = try await LoopbackClient.send(
                LoopbackRequest(
                    "GET",
                    "\(system.gateways[0])/v1/chat/completions",
                    headers: [("Authorization", "Bearer \(app.key)")]
                )
            )
            #expect(get.status == 405)
            let coded = try await raw(
                "/v1/chat/completions",
                chat().bytes,
                [("Authorization", "Bearer \(app.key)"), ("Content-Encoding", "gzip")]
            )
            #expect(coded.status == 415)
        }

        @Test func `of a provider that is not there is 503, and of one that breaks off 502`() async throws {
            let port = try FreePort.claim()
            _ = try await system.admin.ensure(
                "/v1/providers",
                ["name": "nowhere", "kind": "openai_compatible", "base_url": .string("http://127.0.0.1:\(port)/v1")]
            )
            try await system.addModel("nowhere", provider: "nowhere", upstream: "x")
            let app = try await system.makeApp()
            let absent = try await app.send(chat(model: "nowhere"))
            #expect(absent.status == 503)
            #expect(absent.header("x-weir-origin") == "gateway")
            let broken = try await app.send(chat("[[mock: fault=reset id=\(UUID().uuidString)]]"))
            #expect(broken.status == 502)
            #expect(try await app.record(of: broken)["outcome"]?.text == "upstream_failed")
        }

        private func raw(
            _ path: String,
            _ body: [UInt8],
            _ headers: [(name: String, value: String)]
        ) async throws -> LoopbackResponse {
            let all = headers + [("Content-Type", "application/json")]
            return try await LoopbackClient.send(
                LoopbackRequest("POST", system.gateways[0] + path, headers: all, body: body)
            )
        }

        private func expectShape(_ response: LoopbackResponse, path: String) throws {
            #expect(response.header("content-type")?.hasPrefix("application/json") == true)
            #expect(response.header("x-request-id")?.isEmpty == false)
            let json = try JSONValue(parsing: response.body)
            #expect(json["error"]?["message"]?.text?.isEmpty == false)
            #expect(json["error"]?["type"]?.text?.isEmpty == false)
            if path == "/v1/messages" { #expect(json["type"]?.text == "error") }
        }
    }

    @Suite struct `The list of models` {
        @Test func `shows what the key may use, in the caller's shape`() async throws {
            let system = try WholeSystem.running
            let app = try await system.makeApp([
                ("model_allowlist", ["allow": ["mock-*", "claude-mock"], "deny": ["mock-large"]])
            ])
            for node in system.gateways.indices {
                let openAI = try await list(system.gateways[node], [("Authorization", "Bearer \(app.key)")])
                #expect(openAI["object"]?.text == "list")
                let names = openAI["data"]?.elements?.compactMap { $0["id"]?.text } ?? []
                #expect(Set(names) == ["mock-small", "mock-embed", "claude-mock"])
                let anthropic = try await list(
                    system.gateways[node],
                    [("x-api-key", app.key), ("anthropic-version", "2023-06-01")]
                )
                #expect(anthropic["has_more"] == false)
                #expect(anthropic["data"]?[0]?["type"]?.text == "model")
            }
        }

        private func list(_ url: String, _ headers: [(name: String, value: String)]) async throws -> JSONValue {
            let response = try await LoopbackClient.send(LoopbackRequest("GET", "\(url)/v1/models", headers: headers))
            #expect(response.status == 200, "\(response.text)")
            return try JSONValue(parsing: response.body)
        }
    }
}
