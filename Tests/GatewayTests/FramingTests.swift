// Malformed and ambiguous HTTP against a real node: refused once, in JSON, and the connection ends (RELIABILITY, K6).

import Testing

@Suite(.offPool, .serialized) struct `Bad framing` {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let request: String
        var testDescription: String { name }
    }

    private static let auth = "Host: x\r\nAuthorization: Bearer \(GatewayFixture.key)\r\n"
    private static let body = #"{"model":"mock","messages":[]}"#
    private static let inner = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    private static func post(_ fields: String, _ rest: String) -> String {
        "POST /v1/chat/completions HTTP/1.1\r\n\(auth)\(fields)\r\n\(rest)"
    }

    static let refused: [Case] = [
        Case(name: "cl-te", request: post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + inner)),
        Case(name: "two cls", request: post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcd" + inner)),
        Case(name: "cl list", request: post("Content-Length: 4, 4\r\n", "abcd" + inner)),
        Case(name: "cl plus", request: post("Content-Length: +4\r\n", "abcd" + inner)),
        Case(name: "cl negative", request: post("Content-Length: -4\r\n", "abcd" + inner)),
        Case(name: "cl wraps", request: post("Content-Length: 18446744073709551617\r\n", "a" + inner)),
        Case(name: "te misspelled", request: post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + inner)),
        Case(
            name: "chunk size hex prefix",
            request: post("Transfer-Encoding: chunked\r\n", "0x4\r\nabcd\r\n0\r\n\r\n")
        ),
        Case(name: "chunk size signed", request: post("Transfer-Encoding: chunked\r\n", "+4\r\nabcd\r\n0\r\n\r\n")),
        Case(name: "bare LF", request: "POST /v1/chat/completions HTTP/1.1\nHost: x\n\n"),
        Case(name: "space before colon", request: post("Content-Length : 4\r\n", "abcd")),
        Case(name: "folded", request: post("X-A: b\r\n c\r\n", "")),
        Case(name: "NUL in value", request: post("X-A: b\u{0}c\r\n", "")),
        Case(name: "empty name", request: post(": b\r\n", "")),
        Case(name: "no host", request: "GET /healthz2 HTTP/1.1\r\n\r\n"),
        Case(name: "two hosts", request: "GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Case(name: "host with path", request: "GET /v1/models HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Case(name: "host with blank", request: "GET /v1/models HTTP/1.1\r\nHost: a b\r\n\r\n"),
        Case(name: "headers too large", request: post("X-A: \(String(repeating: "a", count: 40_000))\r\n", "")),
        Case(
            name: "too many fields",
            request: post((0..<150).map { "X-\($0): a\r\n" }.joined(), "")
        ),
        Case(name: "not HTTP", request: "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n"),
    ]

    @Test func `is refused once with JSON and a closed connection`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        for item in Self.refused {
            let connection = try RawConnection(port: gateway.port)
            connection.send(item.request)
            let answer = connection.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 4"), "\(item.name): \(answer)")
            #expect(answer.ranges(of: "HTTP/1.1 ").count == 1, "\(item.name): \(answer)")
            #expect(answer.contains(#"{"error":{"#), "\(item.name): \(answer)")
        }
        #expect(upstream.requests.isEmpty)
        try gateway.stop()
    }

    @Test func `never lets a refused body be the next request`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let paths = ["/v1/chat/completions", "/nowhere", "/v1/models"]
        for path in paths {
            let connection = try RawConnection(port: gateway.port, receiveTimeout: .seconds(1))
            connection.send(
                "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(Self.inner.utf8.count)\r\n\r\n\(Self.inner)"
            )
            let answer = connection.receiveAll()
            #expect(answer.ranges(of: "HTTP/1.1 ").count == 1, "\(path): \(answer)")
        }
        try gateway.stop()
    }

    @Test func `leaves pipelined requests in order`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let connection = try RawConnection(port: gateway.port, receiveTimeout: .seconds(2))
        connection.send(
            GatewayFixture.chat() + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + GatewayFixture.chat(#"{"model":"#)
                + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        let statuses = connection.receiveAll().split(separator: "HTTP/1.1 ").map { $0.prefix(3) }
        #expect(statuses == ["200", "200", "400", "200"])
        try gateway.stop()
    }

    /// A page of metrics is made on another thread, while what came behind it waits.
    @Test(arguments: [false, true]) func `leaves what follows a page of metrics in its place`(isHalfClosed: Bool) throws
    {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let connection = try RawConnection(port: gateway.port, receiveTimeout: .seconds(5))
        let page = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.send(page + GatewayFixture.chat() + page + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        if isHalfClosed { connection.finishSending() } else { connection.send("NO HTTP\r\n\r\n") }
        let answers = connection.receiveAll().split(separator: "HTTP/1.1 ")
        #expect(answers.map { $0.prefix(3) } == ["200", "200", "200", "200"] + (isHalfClosed ? [] : ["400"]))
        let pages = answers.map { $0.contains("weir_requests_total") }
        #expect(pages.prefix(4) == [true, false, true, false])
        try gateway.stop()
    }

    @Test func `answers HEAD with a length and no bytes`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let connection = try RawConnection(port: gateway.port)
        connection.send(
            "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        let answers = connection.receiveAll().split(separator: "HTTP/1.1 ")
        #expect(answers.count == 2)
        #expect(answers.first?.contains("content-length: 3") == true)
        #expect(answers.first?.hasSuffix("\r\n\r\n") == true)
        try gateway.stop()
    }
}
