// What arrives at a collector, judged by OpenTelemetry's own messages; and what a bad collector costs.

import Foundation
import Logging
import OTLPReceiver
import Stack
import Synchronization
import Telemetry
import Testing

@testable import OTLP

@Suite struct `The exporter` {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory(prefix: "weir-otlp") }

    private func telemetry(_ url: String, _ more: [String: String] = [:]) throws -> ProgramTelemetry {
        let environment = [
            "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_METRIC_EXPORT_INTERVAL": "100",
        ].merging(more) { $1 }
        return try ProgramTelemetry(
            OTLPConfiguration(environment: environment, service: "weir-test"),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private func span(_ name: String = "s", parent: SpanID? = nil) throws -> TraceSpan {
        let context = TraceContext(
            traceID: try #require(TraceID(high: 0x4bf9_2f35_77b3_4da6, low: 0xa3ce_929d_0e0e_4736)),
            spanID: try #require(SpanID(0x00f0_67aa_0ba9_02b7)),
            isSampled: true
        )
        return TraceSpan(
            name: name,
            kind: .client,
            context: context,
            parent: parent,
            start: 1_700_000_000_000_000_000,
            end: 1_700_000_000_000_000_500,
            attributes: [
                .init("s", .string("é")), .init("i", .int(-5)), .init("d", .double(1.5)), .init("b", .bool(true)),
                .init("l", .strings(["x", "y"])),
            ],
            events: [.init("e", at: 1_700_000_000_000_000_100, [.init("n", .int(1))])],
            links: [context],
            status: .error("went wrong")
        )
    }

    private func eventually(_ seconds: Int = 10, _ condition: () throws -> Bool) async rethrows -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try condition() { return true }
            await pause(for: .milliseconds(10))
        }
        return try condition()
    }

    private func figure(_ telemetry: ProgramTelemetry, _ name: String, _ signal: String = "traces") -> UInt64 {
        let family = telemetry.registry.collect().first { $0.name == name }
        let series = family?.series.first { $0.labels.isEmpty || $0.labels == [MetricLabel("signal", signal)] }
        guard case .counter(let count) = series?.value else { return 0 }
        return count
    }

    @Test(arguments: [[:], ["OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"]])
    func `sends spans as OpenTelemetry reads them`(more: [String: String]) async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path)
        let telemetry = try telemetry(
            receiver.url,
            more.merging(["OTEL_EXPORTER_OTLP_HEADERS": "x-token=s%20t"]) { $1 }
        )
        telemetry.spans.offer([try span(), try span("child", parent: SpanID(0xAB))])
        #expect(try await eventually { try receiver.spans().count == 2 })
        let spans = try receiver.spans()
        let first = spans[0]
        // Bytes are base64 in protobuf's JSON.
        #expect(first["trace_id"]?.text == "S/kvNXezTaajzpKdDg5HNg==" && first["span_id"]?.text == "APBnqgupArc=")
        #expect(first["parent_span_id"] == nil && spans[1]["parent_span_id"]?.text == "AAAAAAAAAKs=")
        #expect(first["name"]?.text == "s" && first["kind"]?.text == "SPAN_KIND_CLIENT" && first["flags"]?.int == 1)
        #expect(first["start_time_unix_nano"]?.text == "1700000000000000000")
        #expect(first["end_time_unix_nano"]?.text == "1700000000000000500")
        #expect(
            first["attributes"] == [
                ["key": "s", "value": ["string_value": "é"]], ["key": "i", "value": ["int_value": "-5"]],
                ["key": "d", "value": ["double_value": 1.5]], ["key": "b", "value": ["bool_value": true]],
                ["key": "l", "value": ["array_value": ["values": [["string_value": "x"], ["string_value": "y"]]]]],
            ]
        )
        #expect(first["events"]?[0]?["name"]?.text == "e" && first["links"]?.elements?.count == 1)
        #expect(first["status"] == ["code": "STATUS_CODE_ERROR", "message": "went wrong"])
        let request = try #require(try receiver.requests().first { $0["path"]?.text == "/v1/traces" })
        #expect(request["headers"]?["content-type"]?.text == "application/x-protobuf")
        #expect(request["headers"]?["x-token"]?.text == "s t")
        #expect(request["headers"]?["content-encoding"]?.text == more.values.first)
        #expect(await eventually { figure(telemetry, "weir.telemetry.exported") == 2 })
        telemetry.stop()
        await receiver.stop()
    }

    @Test func `sends every kind of metric as it was counted`() async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path)
        let telemetry = try telemetry(receiver.url)
        let registry = telemetry.registry
        registry.counter("weir.c", unit: .count("{request}"), help: "c", labels: [MetricLabel("a", "b")]).add(7)
        registry.counter("weir.s", help: "s", labels: [MetricLabel("http.response.status_code", "200")]).add()
        registry.gauge("weir.g", unit: .bytes, help: "g").set(-3)
        registry.upDownCounter("weir.u", help: "u").add(-2)
        registry.observeTotal("weir.cpu", unit: .nanoseconds, help: "t") { 1_500_000_000 }
        let histogram = registry.histogram("weir.h", unit: .nanoseconds, help: "h")
        let example = try span().context
        histogram.record(0)
        histogram.record(1_000_000_000)
        histogram.record(1_500_000_000, exemplar: example)
        func metric(_ name: String) throws -> JSONValue? {
            try receiver.metrics().first { $0["name"]?.text == name }
        }
        #expect(try await eventually { try metric("weir.h") != nil })
        let counter = try #require(try metric("weir.c"))
        #expect(counter["unit"]?.text == "{request}" && counter["description"]?.text == "c")
        #expect(counter["sum"]?["is_monotonic"] == true)
        #expect(counter["sum"]?["aggregation_temporality"]?.text == "AGGREGATION_TEMPORALITY_CUMULATIVE")
        let point = try #require(counter["sum"]?["data_points"]?[0])
        #expect(point["as_int"]?.text == "7" && point["attributes"] == [["key": "a", "value": ["string_value": "b"]]])
        #expect(point["start_time_unix_nano"]?.text?.count == 19)
        // A number, as on spans: the conventions have it so, and backends join by it.
        let status = try metric("weir.s")?["sum"]?["data_points"]?[0]?["attributes"]
        #expect(status == [["key": "http.response.status_code", "value": ["int_value": "200"]]])
        #expect(try metric("weir.g")?["gauge"]?["data_points"]?[0]?["as_int"]?.text == "-3")
        let open = try #require(try metric("weir.u")?["sum"])
        #expect(open["data_points"]?[0]?["as_int"]?.text == "-2" && open["is_monotonic"] != true)
        #expect(open["aggregation_temporality"]?.text == "AGGREGATION_TEMPORALITY_CUMULATIVE")
        #expect(try metric("weir.cpu")?["sum"]?["data_points"]?[0]?["as_double"] == .number(1.5))
        let spread = try #require(try metric("weir.h")?["exponential_histogram"]?["data_points"]?[0])
        #expect(try metric("weir.h")?["unit"]?.text == "s")
        #expect(spread["count"]?.text == "3" && spread["zero_count"]?.text == "1" && spread["scale"]?.int == 3)
        #expect(spread["sum"] == .number(2.5) && spread["max"] == .number(1.5))
        // Bucket -1 ends with 1 s; 1.5 is within bucket 4: 2^(4/8) < 1.5 <= 2^(5/8).
        #expect(spread["positive"]?["offset"]?.int == -1)
        #expect(spread["positive"]?["bucket_counts"] == ["1", "0", "0", "0", "0", "1"])
        #expect(spread["exemplars"]?[0]?["as_double"] == .number(1.5))
        #expect(spread["exemplars"]?[0]?["span_id"]?.text == "APBnqgupArc=")
        let resource = try #require(try receiver.resources().first?["resource"])
        #expect(String(decoding: resource.bytes, as: UTF8.self).contains("weir-test"))
        telemetry.stop()
        await receiver.stop()
    }

    @Test(arguments: [429, 502, 503, 504])
    func `tries again what a collector cannot take now`(status: Int64) async throws {
        let receiver = try await OTLPReceiver.start(
            directory: directory.path,
            answers: [["status": .integer(status), "retry_after": "0"], ["status": .integer(status)]]
        )
        let telemetry = try telemetry(receiver.url, ["OTEL_METRICS_EXPORTER": "none"])
        telemetry.spans.offer([try span()])
        #expect(try await eventually { try receiver.spans().count == 1 })
        let statuses = try receiver.requests().map { $0["status"]?.int }
        #expect(statuses == [status, status, 200])
        telemetry.stop()
        #expect(figure(telemetry, "weir.telemetry.failed") == 0)
        await receiver.stop()
    }

    @Test(arguments: [400, 401, 404, 413, 500, 301])
    func `gives up what a collector will never take, and goes on with the next`(status: Int64) async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path, answers: [["status": .integer(status)]])
        let telemetry = try telemetry(receiver.url, ["OTEL_METRICS_EXPORTER": "none"])
        telemetry.spans.offer([try span("lost")])
        #expect(await eventually { figure(telemetry, "weir.telemetry.failed") == 1 })
        telemetry.spans.offer([try span("kept")])
        #expect(try await eventually { try receiver.spans().map { $0["name"]?.text } == ["kept"] })
        telemetry.stop()
        await receiver.stop()
    }

    @Test(arguments: ["2", ["date_in": 3]] as [JSONValue])
    func `honours how long a collector wants it to wait`(_ wait: JSONValue) async throws {
        let receiver = try await OTLPReceiver.start(
            directory: directory.path,
            answers: [["status": 503, "retry_after": wait]]
        )
        let telemetry = try telemetry(receiver.url, ["OTEL_METRICS_EXPORTER": "none"])
        telemetry.spans.offer([try span()])
        #expect(try await eventually { try receiver.spans().count == 1 })
        let times = try receiver.requests().map { try #require($0["time"]?.double) }
        try #require(times.count == 2)
        // By the receiver's clock, whose dates are whole seconds; its own first wait is at most half a second.
        #expect(times[1] - times[0] > 1.9)
        telemetry.stop()
        await receiver.stop()
    }

    @Test func `makes no export of metrics before a collector wants one`() async throws {
        let receiver = try await OTLPReceiver.start(
            directory: directory.path,
            answers: [["status": 503, "retry_after": "2"]]
        )
        let telemetry = try telemetry(receiver.url, ["OTEL_TRACES_EXPORTER": "none"])
        #expect(try await eventually { try receiver.requests().count >= 2 })
        let times = try receiver.requests().map { try #require($0["time"]?.double) }
        #expect(times[1] - times[0] > 1.9)
        telemetry.stop()
        await receiver.stop()
    }

    @Test func `lets a collector that is slower than its interval answer, but not at the end`() async throws {
        let receiver = try await OTLPReceiver.start(
            directory: directory.path,
            answers: .array(Array(repeating: ["hang": 0.7], count: 100))
        )
        let telemetry = try telemetry(receiver.url, ["OTEL_TRACES_EXPORTER": "none"])
        let count = telemetry.registry.counter("weir.requests", help: "h")
        #expect(await eventually { figure(telemetry, "weir.telemetry.exported", "metrics") > 0 })
        #expect(figure(telemetry, "weir.telemetry.failed", "metrics") == 0)
        // The next one is with the collector, which takes its time, when the program ends.
        let begun = try receiver.requests().count
        #expect(try await eventually { try receiver.requests().count > begun })
        count.add(7)
        telemetry.stop(deadline: .seconds(10))
        let last = try #require(try receiver.metrics().first { $0["name"]?.text == "weir.requests" })
        #expect(last["sum"]?["data_points"]?[0]?["as_int"]?.text == "7")
        await receiver.stop()
    }

    @Test func `sends one full request after the other while there is enough for it`() async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path)
        let telemetry = try telemetry(
            receiver.url,
            [
                "OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "600000",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20",
            ]
        )
        for _ in 0..<2_000 { telemetry.spans.offer([try span()]) }
        #expect(try await eventually(30) { try receiver.spans().count == 2_000 })
        let times = try receiver.requests().map { try #require($0["time"]?.double) }
        try #require(times.count == 100)
        // One in each look at the queue, every 0.2 s, would take 19.8 s.
        #expect(times[99] - times[0] < 15)
        telemetry.stop()
        await receiver.stop()
    }

    @Test func `counts what a collector says that it did not take`() async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path, answers: [["rejected": 2]])
        let telemetry = try telemetry(receiver.url, ["OTEL_METRICS_EXPORTER": "none"])
        telemetry.spans.offer([try span(), try span(), try span()])
        #expect(await eventually { figure(telemetry, "weir.telemetry.rejected") == 2 })
        #expect(figure(telemetry, "weir.telemetry.exported") == 1)
        telemetry.stop()
        await receiver.stop()
    }

    @Test func `reads no more of an answer than it needs`() async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path, answers: [["bytes": 50_000_000]])
        let telemetry = try telemetry(receiver.url, ["OTEL_METRICS_EXPORTER": "none"])
        telemetry.spans.offer([try span()])
        #expect(await eventually { figure(telemetry, "weir.telemetry.exported") == 1 })
        telemetry.stop()
        await receiver.stop()
    }

    @Test func `sends what is left when the process ends`() async throws {
        let receiver = try await OTLPReceiver.start(directory: directory.path)
        let slow = ["OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_METRIC_EXPORT_INTERVAL": "600000"]
        let telemetry = try telemetry(receiver.url, slow.merging(["OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"]) { $1 })
        for _ in 0..<250 { telemetry.spans.offer([try span()]) }
        telemetry.registry.counter("weir.last", help: "x").add()
        telemetry.stop(deadline: .seconds(5))
        #expect(try receiver.spans().count == 250)
        #expect(try receiver.metrics().contains { $0["name"]?.text == "weir.last" })
        await receiver.stop()
    }

    @Test(arguments: ["hangs", "is gone"])
    func `ends in time with a collector that`(trouble: String) async throws {
        let receiver = try await OTLPReceiver.start(
            directory: directory.path,
            answers: .array(Array(repeating: ["hang": 60], count: 50))
        )
        if trouble == "is gone" { await receiver.stop() }
        let telemetry = try telemetry(receiver.url)
        for _ in 0..<5_000 { telemetry.spans.offer([try span()]) }
        #expect(figure(telemetry, "weir.telemetry.dropped") >= 5_000 - 2_048 - 512)
        await pause(for: .milliseconds(300))
        let start = ContinuousClock.now
        telemetry.stop(deadline: .milliseconds(300))
        // Far more than the deadline, for a machine that runs other tests, and far less than the collector's minute.
        #expect(ContinuousClock.now - start < .seconds(15))
        #expect(figure(telemetry, "weir.telemetry.failed") > 0)
        await receiver.stop()
    }

    @Test func `says once that a collector is gone, and once that it is back`() async throws {
        let receiver = try await OTLPReceiver.start(
            directory: directory.path,
            answers: .array(Array(repeating: ["status": 500], count: 5))
        )
        let lines = Lines()
        let telemetry = try ProgramTelemetry(
            OTLPConfiguration(
                environment: ["OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_METRIC_EXPORT_INTERVAL": "100"],
                service: "s"
            ),
            logger: Logger(label: "test") { _ in lines }
        )
        #expect(await eventually { lines.all.contains { $0.contains("again") } })
        telemetry.stop()
        #expect(lines.all.count == 2, "\(lines.all)")
        await receiver.stop()
    }

    @Test func `trusts the authority that it is told to, and no other`() async throws {
        let (file, key) = ("\(directory.path)/cert.pem", "\(directory.path)/key.pem")
        let made = try await ChildProcess.start(
            ProcessSpecification(
                name: "openssl",
                executable: "/usr/bin/openssl",
                arguments: [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", file,
                ],
                logFile: "\(directory.path)/openssl.log"
            )
        )
        #expect(await made.exit() == .code(0))
        let receiver = try await OTLPReceiver.start(directory: directory.path, certificate: (file, key))
        let only = ["OTEL_METRICS_EXPORTER": "none"]
        let trusting = try telemetry(receiver.url, only.merging(["OTEL_EXPORTER_OTLP_CERTIFICATE": file]) { $1 })
        trusting.spans.offer([try span()])
        #expect(try await eventually { try receiver.spans().count == 1 })
        let wary = try telemetry(receiver.url, only)
        wary.spans.offer([try span()])
        #expect(await eventually { figure(wary, "weir.telemetry.failed") == 1 })
        #expect(try receiver.spans().count == 1)
        trusting.stop()
        wary.stop()
        await receiver.stop()
    }
}

/// Keeps what is logged.
private final class Lines: LogHandler {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    var logLevel: Logger.Level {
        get { .debug }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    func log(event: LogEvent) { lines.withLock { $0.append(event.message.description) } }
}
