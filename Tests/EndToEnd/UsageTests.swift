// One record for every request, with what the provider billed, however the request ended.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `Usage` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        @Test(
            arguments: [
                ("/v1/chat/completions", "mock-small"), ("/v1/responses", "mock-small"),
                ("/v1/messages", "claude-mock"),
            ],
            [false, true]
        )
        func `is recorded as the provider said it`(endpoint: (String, String), isStream: Bool) async throws {
            let (path, model) = endpoint
            let app = try await system.makeApp()
            let body: JSONValue =
                path == "/v1/responses"
                ? ["model": .string(model), "input": "Count me", "stream": .bool(isStream)]
                : chat("Count me", model: model, ["max_tokens": 100, "stream": .bool(isStream)])
            let plain: JSONValue =
                path == "/v1/responses"
                ? ["model": .string(model), "input": "Count me"]
                : chat("Count me", model: model, ["max_tokens": 100])
            let usage = try JSONValue(parsing: try await system.provider.direct(plain, to: path).body)["usage"]
            let prompt = try #require(usage?["prompt_tokens"]?.int ?? usage?["input_tokens"]?.int)
            let completion = try #require(usage?["completion_tokens"]?.int ?? usage?["output_tokens"]?.int)

            let response = try await app.send(body, to: path, node: isStream ? 1 : 0)
            #expect(response.status == 200, "\(response.text)")
            let record = try await app.record(of: response)
            #expect(record["outcome"]?.text == "completed")
            #expect(record["usage_source"]?.text == "provider")
            #expect(record["prompt_tokens"]?.int == prompt)
            #expect(record["completion_tokens"]?.int == completion)
            #expect(record["total_tokens"]?.int == prompt + completion)
            #expect(record["stream"] == .bool(isStream))
            #expect(record["endpoint"]?.text == path)
            #expect(record["model"]?.text == model)
            #expect(record["status"]?.int == 200)
            #expect(record["response_bytes"]?.int == Int64(response.body.count))
        }

        @Test func `is recorded for a client that hangs up midway, and the provider is let go`() async throws {
            let app = try await system.makeApp()
            let mark = UUID().uuidString
            let seen = Locked(0)
            let body = chat("Leaving \(mark) [[mock: chunk-ms=50 words=200]]", ["stream": true])
            let response = try await app.send(body) { bytes in
                seen.change { $0 += bytes.count }
                return seen.value < 1500
            }
            #expect(response.status == 200)
            #expect(response.end == .hungUp)
            let record = try await app.record(of: response)
            #expect(record["outcome"]?.text == "client_gone")
            #expect(["partial", "estimated"].contains(record["usage_source"]?.text))
            #expect(record["completion_tokens"]?.int ?? 0 > 0)
            let isLetGo = await wait(upTo: .seconds(5)) {
                do {
                    let requests = try await system.provider.requests(holding: mark)
                    return requests.first?["outcome"]?.text == "client_gone"
                } catch {
                    return false
                }
            }
            #expect(isLetGo, "the provider should have seen its client leave")
        }

        @Test func `adds up by app, key, model and hour`() async throws {
            let app = try await system.makeApp()
            var total: Int64 = 0
            for (number, model) in ["mock-small", "mock-small", "mock-large"].enumerated() {
                let response = try await app.send(chat("Sum \(number)", model: model), node: number % 2)
                total += try await app.record(of: response)["total_tokens"]?.int ?? 0
            }
            #expect(total > 0)
            let byApp = try await rows(app, "app")
            #expect(byApp.count == 1)
            #expect(byApp.first?["requests"]?.int == 3)
            #expect(byApp.first?["total_tokens"]?.int == total)
            let byModel = try await rows(app, "model")
            #expect(
                Dictionary(uniqueKeysWithValues: byModel.map { ($0["model"]?.text, $0["requests"]?.int) })
                    == ["mock-small": 2, "mock-large": 1]
            )
            #expect(try await rows(app, "key").first?["key_id"]?.text == app.keyID)
            #expect(try await rows(app, "hour").reduce(0) { $0 + ($1["requests"]?.int ?? 0) } == 3)
        }

        private func rows(_ app: TestApp, _ group: String) async throws -> [JSONValue] {
            let answer = try await system.admin.call("GET", "/v1/usage?group_by=\(group)&app=\(app.id)")
            return answer["data"]?.elements ?? []
        }
    }
}
