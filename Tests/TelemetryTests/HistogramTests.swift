// A histogram is believed: what lies on a boundary, what is merged, what is lost.

import AllocationCounter
import Glibc
import Testing

@testable import Telemetry

@Suite struct `A histogram` {
    @Test func `puts every power of two at the end of its bucket, and the next figure into the one after`() {
        for octave in 0..<44 {
            let power = UInt64(1) << UInt64(octave)
            #expect(ExponentialBuckets.position(of: power) == octave * 8)
            // Within the first octaves whole numbers are further apart than buckets are.
            #expect(ExponentialBuckets.position(of: power + 1) > octave * 8)
        }
        #expect(ExponentialBuckets.position(of: .max) == ExponentialBuckets.count - 1)
        #expect(ExponentialBuckets.position(of: 1 << 44) == ExponentialBuckets.count - 1)
    }

    @Test func `puts figures where the definition of its buckets does`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let value = generator.next() >> UInt64.random(in: 21...63)
            guard value > 0 else { continue }
            let position = ExponentialBuckets.position(of: value)
            #expect(Double(value) <= ExponentialBuckets.upperBound(ofPosition: position) * (1 + 1e-12))
            #expect(Double(value) > ExponentialBuckets.upperBound(ofPosition: position - 1) * (1 - 1e-12))
        }
    }

    @Test func `puts durations into buckets that end with seconds`() throws {
        #expect(ExponentialBuckets.binary(nanoseconds: 0) == 0)
        #expect(ExponentialBuckets.binary(nanoseconds: 1) == 2)
        for seconds in [1, 2, 8, 64, 4_096] as [UInt64] {
            let nanoseconds = seconds * 1_000_000_000
            #expect(ExponentialBuckets.binary(nanoseconds: nanoseconds) == seconds << 30)
            #expect(ExponentialBuckets.binary(nanoseconds: nanoseconds + 1) > seconds << 30)
            #expect(ExponentialBuckets.binary(nanoseconds: nanoseconds - 1) <= seconds << 30)
        }
        let histogram = Histogram(.nanoseconds)
        histogram.record(1_000_000_000)
        let filled = HistogramSnapshot(of: histogram, .nanoseconds).filled
        // Bucket -1 ends with 1.
        #expect(filled.offset == -1 && Array(filled.counts) == [1])
    }

    @Test(arguments: [MetricUnit.bytes, .nanoseconds])
    func `tells quantiles within 4,5 percent`(unit: MetricUnit) throws {
        let histogram = Histogram(unit)
        for value in 1...10_000 as ClosedRange<UInt64> { histogram.record(value * 1_000) }
        let snapshot = HistogramSnapshot(of: histogram, unit)
        for (quantile, exact) in [(0.5, 5_000_000.0), (0.9, 9_000_000), (0.99, 9_900_000), (0.01, 100_000)] {
            let told = try #require(snapshot.value(atQuantile: quantile))
            #expect(abs(told - exact) / exact < 0.045, "\(quantile): \(told)")
        }
        #expect(snapshot.count == 10_000 && snapshot.sum == 50_005_000_000)
        #expect(snapshot.range == 1_000...10_000_000)
    }

    @Test func `adds the cells of a series up and loses nothing of many threads`() async throws {
        let metrics = MetricRegistry()
        await withTaskGroup { group in
            for thread in 0..<8 {
                group.addTask {
                    let cell = metrics.histogram("weir.x", unit: .bytes, help: "x")
                    let shared = metrics.counter("weir.n", help: "n")
                    for value in 0..<5_000 as Range<UInt64> {
                        cell.record(value)
                        shared.add()
                    }
                    _ = thread
                }
            }
        }
        let family = try #require(metrics.collect().first { $0.name == "weir.x" })
        guard case .histogram(let snapshot) = family.series[0].value else { throw NotAHistogram() }
        #expect(family.series.count == 1)
        #expect(snapshot.count == 40_000 && snapshot.zeros == 8)
        #expect(snapshot.sum == 8 * 4_999 * 5_000 / 2)
        #expect(snapshot.counts(upToOctaves: [10]) == [8 * 1_025])
        let filled = snapshot.filled
        #expect(filled.offset == -1 && filled.counts.reduce(0, +) == 40_000 - 8)
    }

    private struct NotAHistogram: Error {}

    private func context(isSampled: Bool) throws -> TraceContext {
        TraceContext(
            traceID: try #require(TraceID(high: 1, low: 0xAB)),
            spanID: try #require(SpanID(0xC)),
            isSampled: isSampled
        )
    }

    @Test func `records without allocating`() throws {
        let histogram = Histogram(.nanoseconds)
        let context = try context(isSampled: false)
        let before = weir_allocation_count()
        for value in 0..<1_000 { histogram.record(UInt64(value)) }
        for value in 0..<1_000 { histogram.record(UInt64(value), exemplar: context) }
        #expect(weir_allocation_count() == before)
        #expect(HistogramSnapshot(of: histogram, .nanoseconds).exemplars.isEmpty, "no example of what is not sampled")
    }

    @Test func `is shown in both formats, with what is within each doubling`() throws {
        let metrics = MetricRegistry()
        let cell = metrics.histogram("weir.wait", unit: .nanoseconds, help: "waits", labels: [MetricLabel("a.b", "c")])
        cell.record(500_000_000)
        cell.record(500_000_001)
        cell.record(2_000_000_000, exemplar: try context(isSampled: true))
        let text = String(decoding: metrics.render(), as: UTF8.self)
        #expect(text.hasPrefix("# HELP weir_wait_seconds waits\n# TYPE weir_wait_seconds histogram\n"))
        #expect(text.contains(#"weir_wait_seconds_bucket{a_b="c",le="0.5"} 1"# + "\n"))
        #expect(text.contains(#"weir_wait_seconds_bucket{a_b="c",le="1.0"} 2"# + "\n"))
        #expect(text.contains(#"weir_wait_seconds_bucket{a_b="c",le="+Inf"} 3"# + "\n"))
        #expect(text.contains(#"weir_wait_seconds_count{a_b="c"} 3"#))
        #expect(!text.contains("trace_id") && !text.contains("# EOF"))
        let open = String(decoding: metrics.render(.openMetrics), as: UTF8.self)
        #expect(open.contains("# UNIT weir_wait_seconds seconds\n") && open.hasSuffix("# EOF\n"))
        let trace = #"# {trace_id="000000000000000100000000000000ab",span_id="000000000000000c"} 2.0 "#
        let line = try #require(open.split(separator: "\n").first { $0.contains("trace_id") })
        #expect(line.contains(#"le="2.0"} 3 "# + trace))
        #expect(open.ranges(of: "trace_id").count == 1, "an example is of one bucket")
    }

    @Test(arguments: [(1, "64.0"), (100, "256.0"), (256, "256.0"), (1 << 40, "+Inf")] as [(UInt64, String)])
    func `shows an example where several doublings make one bucket`(value: UInt64, bound: String) throws {
        let metrics = MetricRegistry()
        let cell = metrics.histogram("weir.size", unit: .bytes, help: "sizes")
        cell.record(value, exemplar: try context(isSampled: true))
        let open = String(decoding: metrics.render(.openMetrics), as: UTF8.self)
        let lines = open.split(separator: "\n").filter { $0.contains("trace_id") }
        #expect(lines.count == 1 && lines[0].contains("le=\"\(bound)\"} 1 # "), "\(lines)")
    }
}

extension HistogramSnapshot {
    fileprivate init(of cell: Histogram, _ unit: MetricUnit) {
        self.init(unit)
        cell.add(to: &self)
    }
}

@Suite struct `The page of metrics` {
    @Test(
        arguments: [
            (nil, ExpositionFormat.prometheus), ("*/*", .prometheus), ("text/plain;version=0.0.4", .prometheus),
            ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", .openMetrics),
            ("text/plain, application/openmetrics-text; version=1.0.0; q=0.7", .openMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0", .prometheus),
            ("application/openmetrics-text;version=2.0.0", .prometheus), ("application/openmetrics-text", .openMetrics),
        ] as [(String?, ExpositionFormat)]
    )
    func `has the format that is asked for`(accept: String?, format: ExpositionFormat) {
        #expect(ExpositionFormat.negotiated(accept: accept) == format)
    }

    @Test func `names units once, and counters by total`() {
        let metrics = MetricRegistry()
        _ = metrics.counter("weir.bytes.sent.bytes", unit: .bytes, help: "x")
        metrics.observe("weir.age", unit: .seconds, help: "x") { 7 }
        metrics.observeTotal("process.cpu", unit: .nanoseconds, help: "x") { 1_500_000_000 }
        let text = String(decoding: metrics.render(), as: UTF8.self)
        #expect(text.contains("\nweir_bytes_sent_bytes_total 0\n"))
        #expect(text.contains("\nweir_age_seconds 7\n"))
        #expect(text.contains("\nprocess_cpu_seconds_total 1.5\n"))
        let open = String(decoding: metrics.render(.openMetrics), as: UTF8.self)
        #expect(open.contains("# TYPE process_cpu_seconds counter\n"))
        #expect(open.contains("\nprocess_cpu_seconds_total 1.5\n"))
    }

    @Test func `tells of the process`() throws {
        let metrics = MetricRegistry()
        ProcessMetrics.show(in: metrics, program: "p", version: "1")
        let text = String(decoding: metrics.render(), as: UTF8.self)
        func figure(_ name: String) throws -> Double {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") })
            return try #require(Double(line.split(separator: " ")[1]))
        }
        #expect(try figure("process_resident_memory_bytes") > 1_000_000)
        let resident = try figure("process_resident_memory_bytes")
        #expect(try figure("process_virtual_memory_bytes") > resident)
        #expect(try figure("process_cpu_seconds_total") > 0)
        let open = try figure("process_open_fds")
        let most = try figure("process_max_fds")
        #expect(open >= 3 && open <= most)
        #expect(try figure("process_start_time_seconds") > 1_700_000_000)
        #expect(text.contains(#"weir_build_info{program="p",version="1"} 1"#))
    }
}

@Suite struct `A cap on labels` {
    @Test func `gives the first values their own, others one, and compares bytes`() {
        let cap = LabelCap(max: 2)
        #expect(cap.label(for: Array("e\u{301}".utf8)) == "e\u{301}")
        #expect(cap.label(for: Array("\u{e9}".utf8)).utf8.elementsEqual("\u{e9}".utf8))
        #expect(cap.label(for: Array("third".utf8)) == "other")
        #expect(cap.label(for: Array("e\u{301}".utf8)).utf8.elementsEqual("e\u{301}".utf8))
        #expect(LabelCap(max: 9).label(for: [UInt8](repeating: 97, count: 129)) == "other")
    }
}
