// A drain breaks no request that its client had reason to send (RELIABILITY, N10).

import Gateway
import Testing

@Suite(.offPool, .serialized) struct `A drain` {
    @Test func `answers what comes on a connection that the last answer promised to keep`() async throws {
        var answer = CannedUpstream.Answer.completion
        answer.bodyDelay = 0.5
        let slow = answer
        let upstream = try CannedUpstream { _ in slow }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream, drainIdleGrace: .seconds(1))
        let connection = try RawConnection(port: gateway.port)
        connection.send(GatewayFixture.chat())
        var first = connection.receive(until: "\r\n\r\n")
        #expect(!first.lowercased().contains("connection: close"), "\(first)")
        let server = gateway.server
        async let stopped: Void = server.stop()
        first += connection.receive(until: "}}")
        #expect(first.hasSuffix("}}"), "\(first)")
        connection.send(GatewayFixture.chat())
        let second = connection.receiveAll()
        #expect(second.hasPrefix("HTTP/1.1 200"), "\(second)")
        #expect(second.lowercased().contains("connection: close"), "\(second)")
        try await stopped
    }
}
