// Libraries report through swift-metrics and swift-distributed-tracing; both end where our own figures and spans do.

import CoreMetrics
import Telemetry
import Testing
import Tracing

@Suite struct `Libraries` {
    private struct Headers: Extractor, Injector {
        func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
        func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    }

    private struct Trouble: Error {
        let secret = "of the error"
    }

    @Test func `count into the registry, under names of their own`() {
        let registry = MetricRegistry()
        let factory = LibraryMetrics(registry)
        let dimensions = [("pool name", "a")]
        CoreMetrics.Counter(label: "http requests", dimensions: dimensions, factory: factory).increment(by: 2)
        CoreMetrics.Counter(label: "http requests", dimensions: dimensions, factory: factory).increment()
        Meter(label: "depth", dimensions: [], factory: factory).set(2.6)
        Timer(label: "wait", dimensions: [], preferredDisplayUnit: .seconds, factory: factory).recordNanoseconds(500)
        Recorder(label: "size", dimensions: [], aggregate: true, factory: factory).record(7)
        // Another kind under a name that is taken: not shown, and nobody is harmed.
        Meter(label: "http requests", dimensions: [], factory: factory).set(9)
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(text.contains("library_http_requests_total{pool_name=\"a\"} 3\n"))
        #expect(text.contains("library_depth 3\n"))
        #expect(text.contains("library_wait_seconds_count 1\n") && text.contains("library_size_sum 7.0\n"))
        #expect(!text.contains(" 9\n"))
        // What would make a page that no scraper takes.
        Meter(label: "de.pth", dimensions: [], factory: factory).set(1)
        Meter(label: "de_pth", dimensions: [("a", "b"), ("a", "c"), ("le", "1")], factory: factory).set(11)
        let labels = [("le", "1"), ("a.b", "x"), ("a_b", "y")]
        Timer(label: "odd", dimensions: labels, preferredDisplayUnit: .seconds, factory: factory).recordNanoseconds(1)
        let odd = String(decoding: registry.render(), as: UTF8.self)
        #expect(odd.ranges(of: "# TYPE library_de_pth gauge").count == 1 && !odd.contains(" 11\n"))
        #expect(odd.contains("library_odd_seconds_count{a_b=\"x\"} 1\n"))
        for index in 0..<1_000 {
            CoreMetrics.Counter(label: "flood", dimensions: [("id", "\(index)")], factory: factory).increment()
        }
        #expect(String(decoding: registry.render(), as: UTF8.self).split(separator: "\n").count < 700)
    }

    @Test func `count on in series that there are when there may be no more`() {
        let registry = MetricRegistry()
        let factory = LibraryMetrics(registry)
        for number in 0..<(LibraryMetrics.maxSeries + 5) {
            CoreMetrics.Counter(label: "many", dimensions: [("n", "\(number)")], factory: factory).increment()
        }
        CoreMetrics.Counter(label: "many", dimensions: [("n", "0")], factory: factory).increment()
        #expect(registry.collect().flatMap(\.series).count == LibraryMetrics.maxSeries)
        #expect(String(decoding: registry.render(), as: UTF8.self).contains("library_many_total{n=\"0\"} 2\n"))
    }

    @Test(arguments: [("wait", "wait_seconds"), ("wait_seconds_count", "wait")])
    func `share no name on a page, whatever is added to theirs`(one: String, other: String) {
        let registry = MetricRegistry()
        let factory = LibraryMetrics(registry)
        func ask(_ label: String) {
            if label == "wait" {
                Timer(label: label, dimensions: [], preferredDisplayUnit: .seconds, factory: factory)
                    .recordNanoseconds(500)
            } else {
                Meter(label: label, dimensions: [], factory: factory).set(1)
            }
        }
        ask(one)
        ask(other)
        #expect(registry.collect().map(\.name) == ["library.\(one)"])
    }

    @Test func `trace into the queue, as children of what they are called in`() throws {
        let queue = SpanQueue()
        let tracer = LibraryTracer(queue, sampler: .parentBased(root: .alwaysOff))
        var context = ServiceContext.topLevel
        let sent = [
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1",
        ]
        tracer.extract(sent, into: &context, using: Headers())
        #expect(throws: Trouble.self) {
            try tracer.withSpan("outer", context: context, ofKind: .server) { outer in
                outer.attributes["n"] = 3
                var forwarded: [String: String] = [:]
                tracer.inject(outer.context, into: &forwarded, using: Headers())
                #expect(forwarded["tracestate"] == "a=1")
                #expect(forwarded["traceparent"]?.hasPrefix("00-4bf92f3577b34da6a3ce929d0e0e4736-") == true)
                try tracer.withSpan("inner", ofKind: .client) { inner in
                    inner.addEvent(SpanEvent(name: "e"))
                    inner.addLink(outer)
                    throw Trouble()
                }
            }
        }
        let spans = queue.take(max: 10)
        try #require(spans.map(\.name) == ["inner", "outer"])
        let (inner, outer) = (spans[0], spans[1])
        #expect(outer.parent?.description == "00f067aa0ba902b7" && inner.parent == outer.context.spanID)
        #expect(inner.kind == .client && outer.kind == .server && inner.links.count == 1)
        #expect(outer.attributes.first?.name == "n" && outer.attributes.first?.value == .int(3))
        #expect(inner.events.map(\.name) == ["e", "exception"])
        #expect(!"\(spans)".contains("of the error"), "what an error says may be a secret")
        // Not sampled, and nobody before it: nothing is kept.
        tracer.withSpan("root") { #expect(!$0.isRecording) }
        #expect(queue.count == 0)
    }
}
