// What a control plane says of its calls, of a change's way to the nodes, and of the database.

import Foundation
import Ledger
import Reactor
import Stack
import Telemetry
import Testing

@testable import ControlPlane

@Suite struct `A control plane's telemetry` {
    private let spans = SpanQueue()

    private func plane(redisPort: Int = 1) async throws -> (TestPlane, MetricRegistry) {
        let registry = MetricRegistry()
        let telemetry = ControlTelemetry(registry: registry, spans: spans, sampler: .parentBased(root: .alwaysOff))
        return (try await TestPlane.start(redisPort: redisPort, telemetry: telemetry), registry)
    }

    private func count(_ registry: MetricRegistry, _ name: String, _ labels: [String: String] = [:]) -> UInt64 {
        let family = registry.collect().first { $0.name == name }
        let series = (family?.series ?? []).filter { series in
            labels.allSatisfy { label in series.labels.contains(MetricLabel(label.key, label.value)) }
        }
        return series.reduce(0) { sum, series in
            switch series.value {
            case .histogram(let spread): sum + spread.count
            case .counter(let count): sum + count
            case .gauge(let level): sum &+ UInt64(bitPattern: level)
            }
        }
    }

    @Test func `counts calls by template, and no path of a client's`() async throws {
        let (plane, registry) = try await plane()
        let id = try await plane.makeApp()
        for number in 0..<50 { _ = try await plane.send("GET", "/v1/apps/made-up-\(number)") }
        for number in 0..<50 { _ = try await plane.send("GET", "/made/up/\(number)") }
        #expect(try await plane.send("GET", "/v1/apps/\(id)").status == 200)
        let route = ["http.request.method": "GET", "http.route": "/v1/apps/{id}"]
        let name = "http.server.request.duration"
        #expect(count(registry, name, route.merging(["http.response.status_code": "404"]) { $1 }) == 50)
        #expect(count(registry, name, route.merging(["http.response.status_code": "200"]) { $1 }) == 1)
        let text = String(decoding: registry.render(.openMetrics), as: UTF8.self)
        #expect(!text.contains("made"))
        #expect(count(registry, "http.server.active_requests") == 0)
        #expect(count(registry, "db.client.operation.duration") > 3)
        #expect(count(registry, "weir.snapshot.compile.duration") >= 1)
        #expect(text.contains(#"weir_postgres_connections{state="idle"}"#))
        await plane.stop()
    }

    @Test func `traces a change to what was compiled and published because of it`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-telemetry")
        let redis = try await PrivateRedis.start(directory: directory.path)
        let (plane, _) = try await plane(redisPort: redis.port)
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        let made = try await plane.send(
            "POST",
            "/v1/apps",
            #"{"name":"traced"}"#,
            headers: [(name: "traceparent", value: "00-\(trace)-00f067aa0ba902b7-01")]
        )
        #expect(made.status == 201)
        let end = ContinuousClock.now + .seconds(10)
        while spans.count < 3, ContinuousClock.now < end { await pause(for: .milliseconds(10)) }
        let all = spans.take(max: 10)
        try #require(all.count == 3, "\(all.map(\.name))")
        let call = try #require(all.first { $0.name == "POST /v1/apps" })
        let compile = try #require(all.first { $0.name == "compile snapshot" })
        let publish = try #require(all.first { $0.name == "publish snapshot" })
        #expect(call.parent?.description == "00f067aa0ba902b7" && call.kind == .server)
        #expect(compile.parent == call.context.spanID && publish.parent == call.context.spanID)
        #expect(all.allSatisfy { $0.context.traceID.description == trace })
        #expect(compile.end <= publish.end)
        // Not sampled: nothing more comes.
        _ = try await plane.makeApp()
        await pause(for: .milliseconds(300))
        #expect(spans.count == 0)
        await plane.stop()
        await redis.process.stop()
    }

    @Test func `lets nobody without a token fill the queue of spans`() async throws {
        let (plane, registry) = try await plane()
        let parent = (name: "traceparent", value: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        // All that is kept of exceptions is used up, for an hour.
        while spans.admitsException(now: UnixTime.nanoseconds + 3_600_000_000_000) {}
        let passedOver = spans.passedOver
        for _ in 0..<3 { #expect(try await plane.raw("GET", "/v1/apps", [], headers: [parent]).status == 401) }
        #expect(spans.count == 0 && spans.passedOver == passedOver + 3)
        let token = (name: "Authorization", value: "Bearer \(TestPlane.adminToken)")
        #expect(try await plane.raw("GET", "/v1/apps", [], headers: [parent, token]).status == 200)
        #expect(spans.count == 1)
        let refused = String(decoding: registry.render(.openMetrics), as: UTF8.self).split(separator: "\n")
            .filter { $0.contains(#"http_response_status_code="401""#) }
        #expect(!refused.isEmpty && refused.allSatisfy { !$0.contains("trace_id") })
        let probes = try await plane.send("GET", "/metrics").response.text
        #expect(!probes.contains(#"http_route="/metrics""#) && !probes.contains(#"http_route="/readyz""#))
        await plane.stop()
    }

    @Test func `counts usage that comes in, comes again, or is none`() async throws {
        let (plane, registry) = try await plane()
        let record = UsageRecord(
            sequence: 1,
            requestID: "req-1",
            startedAt: 1_795_518_000_000,
            finishedAt: 1_795_518_000_005,
            organisation: "org_default",
            appID: "app_a",
            keyID: "k1",
            model: "m1",
            endpoint: 0,
            status: 200,
            outcome: .completed,
            source: .none,
            snapshotVersion: 3
        )
        let batch = UsageBatch(nodeID: "n", bootID: "b", records: [record]).encode()
        func ship(_ bytes: [UInt8]) async throws -> Int {
            try await plane.sendAsNode("POST", "/internal/v1/usage", bytes, type: "application/octet-stream").status
        }
        for _ in 0..<2 { #expect(try await ship(batch) == 200) }
        #expect(try await ship([1, 2, 3]) == 400)
        #expect(count(registry, "weir.usage.records") == 1 && count(registry, "weir.usage.duplicates") == 1)
        #expect(count(registry, "weir.usage.batches.refused") == 1)
        #expect(count(registry, "weir.usage.ingest.duration") == 2)
        await plane.stop()
    }
}
