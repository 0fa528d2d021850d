// A model with several routes, configured over REST and enforced by real nodes.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `A model with two routes` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        /// Adds a provider at a URL and a model that falls back from it to the mock.
        private func addModel(_ name: String, first url: String, _ more: [String: JSONValue] = [:]) async throws {
            var provider: [String: JSONValue] = [
                "name": .string("\(name)-first"), "kind": "openai_compatible", "base_url": .string(url),
            ]
            provider.merge(more) { _, given in given }
            _ = try await system.admin.ensure(
                "/v1/providers",
                provider,
                writeOnly: ["credential": .string(WholeSystem.providerKey)]
            )
            _ = try await system.admin.ensure(
                "/v1/models",
                [
                    "name": .string(name),
                    "routes": [
                        ["provider": .string("\(name)-first"), "upstream_model": "mock-small", "weight": 1],
                        ["provider": "mock", "upstream_model": "mock-large", "weight": 0],
                    ],
                ]
            )
        }

        @Test func `is served by the second when nobody listens at the first, and recorded once`() async throws {
            try await addModel("dead-first", first: "http://127.0.0.1:1/v1")
            let app = try await system.makeApp()
            // More than the breaker takes: from then on the first is not asked.
            for number in 0..<20 {
                let response = try await app.send(chat("Number \(number)", model: "dead-first"), node: number % 2)
                #expect(response.status == 200, "\(response.text)")
                let record = try await app.record(of: response)
                #expect(record["upstream_model"]?.text == "mock-large")
                #expect(record["outcome"]?.text == "completed")
                #expect(record["usage_source"]?.text == "provider")
            }
        }

        @Test func `is served by the second when the first's account is empty, and streams`() async throws {
            try await addModel("poor-first", first: "\(system.provider.url)/v1")
            let app = try await system.makeApp()
            let mark = UUID().uuidString
            let body = chat("\(mark) [[mock: fault=quota times=1 id=\(mark)]]", model: "poor-first", ["stream": true])
            let response = try await app.send(body)
            #expect(response.status == 200, "\(response.text)")
            #expect(response.text.contains("[DONE]"))
            #expect(try await app.record(of: response)["upstream_model"]?.text == "mock-large")
            let seen = try await system.provider.requests(holding: mark)
            #expect(seen.map { $0["model"]?.text } == ["mock-small", "mock-large"])
        }

        @Test func `waits for the first no longer than its provider's timeout says`() async throws {
            try await addModel(
                "slow-first",
                first: "\(system.provider.url)/v1",
                ["first_byte_timeout_ms": 300, "connect_timeout_ms": 1_000, "idle_timeout_ms": 5_000]
            )
            let app = try await system.makeApp()
            let mark = UUID().uuidString
            let body = chat("\(mark) [[mock: fault=hang times=1 id=\(mark)]]", model: "slow-first")
            let response = try await app.send(body)
            #expect(response.status == 200, "\(response.text)")
            #expect(try await app.record(of: response)["upstream_model"]?.text == "mock-large")
        }
    }
}
