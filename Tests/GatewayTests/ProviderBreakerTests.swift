// A provider that is out is not asked, and is found again when it is back.

import Foundation
import Policy
import Snapshot
import Synchronization
import Testing

@Suite(.offPool, .serialized) struct `A provider that fails` {
    @Test func `ten times in a row is not asked for a while, and is found again`() throws {
        let works = Mutex(false)
        let upstream = try CannedUpstream { _ in
            works.withLock { $0 } ? .completion : .json(500, "{}", headers: "x-should-retry: false\r\n")
        }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        for _ in 0..<10 { #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 500")) }
        #expect(upstream.requests.count == 10)
        let answer = try gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer)")
        #expect(answer.contains("x-weir-origin: gateway"))
        #expect(answer.contains("retry-after: 1\r\n"))
        #expect(upstream.requests.count == 10)
        // One record each, the unanswered one too.
        #expect(try gateway.metric(#"weir_requests_total{outcome="upstream_failed"}"#) == 1)
        #expect(try gateway.metric(#"weir_breaker_state{dependency="provider:p"}"#) == 2)
        works.withLock { $0 = true }
        let deadline = Date().addingTimeInterval(20)
        while try !gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200") {
            try #require(Date() < deadline)
            Thread.sleep(forTimeInterval: 0.02)
        }
        #expect(upstream.requests.count == 11)
        #expect(try gateway.metric(#"weir_breaker_state{dependency="provider:p"}"#) == 0)
        try gateway.stop()
    }

    @Test func `fails no client while another route is there`() throws {
        let system = try Fallback(.reset)
        for _ in 0..<40 { #expect(try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200")) }
        // Probes may come, each of which is made good by the other route as well.
        #expect((10..<40).contains(system.a.requests.count))
        #expect(system.b.requests.count == 40)
        try system.stop()
    }

    @Test func `is stood in for by none that a rule forbids`() throws {
        let rule = ConfigValue.object(["deny_if": .string(#"provider == "b""#)])
        let system = try Fallback(.json(500, "{}", headers: "x-should-retry: false\r\n"), policies: [("cel", rule)])
        for _ in 0..<10 { #expect(try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 500")) }
        let answer = try system.gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n"), "\(answer)")
        #expect(system.b.requests.isEmpty)
        try system.stop()
    }

    @Test(arguments: [CannedUpstream.Answer.tooFast, .json(400, "{}"), .json(501, "{}")])
    func `for a client's reasons stays in use`(fault: CannedUpstream.Answer) throws {
        let upstream = try CannedUpstream { _ in fault }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        for _ in 0..<12 { _ = try gateway.ask(GatewayFixture.chat()) }
        #expect(upstream.requests.count == 12)
        try gateway.stop()
    }

    @Test func `in the middle of its answers stays in use`() throws {
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(bytes: Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".utf8), resets: true)
        }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        for _ in 0..<12 { #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200")) }
        #expect(upstream.requests.count == 12)
        try gateway.stop()
    }

    @Test func `has no part in clients that leave, whose requests it no longer works at`() throws {
        let upstream = try CannedUpstream { _ in .silence }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        for number in 1...12 {
            let connection = try RawConnection(port: gateway.port)
            connection.send(GatewayFixture.chat())
            try wait { upstream.requests.count == number }
            connection.reset()
            try wait { upstream.hangingCount == 0 }
        }
        #expect(try gateway.metric(#"weir_breaker_state{dependency="provider:p"}"#) == 0)
        try wait { try gateway.metric(#"weir_requests_total{outcome="client_gone"}"#) == 12 }
        try gateway.stop()
    }

    private func wait(_ condition: () throws -> Bool) throws {
        let deadline = Date().addingTimeInterval(10)
        while try !condition() {
            try #require(Date() < deadline)
            Thread.sleep(forTimeInterval: 0.005)
        }
    }
}
