// What operators see of a running Weir, judged by those who will read it: OpenTelemetry's messages, Prometheus's parsers,
// promtool.

import Foundation
import OTLPReceiver
import Stack
import Testing

extension EndToEnd {
    @Suite struct `Telemetry` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        private static let gatewayMetrics = [
            "gen_ai.client.operation.duration", "gen_ai.client.token.usage", "gen_ai.server.time_per_output_token",
            "gen_ai.server.time_to_first_token", "http.server.active_requests", "http.server.request.body.size",
            "http.server.request.duration", "http.server.response.body.size", "process.cpu", "process.resident_memory",
            "weir.breaker.state", "weir.breaker.transitions", "weir.build.info", "weir.gateway.overhead.duration",
            "weir.llm.completion.tokens", "weir.llm.prompt.tokens", "weir.llm.total.tokens",
            "weir.policy.cache.hits", "weir.policy.cache.misses", "weir.policy.check.duration",
            "weir.policy.violations", "weir.ratelimit.checks", "weir.ratelimit.violations",
            "weir.redis.roundtrip.duration", "weir.requests", "weir.snapshot.age", "weir.snapshot.version",
            "weir.telemetry.exported", "weir.token.estimation.duration", "weir.usage.queued", "weir.usage.shipped",
        ]

        private static let controlMetrics = [
            "weir.postgres.connections", "weir.postgres.waiting", "db.client.operation.duration",
            "http.server.request.duration", "process.cpu", "weir.build.info", "weir.live.nodes", "weir.publisher",
            "weir.snapshot.compile.duration", "weir.snapshot.publish.duration", "weir.snapshot.version",
            "weir.usage.batches.refused", "weir.usage.duplicates", "weir.usage.ingest.duration", "weir.usage.records",
        ]

        private func attribute(_ span: JSONValue, _ name: String) -> JSONValue? {
            span["attributes"]?.elements?.first { $0["key"]?.text == name }?["value"]
        }

        private func spans(of trace: String, _ count: Int) async throws -> [JSONValue] {
            let bytes = stride(from: 0, to: 32, by: 2).map { offset -> UInt8 in
                let start = trace.index(trace.startIndex, offsetBy: offset)
                return UInt8(trace[start..<trace.index(start, offsetBy: 2)], radix: 16) ?? 0
            }
            let id = Data(bytes).base64EncodedString()
            let end = ContinuousClock.now + .seconds(15)
            while true {
                let found = try system.receiver.spans().filter { $0["trace_id"]?.text == id }
                if found.count >= count { return found }
                try #require(ContinuousClock.now < end, "\(found.count) spans of \(trace)")
                await pause(for: .milliseconds(50))
            }
        }

        @Test func `of a streamed request is one trace from its client to its provider`() async throws {
            let app = try await system.makeApp([("rate_limit", ["limit": 100, "window": "31d"])])
            let trace = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
            let mark = UUID().uuidString
            let answer = try await app.send(
                chat("Trace \(mark)", ["stream": true]),
                headers: [
                    (name: "traceparent", value: "00-\(trace)-00f067aa0ba902b7-01"),
                    (name: "tracestate", value: "vendor=opaque"),
                ]
            )
            #expect(answer.status == 200)
            let spans = try await spans(of: trace, 2)
            let server = try #require(spans.first { $0["kind"]?.text == "SPAN_KIND_SERVER" })
            let client = try #require(spans.first { $0["kind"]?.text == "SPAN_KIND_CLIENT" })
            #expect(spans.count == 2)
            #expect(server["parent_span_id"]?.text == "APBnqgupArc=" && client["parent_span_id"] == server["span_id"])
            #expect(server["trace_state"]?.text == "vendor=opaque")
            #expect(
                server["events"]?.elements?.map { $0["name"]?.text } == ["scan", "decide", "reserve", "settle"]
            )
            #expect(attribute(server, "weir.app")?["string_value"]?.text == app.id)
            #expect(attribute(client, "gen_ai.operation.name")?["string_value"]?.text == "chat")
            #expect(attribute(client, "gen_ai.usage.output_tokens") != nil)
            // The provider was told of the client span as its parent.
            let sent = try #require(try await system.provider.requests(holding: mark).first)
            let span = try #require(client["span_id"]?.text.flatMap { Data(base64Encoded: $0) })
            let parent = "00-\(trace)-\(span.map { String(format: "%02x", $0) }.joined())-01"
            #expect(String(decoding: sent.bytes, as: UTF8.self).contains(parent))
        }

        @Test func `of a change leads from the call to what was published`() async throws {
            let trace = "b1b2c3d4e5f60718293a4b5c6d7e8f91"
            let answer = try await system.admin.send(
                "POST",
                "/v1/apps?wait=applied",
                ["name": .string("traced-\(UUID().uuidString)")],
                headers: [(name: "traceparent", value: "00-\(trace)-00f067aa0ba902b7-01")]
            )
            #expect(answer.status == 201)
            let names = try await spans(of: trace, 3).compactMap { $0["name"]?.text }
            #expect(Set(names) == ["POST /v1/apps", "compile snapshot", "publish snapshot"])
        }

        @Test func `reaches a collector with every instrument that is documented`() async throws {
            let app = try await system.makeApp([
                ("token_limit", ["max_prompt_tokens": 200]), ("rate_limit", ["limit": 1, "window": "31d"]),
            ])
            _ = try await app.send(chat("Count \(String(repeating: "these words ", count: 20))", ["stream": true]))
            #expect(try await app.send(chat("Again")).status == 429)
            let documented = try WholeSystem.documentation("telemetry.md")
            let wanted = Set(Self.gatewayMetrics + Self.controlMetrics)
            var missing = wanted
            let end = ContinuousClock.now + .seconds(20)
            while !missing.isEmpty, ContinuousClock.now < end {
                missing = wanted.subtracting(try system.receiver.metrics().compactMap { $0["name"]?.text })
                await pause(for: .milliseconds(100))
            }
            #expect(missing.isEmpty, "\(missing.sorted())")
            for name in wanted {
                #expect(documented.contains("`\(name)`"), "docs/telemetry.md does not list \(name)")
            }
            // And the other way round: nothing comes that nobody has read of.
            for metric in try system.receiver.metrics() {
                let name = try #require(metric["name"]?.text)
                if name.hasPrefix("library.") { continue }
                #expect(documented.contains("`\(name)`"), "docs/telemetry.md does not list \(name)")
            }
        }

        @Test func `is read by Prometheus`() async throws {
            let app = try await system.makeApp()
            _ = try await app.send(chat("Measure me"))
            let promtool = try Program.find("promtool", hint: "apt-get install prometheus")
            for url in system.gateways + [system.fleet.controlURL] {
                for accept in ["text/plain", "application/openmetrics-text;version=1.0.0"] {
                    let page = try await LoopbackClient.send(
                        LoopbackRequest("GET", "\(url)/metrics", headers: [("Accept", accept)])
                    )
                    let isOpen = accept != "text/plain"
                    #expect(page.header("content-type")?.hasPrefix(isOpen ? "application/open" : "text/plain") == true)
                    let file = "\(system.directory.path)/page-\(UUID().uuidString)"
                    try Data(page.body).write(to: URL(fileURLWithPath: file))
                    let parser = "prometheus_client\(isOpen ? ".openmetrics" : "").parser"
                    let script = """
                        import sys
                        from \(parser) import text_string_to_metric_families as parse
                        families = list(parse(open(sys.argv[1]).read()))
                        names = [family.name for family in families]
                        assert len(names) == len(set(names)), "a family twice"
                        samples = [sample for family in families for sample in family.samples]
                        keys = [(s.name, tuple(sorted(s.labels.items()))) for s in samples]
                        assert len(keys) == len(set(keys)), "a series twice"
                        assert 50 < len(samples) < 20000, len(samples)
                        """
                    try await run(OTLPReceiver.python, ["-c", script, file])
                    guard !isOpen else { continue }
                    // promtool reads a page from its standard input only.
                    try await run("/bin/sh", ["-c", "exec \"$0\" check metrics <\"$1\"", promtool, file])
                }
            }
        }

        @Test func `in logs is as loud as an operator wants it, without a restart`() async throws {
            // A label that nobody has: the other tests' lines stay.
            let levels: JSONValue = ["levels": ["weir.nobody": "trace"], "expires_in": 2]
            try await system.admin.call("PUT", "/v1/log-levels", levels)
            let logs = ["control", "gateway-1", "gateway-2"].map { "\(system.fleet.plan.directory)/logs/\($0).log" }
            func isSaid(_ text: String) async -> Bool {
                await wait(upTo: .seconds(10)) {
                    logs.allSatisfy { log in
                        String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self).contains(
                            text
                        )
                    }
                }
            }
            #expect(await isSaid(#""message":"log levels changed","levels":"weir.nobody=trace""#))
            let isOver = await wait(upTo: .seconds(10)) {
                do {
                    return try await system.admin.call("GET", "/v1/log-levels")["expires_at"] == .null
                } catch {
                    return false
                }
            }
            #expect(isOver)
        }

        private func run(_ program: String, _ arguments: [String]) async throws {
            let specification = ProcessSpecification(
                name: "judge",
                executable: program,
                arguments: arguments,
                logFile: "\(system.directory.path)/judge-\(UUID().uuidString).log"
            )
            let status = try await ChildProcess.start(specification).exit()
            #expect(status == .code(0), "\(specification.logTail)")
        }
    }
}
