// What a node says of a request, and what it costs when nobody listens.

import Foundation
import Logging
import Policy
import Snapshot
import Synchronization
import Telemetry
import Testing

@testable import Gateway

@Suite(.offPool, .serialized) struct `A node's telemetry` {
    /// Telemetry with a clock that counts how often it is read.
    private final class Counted: Sendable {
        let telemetry: GatewayTelemetry
        let spans = SpanQueue()

        init(isOn: Bool = true, sampler: Sampler? = .alwaysOn, followsLatestGenAI: Bool = false) {
            var telemetry = GatewayTelemetry(
                isOn: isOn,
                spans: sampler == nil ? nil : spans,
                sampler: sampler ?? .alwaysOff,
                followsLatestGenAI: followsLatestGenAI
            )
            let reads = ReadCounter()
            counter = reads
            telemetry.clock = {
                reads.count.wrappingAdd(1, ordering: .relaxed)
                return DispatchTime.now().uptimeNanoseconds
            }
            self.telemetry = telemetry
        }

        private final class ReadCounter: Sendable { let count = Atomic(0) }
        private let counter: ReadCounter
        var clockReads: Int { counter.count.load(ordering: .relaxed) }

        /// How many figures all series of a histogram hold whose labels include these.
        func count(_ name: String, _ labels: [String: String] = [:]) -> UInt64 {
            series(name, labels).reduce(0) { sum, value in
                if case .histogram(let spread) = value { sum + spread.count } else { sum }
            }
        }

        func sum(_ name: String, _ labels: [String: String] = [:]) -> UInt64 {
            series(name, labels).reduce(0) { sum, value in
                switch value {
                case .histogram(let spread): sum + spread.sum
                case .counter(let count): sum + count
                case .gauge(let level): sum &+ UInt64(bitPattern: level)
                }
            }
        }

        private func series(_ name: String, _ labels: [String: String]) -> [MetricFamily.Value] {
            let family = telemetry.registry.collect().first { $0.name == name }
            return (family?.series ?? []).filter { series in
                labels.allSatisfy { label in series.labels.contains(MetricLabel(label.key, label.value)) }
            }
            .map(\.value)
        }

        func takeSpans(_ count: Int) -> [TraceSpan] {
            let end = Date().addingTimeInterval(5)
            while spans.count < count, Date() < end { Thread.sleep(forTimeInterval: 0.005) }
            return spans.take(max: 100)
        }
    }

    private static let parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"

    private func traced(_ request: String, _ parent: String, state: String = "a=1") -> String {
        request.replacing(
            "Host: gateway\r\n",
            with: "Host: gateway\r\ntraceparent: \(parent)\r\ntracestate: \(state)\r\n"
        )
    }

    private func attribute(_ span: TraceSpan, _ name: String) -> TraceSpan.Value? {
        span.attributes.first { $0.name == name }?.value
    }

    @Test func `measures an answered request, once in each of its metrics`() throws {
        let upstream = try CannedUpstream { _ in
            var answer = CannedUpstream.Answer.completion
            answer.delay = 0.3  // so much more than all else, on any machine, that it would show in the overhead
            return answer
        }
        let counted = Counted()
        let gateway = try GatewayFixture(
            upstream: upstream,
            policies: [("token_limit", .object(["max_prompt_tokens": .integer(20)]))],
            telemetry: counted.telemetry
        )
        let body = #"{"model":"alias","messages":[{"role":"user","content":"hi"}]}"#
        #expect(try gateway.ask(GatewayFixture.chat(body)).hasPrefix("HTTP/1.1 200"))
        upstream.stop()
        try gateway.stop()
        let http = [
            "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": "200",
            "url.scheme": "http",
        ]
        #expect(counted.count("http.server.request.duration", http) == 1)
        #expect(counted.sum("http.server.request.body.size") == UInt64(body.utf8.count))
        #expect(counted.sum("http.server.response.body.size") > 100)
        #expect(counted.sum("http.server.active_requests") == 0)
        #expect(counted.count("weir.policy.check.duration", ["stage": "decide"]) == 1)
        #expect(counted.count("weir.gateway.overhead.duration") == 1)
        #expect(counted.count("weir.token.estimation.duration") == 1)
        let model = [
            "gen_ai.operation.name": "chat", "gen_ai.system": "p", "gen_ai.request.model": "secret-model",
            "weir.provider": "p",
        ]
        #expect(counted.count("gen_ai.client.operation.duration", model) == 1)
        #expect(counted.sum("gen_ai.client.token.usage", model.merging(["gen_ai.token.type": "input"]) { $1 }) == 3)
        #expect(counted.sum("gen_ai.client.token.usage", model.merging(["gen_ai.token.type": "output"]) { $1 }) == 2)
        #expect(counted.count("gen_ai.server.time_to_first_token") == 0, "no stream, no first token")
        #expect(counted.sum("weir.llm.prompt.tokens", ["model": "alias"]) == 3)
        #expect(counted.sum("weir.llm.completion.tokens", ["model": "alias"]) == 2)
        #expect(counted.sum("weir.llm.total.tokens", ["model": "alias"]) == 5)
        // What its provider took is not Weir's.
        let all = counted.sum("http.server.request.duration", http)
        #expect(
            counted.sum("weir.gateway.overhead.duration") + counted.sum("gen_ai.client.operation.duration") <= all * 2
        )
        #expect(counted.sum("weir.gateway.overhead.duration") < all)
    }

    @Test func `measures streams by their tokens, under the newer names for who asks for them`() throws {
        let events = [
            #"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
            #"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}}"#,
            "data: [DONE]",
        ]
        let stream = events.joined(separator: "\n\n") + "\n\n"
        let upstream = try CannedUpstream { _ in
            CannedUpstream.Answer(
                bytes: Array(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: \(stream.utf8.count)\r\n\r\n\(stream)"
                        .utf8
                ),
                bodyDelay: 0.3
            )
        }
        let counted = Counted(sampler: nil, followsLatestGenAI: true)
        let gateway = try GatewayFixture(upstream: upstream, telemetry: counted.telemetry)
        _ = try gateway.ask(
            GatewayFixture.chat(
                #"{"model":"mock","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#
            )
        )
        upstream.stop()
        try gateway.stop()
        #expect(counted.count("gen_ai.server.time_to_first_token", ["gen_ai.provider.name": "p"]) == 1)
        // The head came at once, the first token did not.
        #expect(counted.sum("gen_ai.server.time_to_first_token") >= 300_000_000)
        #expect(counted.count("gen_ai.server.time_per_output_token") == 1)
        #expect(counted.sum("gen_ai.server.time_per_output_token") < 100_000_000)
        #expect(counted.sum("weir.llm.total.tokens") == 11)
        #expect(counted.spans.count == 0)
    }

    @Test func `traces a request from its client to its provider`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        let counted = Counted(sampler: .parentBased(root: .alwaysOff))
        let gateway = try GatewayFixture(
            upstream: upstream,
            policies: [("request_size", .object(["max_bytes": .integer(100_000)]))],
            telemetry: counted.telemetry
        )
        #expect(try gateway.ask(traced(GatewayFixture.chat(), "00-\(Self.parent)-01")).hasPrefix("HTTP/1.1 200"))
        let spans = counted.takeSpans(2)
        try #require(spans.count == 2)
        let (server, client) = (spans[0], spans[1])
        #expect(server.kind == .server && client.kind == .client)
        #expect(server.name == "POST /v1/chat/completions" && client.name == "chat mock")
        #expect(server.parent?.description == "00f067aa0ba902b7" && client.parent == server.context.spanID)
        #expect(server.context.traceID.description == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(client.context.traceID == server.context.traceID)
        #expect(server.start <= client.start && client.start <= client.end && client.end <= server.end)
        #expect(server.events.map(\.name) == ["scan", "decide", "settle"])
        #expect(server.events[1].attributes.map(\.name) == ["weir.rules", "weir.decision"])
        #expect(attribute(server, "http.response.status_code") == .int(200))
        #expect(attribute(server, "gen_ai.request.model") == .string("mock"))
        #expect(attribute(client, "server.address") == .string("127.0.0.1"))
        #expect(attribute(client, "server.port") == .int(Int64(upstream.port)))
        #expect(attribute(client, "gen_ai.usage.input_tokens") == .int(3))
        #expect(server.status == .unset && client.status == .unset)
        // The wall clock's word: within a minute of ours.
        #expect(abs(Double(server.end) / 1e9 - Date().timeIntervalSince1970) < 60)
        let sent = try #require(upstream.requests.first?.head)
        #expect(sent.contains("traceparent: 00-\(client.context.traceID)-\(client.context.spanID)-01\r\n"))
        #expect(sent.contains("tracestate: a=1\r\n") && !sent.contains("00f067aa0ba902b7"))

        // Not sampled by its client: not recorded, and the provider gets what the client sent.
        #expect(try gateway.ask(traced(GatewayFixture.chat(), "00-\(Self.parent)-00")).hasPrefix("HTTP/1.1 200"))
        #expect(upstream.requests.last?.head.contains("traceparent: 00-\(Self.parent)-00\r\n") == true)
        upstream.stop()
        try gateway.stop()
        #expect(counted.spans.count == 0)
    }

    @Test func `gives the spans of attempts the ids that their provider was told, also when all fail`() throws {
        let upstream = try CannedUpstream { _ in .serverError }
        let counted = Counted(sampler: .parentBased(root: .alwaysOff))
        let gateway = try GatewayFixture(upstream: upstream, telemetry: counted.telemetry)
        #expect(try gateway.ask(traced(GatewayFixture.chat(), "00-\(Self.parent)-01")).hasPrefix("HTTP/1.1 500"))
        let spans = counted.takeSpans(3)
        let told = upstream.requests.map { request in
            request.head.firstMatch(of: /traceparent: 00-[0-9a-f]{32}-([0-9a-f]{16})-01/).map { String($0.1) }
        }
        #expect(told.count == 2 && told == spans.dropFirst().map(\.context.spanID.description))
        upstream.stop()
        try gateway.stop()
        // The pause before the repetition is the provider's, not what Weir adds.
        #expect(counted.sum("weir.gateway.overhead.duration") < 45_000_000)
    }

    @Test func `bounds what a provider's statuses make of series`() throws {
        let next = Mutex(600)
        let upstream = try CannedUpstream { _ in
            let status = next.withLock { status in
                status += 1
                return status
            }
            return .json(status, "{}")
        }
        let counted = Counted()
        let gateway = try GatewayFixture(upstream: upstream, telemetry: counted.telemetry)
        for _ in 0..<8 { _ = try gateway.ask(GatewayFixture.chat()) }
        upstream.stop()
        try gateway.stop()
        let family = counted.telemetry.registry.collect().first { $0.name == "gen_ai.client.operation.duration" }
        #expect(family?.series.map { $0.labels.last } == [MetricLabel("error.type", "5xx")])
    }

    @Test func `traces refusals and failures that no sampler would take`() throws {
        let upstream = try CannedUpstream { _ in .serverError }
        let counted = Counted(sampler: .alwaysOff)
        let gateway = try GatewayFixture(
            upstream: upstream,
            policies: [
                ("model_allowlist", .object(["allow": .array([.string("mock")])])),
                ("rate_limit", .object(["limit": .integer(1), "window": .string("31d")])),
            ],
            telemetry: counted.telemetry
        )
        _ = try gateway.ask(GatewayFixture.chat(#"{"model":"alias","messages":[]}"#))
        let refused = try #require(counted.takeSpans(1).first)
        #expect(attribute(refused, "weir.reason") == .string("model_not_allowed") && refused.context.isSampled)
        #expect(refused.events.map(\.name) == ["decide"] && refused.status == .unset)
        #expect(refused.events[0].attributes.contains { $0.name == "weir.decision" && $0.value == .string("refuse") })

        _ = try gateway.ask(GatewayFixture.chat())
        let failed = counted.takeSpans(3)
        // The attempt and its repetition, each its own span.
        #expect(failed.map(\.kind) == [.server, .client, .client])
        #expect(failed[0].status == .error("completed"), "the provider's 500 is the client's answer")
        #expect(failed[2].status == .error("500"))
        #expect(attribute(failed[2], "http.request.resend_count") == .int(1))

        _ = try gateway.ask(GatewayFixture.chat())
        let limited = try #require(counted.takeSpans(1).first)
        // There is no Redis: the node's share decided, of which nobody can say how much of the limit is used.
        #expect(attribute(limited, "weir.limit") == .int(1) && attribute(limited, "weir.got") == nil)
        #expect(limited.events.map(\.name) == ["decide", "reserve"])
        _ = try gateway.ask(GatewayFixture.chat("{"))
        let unreadable = try #require(counted.takeSpans(1).first)
        #expect(attribute(unreadable, "http.response.status_code") == .int(400))
        upstream.stop()
        try gateway.stop()
        #expect(counted.sum("weir.ratelimit.violations") == 1)
        #expect(counted.count("weir.policy.check.duration", ["stage": "reserve"]) == 2)
    }

    @Test func `keeps to a few series whatever clients send`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        let counted = Counted()
        let gateway = try GatewayFixture(upstream: upstream, telemetry: counted.telemetry)
        for number in 0..<400 {
            let chat = GatewayFixture.chat(#"{"model":"made-up-\#(number)","messages":[]}"#)
            _ = try gateway.ask(chat)
            _ = try gateway.ask(chat.replacing("/v1/chat/completions", with: "/made/up/\(number)"))
            if number % 8 == 0 { _ = try gateway.ask(chat.replacing("POST ", with: "M\(number) ")) }
        }
        upstream.stop()
        try gateway.stop()
        let families = counted.telemetry.registry.collect()
        let duration = try #require(families.first { $0.name == "http.server.request.duration" })
        #expect(duration.series.count <= 4)
        #expect(families.reduce(0) { $0 + $1.series.count } < 125)
        let text = String(decoding: counted.telemetry.registry.render(.openMetrics), as: UTF8.self)
        #expect(!text.contains("made-up") && !text.contains("/made/"))
        for span in counted.spans.take(max: 9_999) {
            #expect(!"\(span)".contains("made-up") && !"\(span)".contains("/made/"))
        }
    }

    @Test func `reads no clock when it is off, and a few times when it is on`() throws {
        func reads(_ counted: Counted, _ requests: Int) throws -> Int {
            let upstream = try CannedUpstream { _ in .completion }
            let gateway = try GatewayFixture(
                upstream: upstream,
                policies: [("rate_limit", .object(["limit": .integer(1_000), "window": .string("31d")]))],
                telemetry: counted.telemetry
            )
            for _ in 0..<requests { #expect(try gateway.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200")) }
            upstream.stop()
            try gateway.stop()
            return counted.clockReads
        }
        let off = Counted(isOn: false)
        #expect(try reads(off, 20) == 0)
        #expect(off.spans.count == 0 && off.count("http.server.request.duration") == 0)
        #expect(off.sum("weir.requests", ["outcome": "completed"]) == 20, "counting goes on")
        // The body there, decided, sent, ended, answered.
        #expect(try reads(Counted(sampler: .alwaysOff), 20) == 20 * 5)
    }
}
