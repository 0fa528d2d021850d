// What passes through a gateway: the provider's bytes as they are, the client's credential never.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `A forwarded request` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        @Test func `is answered with the provider's status and body, and says whose answer it is`() async throws {
            let app = try await system.makeApp()
            for node in system.gateways.indices {
                let direct = try await system.provider.direct(chat("Plain é \"q\""), to: "/v1/chat/completions")
                let response = try await app.send(chat("Plain é \"q\""), node: node)
                #expect(response.status == 200)
                #expect(response.text == direct.text)
                #expect(response.header("content-type") == direct.header("content-type"))
                #expect(response.header("x-weir-origin") == "upstream")
                #expect(response.header("x-request-id")?.isEmpty == false)
                #expect(response.header("set-cookie") == nil)
            }
        }

        @Test(arguments: [
            ("/v1/chat/completions", "mock-small"), ("/v1/responses", "mock-small"), ("/v1/messages", "claude-mock"),
            ("/v1/embeddings", "mock-embed"),
        ])
        func `goes to each endpoint with the provider's credential and not the client's`(
            path: String,
            model: String
        ) async throws {
            let app = try await system.makeApp()
            let mark = UUID().uuidString
            let body: JSONValue =
                ["/v1/chat/completions", "/v1/messages"].contains(path)
                ? chat(mark, model: model, ["max_tokens": 64])
                : ["model": .string(model), "input": .string(mark)]
            let direct = try await system.provider.direct(body, to: path)
            let response = try await app.send(body, to: path)
            #expect(response.status == 200, "\(response.text)")
            #expect(response.text == direct.text)
            let seen = try await system.provider.requests(holding: mark)
            try #require(seen.count == 2)
            let forwarded = String(decoding: seen[1].bytes, as: UTF8.self)
            #expect(forwarded.contains(WholeSystem.providerKey))
            #expect(!forwarded.contains(app.key))
        }

        @Test func `keeps a well-formed request id and replaces a bad one`() async throws {
            let app = try await system.makeApp()
            let id = "test-\(UUID().uuidString)"
            #expect(try await app.send(chat(), headers: [("x-request-id", id)]).header("x-request-id") == id)
            let replaced = try await app.send(chat(), headers: [("x-request-id", "not \u{7f} good")])
            #expect(replaced.header("x-request-id") != "not \u{7f} good")
        }

        @Test func `has its model name replaced by the route's, and nothing else`() async throws {
            try await system.addModel("public-name", provider: "mock", upstream: "mock-large")
            let app = try await system.makeApp()
            let mark = UUID().uuidString
            let response = try await app.send(chat(mark, model: "public-name", ["temperature": 0.25]))
            #expect(response.status == 200)
            let seen = try #require(try await system.provider.requests(holding: mark).first?["body"])
            #expect(seen == chat(mark, model: "mock-large", ["temperature": 0.25]))
        }

        @Test func `that a provider refuses comes back as the provider said it`() async throws {
            let app = try await system.makeApp()
            let body = chat("[[mock: fault=status:429 retry-after=7]]")
            let direct = try await system.provider.direct(body, to: "/v1/chat/completions")
            let response = try await app.send(body)
            #expect(response.status == 429)
            #expect(response.text == direct.text)
            #expect(response.header("retry-after") == "7")
            #expect(response.header("x-weir-origin") == "upstream")
        }
    }

    @Suite struct `A stream` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        @Test(
            arguments: [
                ("/v1/chat/completions", "mock-small"), ("/v1/responses", "mock-small"),
                ("/v1/messages", "claude-mock"),
            ],
            ["", "split", "crlf", "comments", "multi_line", "slow_drip", "usage_every_chunk"]
        )
        func `is byte for byte what the provider sent`(endpoint: (String, String), fault: String) async throws {
            let (path, model) = endpoint
            let app = try await system.makeApp()
            let directive = fault.isEmpty ? "" : " [[mock: fault=\(fault) chunk-ms=1]]"
            let text = "Streams “é” 日本 \"q\"\\ \n\(directive)"
            var more: [String: JSONValue] = ["stream": true, "max_tokens": 200]
            // Asked for by the client, usage is the client's too: nothing is taken out.
            if path == "/v1/chat/completions" { more["stream_options"] = ["include_usage": true] }
            let body: JSONValue =
                path == "/v1/responses"
                ? ["model": .string(model), "input": .string(text), "stream": true] : chat(text, model: model, more)
            let direct = try await system.provider.direct(body, to: path)
            let response = try await app.send(body, to: path, node: 1)
            #expect(response.status == 200, "\(response.text.prefix(300))")
            #expect(response.end == .complete)
            #expect(response.header("content-type") == direct.header("content-type"))
            #expect(response.body == direct.body, "\(response.text) instead of \(direct.text)")
        }

        @Test(arguments: ["", "split", "crlf", "comments"])
        func `shows no usage that its client did not ask for, and is counted all the same`(fault: String) async throws {
            let app = try await system.makeApp()
            let directive = fault.isEmpty ? "" : " [[mock: fault=\(fault) chunk-ms=1]]"
            let body = chat("Quietly\(directive)", ["stream": true])
            let direct = try await system.provider.direct(body, to: "/v1/chat/completions")
            let response = try await app.send(body)
            // The mock puts a comment before every event, so also before the one that is taken out.
            let comment = ": keep-alive\n\n"
            #expect(response.text.replacing(comment, with: "") == direct.text.replacing(comment, with: ""))
            let record = try await app.record(of: response)
            #expect(record["usage_source"]?.text == "provider")
            #expect(record["completion_tokens"]?.int ?? 0 > 0)
        }

        @Test func `arrives while the provider still speaks`() async throws {
            let app = try await system.makeApp()
            let body = chat("Slowly [[mock: chunk-ms=100 words=10]]", ["stream": true])
            let begin = ContinuousClock.now
            let arrivals = Arrivals()
            let response = try await app.send(body) { _ in
                arrivals.add(ContinuousClock.now - begin)
                return true
            }
            #expect(response.end == .complete)
            let times = arrivals.all
            let spread = try #require(times.last) - (try #require(times.first))
            #expect(times.count >= 8)
            #expect(spread > .milliseconds(500))
        }

        @Test func `that is cut ends in the protocol's error, never in a good end`() async throws {
            let app = try await system.makeApp()
            let body = chat("Cut [[mock: fault=reset_mid_stream words=20]]", ["stream": true])
            let response = try await app.send(body)
            #expect(response.status == 200)
            #expect(!response.text.contains("[DONE]"))
            #expect(!response.text.contains("\"finish_reason\":\"stop\""))
            #expect(response.text.contains("\"error\""), "\(response.text)")
            #expect(try await app.record(of: response)["outcome"]?.text == "upstream_failed")
        }

        @Test func `that its provider ends early but cleanly is passed on as it is, and known to be partial`()
            async throws
        {
            let app = try await system.makeApp()
            // With usage asked for by the client the mock gets the same request twice, and cuts in the same place.
            let body = chat(
                "Short [[mock: fault=truncate words=20]]",
                ["stream": true, "stream_options": ["include_usage": true]]
            )
            let direct = try await system.provider.direct(body, to: "/v1/chat/completions")
            let response = try await app.send(body)
            #expect(response.text == direct.text)
            #expect(!response.text.contains("[DONE]"))
            #expect(try await app.record(of: response)["usage_source"]?.text == "partial")
        }
    }
}

/// When pieces of a body came.
private final class Arrivals: Sendable {
    private let times = Locked<[Duration]>([])

    var all: [Duration] { times.value }

    func add(_ time: Duration) { times.change { $0.append(time) } }
}
