// Traces begin elsewhere and go on elsewhere: the headers are W3C's to the letter, the samplers OpenTelemetry's.

import AllocationCounter
import Testing

@testable import Telemetry

@Suite struct `A trace context` {
    private static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    private func context(_ parent: String, _ state: String? = nil) -> TraceContext? {
        let parent = Array(parent.utf8)
        guard let state else { return TraceContext(parent: parent.span) }
        let bytes = Array(state.utf8)
        return TraceContext(parent: parent.span, state: bytes.span)
    }

    @Test func `is read and written as it came`() throws {
        let read = try #require(context(Self.parent))
        #expect(read.traceID.description == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(read.spanID.value == 0x00f0_67aa_0ba9_02b7 && read.isSampled)
        #expect(read.parent == Self.parent)
        #expect(read.traceID.bytes.count == 16 && read.spanID.bytes == [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7])
    }

    @Test(arguments: [
        "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473600-f067aa0ba902b7-01",
    ])
    func `that is not valid is none`(parent: String) { #expect(context(parent) == nil) }

    @Test(arguments: [
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", true),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", false),
    ])
    func `of a later version, or with flags that we do not know, is understood`(parent: String, sampled: Bool) throws {
        let read = try #require(context(parent))
        #expect(read.isSampled == sampled)
        #expect(read.parent.hasPrefix("00-") && read.parent.hasSuffix(sampled ? "-01" : "-00"))
    }

    @Test(
        arguments: [
            ("a=1", true), ("a=1,b=2", true), (" a=1 ,\tb=2,,", true), ("t@s=x y", true), ("0a@b=1", true),
            ("a=1,a=2", false), ("A=1", false), ("a", false), ("a=", false), ("a=b=c", false), ("@s=1", false),
            ("a@=1", false), ("a@0=1", false), ("a=é", false), ("", true),
            ((0..<33).map { "k\($0)=v" }.joined(separator: ","), false),
            ((0..<32).map { "k\($0)=v" }.joined(separator: ","), true),
            ("k=" + String(repeating: "v", count: 256), true), ("k=" + String(repeating: "v", count: 257), false),
            ("a=1," + String(repeating: " ", count: 600), false),
        ] as [(String, Bool)]
    )
    func `keeps its parent whatever its state is`(state: String, isKept: Bool) throws {
        #expect(try #require(context(Self.parent, state)).state.text == (isKept ? state : ""))
    }

    @Test func `survives any bytes`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            var bytes = Array(Self.parent.utf8)
            for _ in 0..<Int.random(in: 1...3) {
                bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...255, using: &generator)
            }
            if let read = TraceContext(parent: bytes.span) {
                let again = Array(read.parent.utf8)
                #expect(TraceContext(parent: again.span) == read)
            }
        }
    }

    @Test func `costs no allocation`() {
        let parent = Array(Self.parent.utf8)
        let before = weir_allocation_count()
        let read = TraceContext(parent: parent.span)
        #expect(weir_allocation_count() == before && read != nil)
    }
}

@Suite struct `A sampler` {
    @Test(
        arguments: [
            (nil, nil, .standard), (nil, "0.5", .parentBased(root: .ratio(0.5))), ("always_on", nil, .alwaysOn),
            ("always_off", "1", .alwaysOff), ("traceidratio", "0.25", .ratio(0.25)), ("traceidratio", nil, .ratio(1)),
            ("traceidratio", "7", .ratio(1)), ("parentbased_always_on", nil, .parentBased(root: .alwaysOn)),
            ("parentbased_always_off", nil, .parentBased(root: .alwaysOff)),
            ("parentbased_traceidratio", "0", .parentBased(root: .ratio(0))), ("jaeger_remote", nil, nil),
        ] as [(String?, String?, Sampler?)]
    )
    func `is what the environment names`(name: String?, argument: String?, sampler: Sampler?) {
        #expect(Sampler(name: name, argument: argument) == sampler)
    }

    @Test func `takes its share, the same of every program`() throws {
        var generator = SystemRandomNumberGenerator()
        let ids = (0..<40_000).map { _ in TraceID.random(using: &generator) }
        #expect(ids.allSatisfy { Sampler.ratio(1).samples(parent: nil, traceID: $0) })
        #expect(!ids.contains { Sampler.ratio(0).samples(parent: nil, traceID: $0) })
        let highest = try #require(TraceID(high: .max, low: .max))
        #expect(!Sampler.ratio(0).samples(parent: nil, traceID: highest))
        let tenth = ids.filter { Sampler.ratio(0.1).samples(parent: nil, traceID: $0) }
        // Six standard deviations either way.
        #expect((3_640...4_360).contains(tenth.count))
        #expect(tenth.allSatisfy { Sampler.ratio(0.5).samples(parent: nil, traceID: $0) })
    }

    @Test func `follows its parent`() throws {
        let id = try #require(TraceID(high: 1, low: 0))
        let span = try #require(SpanID(1))
        let on = TraceContext(traceID: id, spanID: span, isSampled: true)
        let off = TraceContext(traceID: id, spanID: span, isSampled: false)
        #expect(Sampler.parentBased(root: .alwaysOff).samples(parent: on, traceID: id))
        #expect(!Sampler.parentBased(root: .alwaysOn).samples(parent: off, traceID: id))
        #expect(Sampler.parentBased(root: .alwaysOn).samples(parent: nil, traceID: id))
        #expect(Sampler.alwaysOn.samples(parent: off, traceID: id))
    }
}

@Suite struct `Spans` {
    private static let context: TraceContext = {
        var generator = SystemRandomNumberGenerator()
        return TraceContext(
            traceID: .random(using: &generator),
            spanID: .random(using: &generator),
            isSampled: true
        )
    }()

    private func span(_ attributes: [TraceSpan.Attribute] = [], events: Int = 0) -> TraceSpan {
        TraceSpan(
            name: "s",
            kind: .server,
            context: Self.context,
            parent: nil,
            start: 10,
            end: 5,
            attributes: attributes,
            events: (0..<events).map { TraceSpan.Event("e\($0)", at: 1) }
        )
    }

    @Test func `are bounded, and end no earlier than they start`() {
        let long = String(repeating: "é", count: 200)
        let span = span((0..<70).map { TraceSpan.Attribute("a\($0)", .string(long)) }, events: 70)
        #expect(span.attributes.count == 64 && span.droppedAttributes == 6)
        #expect(span.events.count == 64 && span.droppedEvents == 6)
        #expect(span.attributes[0].value == .string(String(repeating: "é", count: 128)))
        #expect(span.end == 10)
    }

    @Test func `wait for the exporter, so many and so large`() {
        let queue = SpanQueue(capacity: 3, maxBytes: 4_000)
        #expect(queue.offer([span(), span()]))
        #expect(!queue.offer([span(), span()]), "all of a request or none")
        #expect(queue.dropped == 2 && queue.count == 2)
        #expect(queue.take(max: 1).count == 1 && queue.take(max: 9).count == 1 && queue.take(max: 9).isEmpty)
        let large = (0..<64).map { TraceSpan.Attribute("a\($0)", .string(String(repeating: "x", count: 256))) }
        #expect(!queue.offer([span(large)]))
        #expect(queue.offer([span()]), "what was taken makes room")
    }

    @Test func `of refusals are so many a second`() {
        let queue = SpanQueue()
        let second: UInt64 = 1_000_000_000
        let admitted = (0..<500).count { _ in queue.admitsException(now: second) }
        #expect(admitted == 100 && queue.passedOver == 400)
        #expect((0..<500).count { _ in queue.admitsException(now: second + second / 10) } == 10)
    }

    @Test func `are neither lost nor doubled by many threads`() async {
        let queue = SpanQueue(capacity: 1_000_000, maxBytes: 1 << 30)
        await withTaskGroup { group in
            for _ in 0..<4 { group.addTask { for _ in 0..<1_000 { queue.offer([span()]) } } }
            group.addTask { for _ in 0..<100 { _ = queue.take(max: 0) } }
        }
        #expect(queue.take(max: .max).count == 4_000)
    }
}
