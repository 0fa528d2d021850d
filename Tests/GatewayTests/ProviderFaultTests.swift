// What providers do wrong and what their clients see of it (RELIABILITY, rows U1 to U12 and security 32 to 34).

import Foundation
import Snapshot
import Testing

@Suite(.offPool, .serialized) struct `A provider's fault` {
    private static let stream = #"{"model":"mock","stream":true,"messages":[]}"#
    private static let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"

    private func gateway(
        _ upstream: CannedUpstream,
        _ change: @escaping (inout ProviderRecord) -> Void = { _ in }
    ) throws -> GatewayFixture {
        try GatewayFixture(upstream: upstream) { change(&$0.providers[0]) }
    }

    @Test func `of not being there is a 503 in the SDK's shape`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        let gateway = try gateway(upstream)
        upstream.stop()
        let answer = try gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 503"))
        #expect(answer.contains("x-weir-origin: gateway") && answer.contains(#""type":"server_error""#))
        try gateway.stop()
    }

    @Test func `of not answering a connection is a 503 at its provider's deadline`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let hole = try BlackHole()
        let gateway = try gateway(upstream) { provider in
            provider.baseURL = "http://127.0.0.1:\(hole.port)/v1"
            provider.timeouts.connect = 150
        }
        let begin = ContinuousClock.now
        #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 503"))
        #expect(ContinuousClock.now - begin >= .milliseconds(150))
        #expect(try gateway.metric(#"weir_requests_total{outcome="timed_out"}"#) == 1)
        try gateway.stop()
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-"])
    func `of saying nothing is a 504 at its deadline`(beginning: String) throws {
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(bytes: Array(beginning.utf8), hangs: true)
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream) { $0.timeouts.firstByte = 150 }
        #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 504"))
        #expect(upstream.requests.count == 1)
        #expect(try gateway.metric(#"weir_requests_total{outcome="timed_out"}"#) == 1)
        try gateway.stop()
    }

    @Test func `of falling silent ends a stream at its deadline, and not in a good end`() throws {
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(
                bytes: Array("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\(Self.event)".utf8),
                hangs: true
            )
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream) { $0.timeouts.idle = 150 }
        let answer = try gateway.ask(GatewayFixture.chat(Self.stream))
        #expect(answer.contains(Self.event))
        #expect(answer.contains(#"data: {"error":"#))
        #expect(!answer.contains("[DONE]") && !answer.hasSuffix("0\r\n\r\n"))
        #expect(try gateway.metric(#"weir_requests_total{outcome="timed_out"}"#) == 1)
        try gateway.stop()
    }

    /// What follows the status line, and how the answer begins if its head can be passed on at all.
    static let framings = [
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n", "HTTP/1.1 200"),
        ("Content-Length: 9\r\n\r\n{}", "HTTP/1.1 200"),
        ("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", "HTTP/1.1 502"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "HTTP/1.1 502"),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "HTTP/1.1 502"),
    ]

    @Test(arguments: framings)
    func `in framing gives no clean end and no one else's answer`(framing: String, beginning: String) throws {
        let upstream = try CannedUpstream { request in
            guard request.bodyText.contains("bad") else {
                return .json(200, "{\"echo\":\"\(request.bodyText.filter(\.isNumber))\"}")
            }
            return CannedUpstream.Answer(bytes: Array("HTTP/1.1 200 OK\r\n\(framing)".utf8), closes: true)
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        for number in 0..<10 {
            let bad = try gateway.ask(GatewayFixture.chat(#"{"model":"mock","user":"bad","messages":[]}"#))
            #expect(bad.hasPrefix(beginning), "\(bad)")
            let isCut = !bad.hasSuffix("0\r\n\r\n") && (!bad.hasSuffix("{}") || framing.hasPrefix("Content-Length: 9"))
            #expect(isCut || beginning.hasSuffix("502"), "\(bad)")
            let good = try gateway.ask(GatewayFixture.chat(#"{"model":"mock","user":"\#(number)","messages":[]}"#))
            #expect(good.hasSuffix("{\"echo\":\"\(number)\"}"), "\(good)")
        }
        try gateway.stop()
    }

    @Test func `of more bytes than its length never answers the next client`() throws {
        let upstream = try CannedUpstream { request in
            .json(200, "{\"echo\":\"\(request.bodyText.filter(\.isNumber))\"}", headers: "")
                .followed(by: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        for number in 0..<100 {
            let answer = try gateway.ask(GatewayFixture.chat(#"{"model":"mock","user":"\#(number)","messages":[]}"#))
            #expect(answer.hasSuffix("{\"echo\":\"\(number)\"}"), "\(answer)")
        }
        try gateway.stop()
    }

    @Test func `of redirecting is not followed`() throws {
        let canary = try CannedUpstream { _ in .completion }
        defer { canary.stop() }
        let port = canary.port
        let upstream = try CannedUpstream { _ in
            .json(307, "{}", headers: "Location: http://127.0.0.1:\(port)/v1/chat/completions\r\n")
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 307"))
        #expect(canary.requests.isEmpty)
        try gateway.stop()
    }

    @Test func `of interim answers is kept from the client`() throws {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(bytes: Array(interim.utf8) + CannedUpstream.Answer.completion.bytes)
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        let answer = try gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 200") && !answer.contains("Link:"))
        try gateway.stop()
    }

    @Test func `of endless headers is a 502`() throws {
        let upstream = try CannedUpstream { _ in
            .json(200, "{}", headers: (0..<100).map { "X-\($0): \(String(repeating: "a", count: 1_000))\r\n" }.joined())
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 502"))
        try gateway.stop()
    }

    @Test func `of a coding that nobody asked for is passed on as it is`() throws {
        // "{}" by gzip; what it unfolds to is the client's business, a bomb too.
        let coded = "\u{1F}\u{8B}not really"
        let upstream = try CannedUpstream { _ in .json(200, coded, headers: "Content-Encoding: gzip\r\n") }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        let answer = try gateway.ask(GatewayFixture.chat())
        #expect(answer.lowercased().contains("content-encoding: gzip\r\n"))
        #expect(answer.contains("not really"))
        try gateway.stop()
    }

    @Test func `of a line without an end passes and is not kept`() throws {
        let line = "data: " + String(repeating: "x", count: 4 << 20)
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(
                bytes: Array(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: \(line.utf8.count)\r\n\r\n\(line)"
                        .utf8
                )
            )
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream) { $0.injectsStreamUsage = false }
        let connection = try RawConnection(port: gateway.port)
        connection.send(
            GatewayFixture.chat(Self.stream).replacing("Host: gateway", with: "Host: gateway\r\nConnection: close")
        )
        let answer = connection.receiveAll()
        #expect(answer.hasSuffix(line.suffix(1_000)))
        #expect(answer.utf8.count >= line.utf8.count)
        try gateway.stop()
    }

    @Test(arguments: [
        "169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
        "[fe80::1]", "0.0.0.0", "[::]",
    ])
    func `of standing where only machines look is never dialled`(host: String) throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try gateway(upstream) { $0.baseURL = "http://\(host):\(upstream.port)/v1" }
        let answer = try gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 502"), "\(answer)")
        #expect(upstream.requests.isEmpty)
        try gateway.stop()
    }

    @Test func `of standing in a private network is dialled only where that is allowed`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        for name in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let gateway = try gateway(upstream) { provider in
                provider.baseURL = "http://\(name):\(upstream.port)/v1"
                provider.allowsPrivateAddresses = false
            }
            #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 502"))
            try gateway.stop()
        }
        #expect(upstream.requests.isEmpty)
    }

    @Test func `of telling too much stays between it and us`() throws {
        let upstream = try CannedUpstream { _ in
            .json(
                200,
                "{}",
                headers:
                    "Set-Cookie: a=b\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nOpenAI-Organization: o\r\nX-RateLimit-Remaining-Requests: 1\r\nX-Kept: yes\r\n"
            )
        }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        let request = GatewayFixture.chat().replacing(
            "Content-Type:",
            with: "Cookie: c=d\r\nx-api-key: \(GatewayFixture.key)\r\nContent-Type:"
        )
        let answer = try gateway.ask(request)
        #expect(answer.contains("X-Kept: yes\r\n"), "\(answer)")
        for field in ["set-cookie", "x-hop", "keep-alive", "openai-organization", "x-ratelimit-remaining-requests"] {
            #expect(!answer.lowercased().contains("\(field):"))
        }
        let seen = try #require(upstream.requests.first?.head.lowercased())
        #expect(!seen.contains("cookie:") && !seen.contains("x-api-key:"))
        #expect(!seen.contains(GatewayFixture.secret.lowercased()))
        try gateway.stop()
    }

    @Test func `is not the client's to cause by naming another host`() throws {
        let canary = try CannedUpstream { _ in .completion }
        defer { canary.stop() }
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try gateway(upstream)
        let other = "127.0.0.1:\(canary.port)"
        let body = #"{"model":"mock","api_base":"http://\#(other)","base_url":"http://\#(other)","messages":[]}"#
        let lines = [
            "x-portkey-custom-host: http://\(other)", "x-openai-base-url: http://\(other)",
            "x-forwarded-host: \(other)",
            "x-base-url: http://\(other)",
        ]
        let request = GatewayFixture.chat(body).replacing(
            "Content-Type:",
            with: lines.map { $0 + "\r\n" }.joined() + "Content-Type:"
        )
        #expect(try gateway.ask(request).hasPrefix("HTTP/1.1 200"))
        #expect(canary.requests.isEmpty)
        let seen = try #require(upstream.requests.first)
        #expect(!seen.head.contains("\(canary.port)"))
        try gateway.stop()
    }
}

extension CannedUpstream.Answer {
    /// The same answer with bytes behind it.
    fileprivate func followed(by text: String) -> CannedUpstream.Answer {
        CannedUpstream.Answer(bytes: bytes + Array(text.utf8), closes: closes)
    }
}
