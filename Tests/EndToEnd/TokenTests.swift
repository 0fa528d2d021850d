// Token limits on real requests: exact before anything is sent, never overdrawn by what is reserved, and settled to what
// the provider says.

import Foundation
import LLMWire
import Stack
import Testing
import Tokens

extension EndToEnd {
    @Suite struct `A token limit` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        /// A model whose prompts are counted with a vocabulary that the administrator names.
        private func exactModel(maxOutput: Int64? = nil) async throws -> String {
            let name = "exact-\(UUID().uuidString.prefix(8))"
            try await system.admin.call(
                "POST",
                "/v1/models?wait=applied",
                [
                    "name": .string(name), "encoding": "o200k_base",
                    "max_output_tokens": maxOutput.map { .integer($0) } ?? nil,
                    "routes": [["provider": "mock", "upstream_model": .string(name), "weight": 1]],
                ]
            )
            return name
        }

        private func tokens(_ body: JSONValue) throws -> Int {
            var counter = PromptCounter()
            let bytes = body.bytes
            let name = Array("gpt-4o".utf8)
            return try counter.count(
                bytes.span,
                endpoint: .chatCompletions,
                model: ModelTable.profile(name.span),
                with: try Tokenizer.shared(.o200kBase)
            ).tokens
        }

        @Test func `refuses a prompt of one token too many, and admits one at the limit`() async throws {
            let model = try await exactModel()
            let mark = UUID().uuidString
            let fits = chat("Tell me about \(mark) in many words, please", model: model)
            let tooLong = chat("Tell me about \(mark) in many words, please!", model: model)
            let limit = try tokens(fits)
            #expect(try tokens(tooLong) == limit + 1)
            let app = try await system.makeApp([("token_limit", ["max_prompt_tokens": .integer(Int64(limit))])])
            for node in system.gateways.indices {
                let refused = try await app.send(tooLong, node: node)
                #expect(refused.status == 429, "\(refused.text)")
                #expect(refused.header("x-should-retry") == "false")
            }
            #expect(try await system.provider.requests(holding: mark).isEmpty)
            for node in system.gateways.indices { #expect(try await app.send(fits, node: node).status == 200) }
            #expect(try await system.provider.requests(holding: mark).count == 2)
        }

        @Test func `is never overdrawn by what is reserved, and ends at what the provider said`() async throws {
            let model = try await exactModel()
            // Slow enough that nobody has settled before everybody has asked.
            let body = chat("[[mock: words=12 chunk-ms=150]] go", model: model, ["max_tokens": 40, "stream": true])
            let reservation = try tokens(body) + 40
            let fitting = 20
            let window = reservation * fitting + reservation / 2
            let app = try await system.makeApp([
                ("token_limit", ["limit": .integer(Int64(window)), "window": "31d"])
            ])
            let answers = try await withThrowingTaskGroup(of: LoopbackResponse.self) { group in
                for number in 0..<64 { group.addTask { try await app.send(body, node: number % 2) } }
                return try await group.reduce(into: [LoopbackResponse]()) { $0.append($1) }
            }
            let admitted = answers.filter { $0.status == 200 }
            #expect(admitted.count == fitting)
            #expect(answers.filter { $0.status == 429 }.count == 64 - fitting)
            var billed = 0
            for answer in admitted {
                let remaining = try #require(answer.header("x-ratelimit-remaining-tokens").flatMap { Int($0) })
                #expect((0..<window).contains(remaining))
                billed += Int(try #require(try await app.record(of: answer)["total_tokens"]?.int))
            }
            #expect(billed > 0 && billed < reservation * fitting)

            // A last request sees the window as the provider's own numbers leave it.
            let last = try await app.send(chat("go", model: model, ["max_tokens": 1]))
            let own = try tokens(chat("go", model: model)) + 1
            #expect(last.header("x-ratelimit-remaining-tokens").flatMap { Int($0) } == window - billed - own)
        }

        @Test func `reserves the model's most where nobody says how long an answer may be`() async throws {
            let model = try await exactModel(maxOutput: 5_000)
            let app = try await system.makeApp([("token_limit", ["limit": 12_000, "window": "31d"])])
            let body = chat("go", model: model)
            let answer = try await app.send(body)
            #expect(answer.status == 200)
            let remaining = answer.header("x-ratelimit-remaining-tokens").flatMap { Int($0) }
            #expect(remaining == 12_000 - 5_000 - (try tokens(body)))
        }

        @Test func `learns how another provider's models count`() async throws {
            let app = try await system.makeApp([("token_limit", ["limit": 50_000, "window": "31d"])])
            let text = String(repeating: "some words of a longer prompt ", count: 30)
            for number in 0..<6 {
                #expect(try await app.send(chat(text, ["max_tokens": 5]), node: number % 2).status == 200)
            }
            for gateway in system.gateways {
                let metrics = try await LoopbackClient.send(LoopbackRequest("GET", "\(gateway)/metrics")).text
                #expect(metrics.contains("weir_token_factor_permille{model=\"mock-small\"}"))
                #expect(metrics.contains("weir_token_error_permille{model=\"mock-small\"}"))
            }
        }
    }
}
