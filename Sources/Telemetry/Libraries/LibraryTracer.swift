// What libraries trace through swift-distributed-tracing goes into the queue of our own spans, in the same traces.

private import Synchronization
public import Tracing

/// swift-distributed-tracing's way into a queue of spans.
public struct LibraryTracer: Tracer {
    private let spans: SpanQueue
    private let sampler: Sampler

    /// Makes a tracer.
    ///
    /// - Parameters:
    ///   - spans: where finished spans go.
    ///   - sampler: which traces are recorded.
    public init(_ spans: SpanQueue, sampler: Sampler) {
        self.spans = spans
        self.sampler = sampler
    }

    /// See `Tracer`: a child of the context's span, or the first of a trace.
    public func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> ServiceContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> LibrarySpan {
        var context = context()
        let parent = context.traceContext
        var random = SystemRandomNumberGenerator()
        let traceID = parent?.traceID ?? .random(using: &random)
        let own = TraceContext(
            traceID: traceID,
            spanID: .random(using: &random),
            isSampled: sampler.samples(parent: parent, traceID: traceID),
            state: parent?.state ?? TraceState()
        )
        context.traceContext = own
        return LibrarySpan(
            context: context,
            own,
            parent: parent?.spanID,
            operationName,
            kind,
            start: instant().nanosecondsSinceEpoch,
            spans: spans
        )
    }

    /// See `Tracer`: spans leave when they end.
    public func forceFlush() {}

    /// Reads W3C's headers.
    public func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout ServiceContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parent = extractor.extract(key: "traceparent", from: carrier) else { return }
        if let state = extractor.extract(key: "tracestate", from: carrier) {
            context.traceContext = TraceContext(parent: parent.utf8.span, state: state.utf8.span)
        } else {
            context.traceContext = TraceContext(parent: parent.utf8.span)
        }
    }

    /// Writes W3C's headers.
    public func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let own = context.traceContext else { return }
        injector.inject(own.parent, forKey: "traceparent", into: &carrier)
        if !own.state.text.isEmpty { injector.inject(own.state.text, forKey: "tracestate", into: &carrier) }
    }
}

/// A library's span until it ends.
public final class LibrarySpan: Tracing.Span {
    private struct State {
        var name: String
        var attributes = SpanAttributes()
        var events: [TraceSpan.Event] = []
        var links: [TraceContext] = []
        var status = TraceSpan.Status.unset
        var hasEnded = false
    }

    /// The span's own context, for its children.
    public let context: ServiceContext
    private let own: TraceContext
    private let parent: SpanID?
    private let kind: SpanKind
    private let start: UInt64
    private let spans: SpanQueue
    private let state: Mutex<State>

    fileprivate init(
        context: ServiceContext,
        _ own: TraceContext,
        parent: SpanID?,
        _ name: String,
        _ kind: SpanKind,
        start: UInt64,
        spans: SpanQueue
    ) {
        self.context = context
        self.own = own
        self.parent = parent
        self.kind = kind
        self.start = start
        self.spans = spans
        state = Mutex(State(name: name))
    }

    /// What it is called.
    public var operationName: String {
        get { state.withLock { $0.name } }
        set { state.withLock { $0.name = newValue } }
    }

    /// What is known of it.
    public var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set { state.withLock { $0.attributes = newValue } }
    }

    /// Whether it will be told of.
    public var isRecording: Bool { own.isSampled && state.withLock { !$0.hasEnded } }

    /// Says how it went.
    public func setStatus(_ status: SpanStatus) {
        state.withLock { $0.status = status.code == .error ? .error(status.message ?? "") : .ok }
    }

    /// Notes a moment; beyond the bound of a span it is dropped.
    public func addEvent(_ event: SpanEvent) {
        state.withLock { state in
            guard state.events.count < TraceSpan.maxEvents else { return }
            state.events.append(
                TraceSpan.Event(event.name, at: event.nanosecondsSinceEpoch, Self.attributes(event.attributes))
            )
        }
    }

    /// Notes an error by its type: what it says may hold what nobody should read.
    public func recordError<Instant: TracerInstant>(
        _ error: any Error,
        attributes: SpanAttributes,
        at instant: @autoclosure () -> Instant
    ) {
        var attributes = attributes
        attributes["exception.type"] = "\(type(of: error))"
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
    }

    /// Ties another span to it.
    public func addLink(_ link: SpanLink) {
        guard let other = link.context.traceContext else { return }
        state.withLock { state in
            if state.links.count < TraceSpan.maxLinks { state.links.append(other) }
        }
    }

    /// Ends it, once.
    public func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let ended: State? = state.withLock { state in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let ended, own.isSampled else { return }
        spans.offer([
            TraceSpan(
                name: ended.name,
                kind: Self.kind(kind),
                context: own,
                parent: parent,
                start: start,
                end: instant().nanosecondsSinceEpoch,
                attributes: Self.attributes(ended.attributes),
                events: ended.events,
                links: ended.links,
                status: ended.status
            )
        ])
    }

    private static func kind(_ kind: SpanKind) -> TraceSpan.Kind {
        switch kind {
        case .server: .server
        case .client: .client
        case .producer: .producer
        case .consumer: .consumer
        case .internal: .internal
        }
    }

    private static func attributes(_ attributes: SpanAttributes) -> [TraceSpan.Attribute] {
        var all: [TraceSpan.Attribute] = []
        func append(_ name: String, _ value: SpanAttribute) {
            all.append(TraceSpan.Attribute(name, Self.value(value)))
        }
        attributes.forEach(append)
        return all.sorted { $0.name < $1.name }
    }

    private static func value(_ attribute: SpanAttribute) -> TraceSpan.Value {
        switch attribute {
        case .int32(let value): .int(Int64(value))
        case .int64(let value): .int(value)
        case .double(let value): .double(value)
        case .bool(let value): .bool(value)
        case .string(let value): .string(value)
        case .stringArray(let values): .strings(values)
        case .stringConvertible(let value): .string(value.description)
        default: .string("\(attribute)")
        }
    }
}

private enum TraceContextKey: ServiceContextKey {
    typealias Value = TraceContext
    static var nameOverride: String? { "weir-trace-context" }
}

extension ServiceContext {
    /// The span that work under this context is part of.
    public var traceContext: TraceContext? {
        get { self[TraceContextKey.self] }
        set { self[TraceContextKey.self] = newValue }
    }
}
