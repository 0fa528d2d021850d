// What the gateway tries again, where, and how often; and what it leaves to the client (issue 6, point 6).

import Foundation
import Glibc
import Policy
import Snapshot
import Synchronization
import Testing

@Suite(.offPool, .serialized) struct `A failed attempt` {
    struct Fault: Sendable, CustomTestStringConvertible {
        let name: String
        let answer: CannedUpstream.Answer
        let reason: String
        var testDescription: String { name }
    }

    static let faults = [
        Fault(name: "408", answer: .json(408, "{}"), reason: "server"),
        Fault(name: "429", answer: .tooFast, reason: "rate_limit"),
        Fault(name: "insufficient_quota", answer: .emptyAccount, reason: "quota"),
        Fault(name: "401", answer: .json(401, "{}"), reason: "credential"),
        Fault(name: "500", answer: .serverError, reason: "server"),
        Fault(name: "502, no JSON", answer: .json(502, "<html>"), reason: "server"),
        Fault(name: "503 for an hour", answer: .json(503, "{}", headers: "retry-after: 3600\r\n"), reason: "server"),
        Fault(name: "529", answer: .json(529, #"{"error":{"type":"overloaded_error"}}"#), reason: "overloaded"),
        Fault(name: "reset", answer: .reset, reason: "reset"),
        Fault(
            name: "no HTTP",
            answer: CannedUpstream.Answer(bytes: Array("hello\r\n\r\n".utf8), closes: true),
            reason: "reset"
        ),
        Fault(name: "no answer in time", answer: .silence, reason: "timeout"),
    ]

    @Test(arguments: faults)
    func `is made good by the next route, and its client sees nothing of it`(fault: Fault) throws {
        let system = try Fallback(fault.answer) { $0.providers[0].timeouts.firstByte = 200 }
        let answer = try system.gateway.ask(
            GatewayFixture.chat(#"{"model":"mock","stream":true,"messages":[{"role":"user","content":"hi"}]}"#)
        )
        #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer)")
        #expect(answer.hasSuffix(#""total_tokens":5}}"#))
        #expect(system.a.requests.count == 1)
        // The body is made anew for the route: its model name, its credential, what it takes of usage.
        let other = try #require(system.b.requests.first)
        #expect(other.bodyText == #"{"model":"other","stream":true,"messages":[{"role":"user","content":"hi"}]}"#)
        #expect(!other.head.contains("sk-upstream"))
        #expect(try system.retries(after: fault.reason) == 1)
        #expect(try system.gateway.metric(#"weir_requests_total{outcome="completed"}"#) == 1)
        try system.stop()
    }

    @Test func `to connect is made good by the next route`() throws {
        let system = try Fallback(.completion)
        system.a.stop()
        #expect(try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200"))
        #expect(try system.retries(after: "connect") == 1)
        try system.stop()
    }

    @Test(arguments: [400, 404, 409, 413, 422, 501])
    func `that every route would repeat is the client's, unaltered`(status: Int) throws {
        let body = #"{"error":{"message":"é \u0022","code":"x"}}"#
        let system = try Fallback(.json(status, body, headers: "X-Mark: m\r\n"))
        let answer = try system.gateway.ask(GatewayFixture.chat())
        if status == 409 {
            // The one of them that its senders say to repeat.
            #expect(answer.hasPrefix("HTTP/1.1 200"))
        } else {
            #expect(answer.hasPrefix("HTTP/1.1 \(status)"))
            #expect(answer.contains("X-Mark: m\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n" + body))
            #expect(system.b.requests.isEmpty)
        }
        try system.stop()
    }

    @Test func `is not made good once its answer has begun`() throws {
        let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
        let system = try Fallback(
            CannedUpstream.Answer(
                bytes: Array(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n\(event)".utf8
                ),
                resets: true
            )
        )
        let answer = try system.gateway.ask(GatewayFixture.chat(#"{"model":"mock","stream":true,"messages":[]}"#))
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(answer.contains(#"data: {"error":"#))
        #expect(!answer.contains("[DONE]"))
        #expect(system.b.requests.isEmpty)
        #expect(try system.gateway.metric(#"weir_requests_total{outcome="upstream_failed"}"#) == 1)
        try system.stop()
    }

    @Test func `goes to no provider that a rule forbids`() throws {
        let rule = ConfigValue.object(["deny_if": .string(#"provider == "b""#)])
        let system = try Fallback(.tooFast, policies: [("cel", rule)])
        let answer = try system.gateway.ask(GatewayFixture.chat())
        #expect(answer.hasPrefix("HTTP/1.1 429"), "\(answer)")
        #expect(answer.contains("x-weir-origin: upstream"))
        #expect(system.b.requests.isEmpty)
        try system.stop()
    }

    @Test func `goes to no model that an allowlist does not name`() throws {
        let list = ConfigValue.object(["allow": .array([.string("mock")])])
        let system = try Fallback(.tooFast, policies: [("model_allowlist", list)])
        // Judged before anything is sent, since the route might be needed (decision 0004).
        #expect(try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 403"))
        #expect(system.a.requests.isEmpty && system.b.requests.isEmpty)
        try system.stop()
    }

    @Test func `goes to no provider that lacks the call`() throws {
        let system = try Fallback(.tooFast) { $0.providers[1].kind = .anthropic }
        #expect(try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 429"))
        #expect(system.b.requests.isEmpty)
        try system.stop()
    }

    @Test func `leaves a rule's verdict to a provider that has the call`() throws {
        // The route of all the weight cannot take it, so that what a rule says of its provider is no matter.
        let rule = ConfigValue.object(["deny_if": .string(#"provider == "a""#)])
        let system = try Fallback(.completion, policies: [("cel", rule)]) { $0.providers[0].kind = .anthropic }
        #expect(try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200"))
        #expect(system.a.requests.isEmpty)
        try system.stop()
    }

    @Test func `for money goes to no other model of the same provider`() throws {
        let system = try Fallback(.emptyAccount) { $0.models[0].routes[1].providerID = "prv_1" }
        let answer = try system.gateway.ask(GatewayFixture.chat())
        #expect(answer.contains("insufficient_quota"))
        #expect(system.a.requests.count == 1)
        try system.stop()
    }

    private static let limits: [(kind: String, config: ConfigValue)] = [
        // So long that their end is not near while this runs.
        ("rate_limit", .object(["limit": .integer(100), "window": .string("31d")])),
        ("token_limit", .object(["limit": .integer(10_000), "window": .string("31d")])),
    ]

    /// What two requests in a row are told is left of requests and tokens.
    private func remainders(_ gateway: GatewayFixture) throws -> [[Int?]] {
        let body = #"{"model":"mock","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#
        return try (0..<2).map { _ in
            let answer = try gateway.ask(GatewayFixture.chat(body))
            return ["requests", "tokens"].map { unit in
                answer.components(separatedBy: "\r\n").first { $0.hasPrefix("x-ratelimit-remaining-\(unit): ") }
                    .flatMap { Int($0.split(separator: " ")[1]) }
            }
        }
    }

    @Test func `costs the limits no more than the attempt that was answered`() throws {
        let failing = try Fallback(.serverError, policies: Self.limits)
        let good = try Fallback(.completion, policies: Self.limits)
        let told = try remainders(failing.gateway)
        #expect(told == (try remainders(good.gateway)))
        #expect(told.joined().allSatisfy { $0 != nil })
        #expect(failing.b.requests.count == 2 && good.b.requests.isEmpty)
        try failing.stop()
        try good.stop()
    }

    @Test func `that none makes good costs no tokens, and no request when nothing was sent`() throws {
        let refusing = try CannedUpstream { _ in .tooFast }
        defer { refusing.stop() }
        let gateway = try GatewayFixture(upstream: refusing, policies: Self.limits)
        let told = try remainders(gateway)
        #expect(told[0][1] == told[1][1])
        #expect(told[0][0] == 99 && told[1][0] == 98)
        refusing.stop()
        try gateway.stop()
        // Unanswered requests carry no such headers: what they gave back shows in the next that is answered.
        let unsteady = try Fallback(.silence, policies: Self.limits) { content in
            content.models[0].routes.removeLast()
            content.providers[0].baseURL = "http://127.0.0.1:1/v1"
            content.models[1].routes[0].providerID = "prv_2"
        }
        #expect(try unsteady.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 503"))
        let other = try unsteady.gateway.ask(GatewayFixture.chat(#"{"model":"alias","messages":[]}"#))
        #expect(other.contains("x-ratelimit-remaining-requests: 99\r\n"), "\(other)")
        try unsteady.stop()
    }

    @Test func `whose client leaves while it connects costs nothing`() throws {
        let hole = try BlackHole()
        let system = try Fallback(.silence, policies: Self.limits) { content in
            content.models[0].routes.removeLast()
            content.providers[0].baseURL = "http://127.0.0.1:\(hole.port)/v1"
            content.models[1].routes[0].providerID = "prv_2"
        }
        let client = try RawConnection(port: system.gateway.port)
        client.send(GatewayFixture.chat())
        // Long enough to be on its way; the connect hangs for as long as anybody waits.
        usleep(100_000)
        client.reset()
        let end = Date().addingTimeInterval(5)
        while try system.gateway.metric(#"weir_requests_total{outcome="client_gone"}"#) == 0, Date() < end {
            usleep(10_000)
        }
        #expect(try system.gateway.metric(#"weir_requests_total{outcome="client_gone"}"#) == 1)
        let body = #"{"model":"alias","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#
        let answer = try system.gateway.ask(GatewayFixture.chat(body))
        #expect(answer.contains("x-ratelimit-remaining-requests: 99\r\n"), "\(answer)")
        let fresh = try Fallback(.completion, policies: Self.limits)
        let first = try fresh.gateway.ask(GatewayFixture.chat(body))
        func remaining(_ answer: String) -> Substring? {
            answer.split(separator: "\r\n").first { $0.hasPrefix("x-ratelimit-remaining-tokens: ") }
        }
        #expect(remaining(answer) == remaining(first))
        #expect(remaining(first) != nil)
        try system.stop()
        try fresh.stop()
    }

    @Test func `takes no more than the budget, whatever fails`() throws {
        // Too fast, which no breaker stops.
        let system = try Fallback(.tooFast)
        var good = 0
        for _ in 0..<100 where try system.gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200") { good += 1 }
        // Ten to begin with, a tenth of the hundred, and one for each second that this took.
        #expect(good == system.b.requests.count)
        #expect((15...60).contains(good), "\(good)")
        #expect(try system.retries(after: "rate_limit") == good)
        #expect(try system.gateway.metric("weir_upstream_retries_refused_total") == 100 - good)
        #expect(system.a.requests.count == 100)
        try system.stop()
    }
}

@Suite(.offPool, .serialized) struct `With one route, a failed attempt` {
    private func ask(
        _ body: @escaping @Sendable (_ number: Int) -> CannedUpstream.Answer
    ) throws -> (answer: String, requests: Int, took: Duration) {
        let count = Mutex(0)
        let upstream = try CannedUpstream { _ in
            body(
                count.withLock { count in
                    count += 1
                    return count
                }
            )
        }
        defer { upstream.stop() }
        let gateway = try GatewayFixture(upstream: upstream)
        let begin = ContinuousClock.now
        let answer = try gateway.ask(GatewayFixture.chat())
        let took = ContinuousClock.now - begin
        try gateway.stop()
        return (answer, upstream.requests.count, took)
    }

    @Test(arguments: [
        CannedUpstream.Answer.serverError, .json(503, "{}", headers: "retry-after-ms: 20\r\n"),
        .json(529, "{}"), .json(429, "{}", headers: "retry-after-ms: 20\r\n"),
    ])
    func `is repeated once, soon`(first: CannedUpstream.Answer) throws {
        let (answer, requests, _) = try ask { $0 == 1 ? first : .completion }
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(requests == 2)
        let (second, all, _) = try ask { _ in first }
        #expect(second.contains("x-weir-origin: upstream"))
        #expect(all == 2)
    }

    @Test func `waits as long as the provider asks`() throws {
        let (answer, requests, took) = try ask {
            $0 == 1 ? .json(503, "{}", headers: "Retry-After: 1\r\n") : .completion
        }
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(requests == 2)
        #expect(took >= .seconds(1))
    }

    @Test(arguments: [
        CannedUpstream.Answer.emptyAccount, .tooFast, .json(429, "{}", headers: "retry-after: 7\r\n"),
        .json(503, "{}", headers: "retry-after: 7\r\n"), .json(500, "{}", headers: "x-should-retry: false\r\n"),
    ])
    func `that waiting does not mend is passed on as it came`(fault: CannedUpstream.Answer) throws {
        let (answer, requests, _) = try ask { _ in fault }
        #expect(requests == 1)
        let said = String(decoding: fault.bytes, as: UTF8.self).components(separatedBy: "\r\n\r\n")
        let status = try #require(said[0].components(separatedBy: "\r\n").first?.dropLast(5))
        #expect(answer.hasPrefix(status), "\(answer)")
        for line in said[0].components(separatedBy: "\r\n").dropFirst() { #expect(answer.contains(line)) }
        #expect(answer.hasSuffix("\r\n\r\n" + said[1]))
    }

    @Test func `that may have been processed is not repeated`() throws {
        let (answer, requests, _) = try ask { _ in .reset }
        #expect(answer.hasPrefix("HTTP/1.1 502"))
        #expect(requests == 1)
    }

    @Test func `with an error too long to be held back is passed on whole`() throws {
        let body = "{\"error\":\"" + String(repeating: "x", count: 200_000) + "\"}"
        let (answer, requests, _) = try ask { _ in .json(500, body) }
        #expect(answer.hasPrefix("HTTP/1.1 500"))
        #expect(answer.hasSuffix("\r\n\r\n" + body))
        #expect(requests == 1)
    }

    @Test func `keeps its words when it breaks off in the middle of them`() throws {
        let fault = CannedUpstream.Answer(
            bytes: Array("HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\n{\"error\"".utf8),
            closes: true
        )
        let (answer, requests, _) = try ask { _ in fault }
        #expect(answer.hasPrefix("HTTP/1.1 404"))
        #expect(answer.hasSuffix("{\"error\""))
        #expect(requests == 1)
    }
}
