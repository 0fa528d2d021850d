// Whole requests through a real node to a provider that answers from memory.

import Foundation
import Policy
import Testing

@Suite(.offPool, .serialized) struct `A request` {
    @Test func `is forwarded with the provider's credential and answered byte for byte`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let answer = try gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(answer.contains("x-weir-origin: upstream"))
        #expect(
            answer.hasSuffix(
                String(decoding: CannedUpstream.Answer.completion.bytes, as: UTF8.self).components(
                    separatedBy: "\r\n\r\n"
                )[1]
            )
        )
        let seen = try #require(upstream.requests.first)
        #expect(seen.head.hasPrefix("POST /v1/chat/completions HTTP/1.1"))
        #expect(seen.head.contains("authorization: Bearer sk-upstream"))
        #expect(!seen.head.contains(GatewayFixture.secret))
        #expect(seen.bodyText == #"{"model":"mock","messages":[{"role":"user","content":"hi"}]}"#)
        try gateway.stop()
    }

    @Test func `goes upstream under the route's model name`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        _ = try gateway.ask(GatewayFixture.chat(#"{"model" : "alias","n":1e0,"messages":[]}"#))
        #expect(upstream.requests.first?.bodyText == #"{"model" : "secret-model","n":1e0,"messages":[]}"#)
        try gateway.stop()
    }

    struct Refusal: Sendable {
        let kind: String
        let config: ConfigValue
        let body: String
        let status: Int
    }

    static let refusals = [
        Refusal(
            kind: "request_size",
            config: .object(["max_bytes": .integer(64)]),
            body: #"{"model":"mock","messages":[{"role":"user","content":"a longer text than allowed"}]}"#,
            status: 413
        ),
        Refusal(
            kind: "model_allowlist",
            config: .object(["allow": .array([.string("mock"), .string("alias")])]),
            body: #"{"model":"alias","messages":[]}"#,
            status: 403
        ),
        Refusal(
            kind: "token_limit",
            config: .object(["max_completion_tokens": .integer(10)]),
            body: #"{"model":"mock","messages":[],"max_tokens":11}"#,
            status: 429
        ),
    ]

    @Test(arguments: refusals)
    func `that a policy refuses costs no upstream connection`(refusal: Refusal) throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let policies = [(kind: refusal.kind, config: refusal.config)]
        let gateway = try GatewayFixture(upstream: upstream, policies: policies)
        let answer = try gateway.ask(GatewayFixture.chat(refusal.body))
        #expect(answer.hasPrefix("HTTP/1.1 \(refusal.status)"), "\(answer)")
        #expect(answer.contains("x-weir-origin: policy"))
        #expect(upstream.requests.isEmpty)
        try gateway.stop()
        // In shadow mode the same rule is evaluated and refuses nothing.
        let shadow = try GatewayFixture(upstream: upstream, policies: policies, mode: .shadow)
        #expect(try shadow.ask(GatewayFixture.chat(refusal.body)).hasPrefix("HTTP/1.1 200"))
        try shadow.stop()
    }

    @Test func `is counted by the node's share while Redis is down`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        // So long that its end is not near: in a window's last minute a client is told to wait, not to give up. A day's
        // window made this fail at midnight.
        let config = ConfigValue.object(["limit": .integer(2), "window": .string("31d")])
        let gateway = try GatewayFixture(upstream: upstream, policies: [(kind: "rate_limit", config: config)])
        let answers = try (0..<4).map { _ in try gateway.ask(GatewayFixture.chat()) }
        #expect(answers.map { $0.dropFirst(9).prefix(3) } == ["200", "200", "429", "429"])
        #expect(answers[0].contains("x-ratelimit-remaining-requests: 1"))
        #expect(answers[2].contains("x-should-retry: false"))
        try gateway.stop()
    }

    @Test(arguments: ["", "Bearer nonsense", "Bearer wk_abcdefgh01234567_\(String(repeating: "x", count: 32))"])
    func `without a valid key is told nothing but that`(authorization: String) throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let field = authorization.isEmpty ? "" : "Authorization: \(authorization)\r\n"
        let answer = try gateway.ask(
            GatewayFixture.chat().replacing("Authorization: Bearer \(GatewayFixture.key)\r\n", with: field)
        )
        #expect(answer.hasPrefix("HTTP/1.1 401"))
        #expect(upstream.requests.isEmpty)
        try gateway.stop()
    }

    @Test func `whose answer breaks off never ends cleanly`() throws {
        let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(
                bytes: Array(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\(String(event.utf8.count, radix: 16))\r\n\(event)\r\n"
                        .utf8
                ),
                closes: true
            )
        }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let answer = try gateway.ask(GatewayFixture.chat(#"{"model":"mock","stream":true,"messages":[]}"#))
        #expect(answer.contains(event))
        #expect(answer.contains(#"data: {"error":"#))
        #expect(!answer.contains("[DONE]"))
        #expect(!answer.hasSuffix("0\r\n\r\n"))
        try gateway.stop()
    }

    @Test func `that the provider refuses for our credential is no 401 to the client`() throws {
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(bytes: Array("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}".utf8))
        }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 502"))
        try gateway.stop()
    }

    @Test func `to a half-closed connection is still answered`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let connection = try RawConnection(port: gateway.port)
        connection.send(GatewayFixture.chat())
        connection.finishSending()
        #expect(connection.receiveAll().hasPrefix("HTTP/1.1 200"))
        try gateway.stop()
    }
}
