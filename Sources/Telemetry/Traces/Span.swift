// A finished piece of work in a trace. It is built when it is over and will be kept; until then its owner holds a few
// numbers.

/// One operation, from start to end.
public struct TraceSpan: Sendable {
    /// The most attributes of a span or an event, the most events and links, and the longest text; more is left out and
    /// counted.
    public static let maxAttributes = 64, maxEvents = 64, maxLinks = 16, maxTextBytes = 256

    /// What part a span plays between programs.
    public enum Kind: Int, Sendable {
        /// Within one program.
        case `internal` = 1
        /// A request that was answered.
        case server
        /// A request that was made.
        case client
        /// A message that was sent.
        case producer
        /// A message that was taken.
        case consumer
    }

    /// How it ended.
    public enum Status: Sendable, Equatable {
        /// As it should, or nobody said.
        case unset
        /// Somebody said that it went well.
        case ok
        /// It failed; in words of ours.
        case error(String)
    }

    /// The value of an attribute.
    public enum Value: Sendable, Equatable {
        /// Text.
        case string(String)
        /// A whole number.
        case int(Int64)
        /// A number.
        case double(Double)
        /// Yes or no.
        case bool(Bool)
        /// Several texts.
        case strings([String])
    }

    /// Something known of a span.
    public struct Attribute: Sendable {
        /// By the semantic conventions, or `weir.…`.
        public let name: String
        /// Its value.
        public let value: Value

        /// Makes an attribute.
        public init(_ name: String, _ value: Value) {
            self.name = name
            self.value = value
        }

        var cost: Int {
            switch value {
            case .string(let text): name.utf8.count + text.utf8.count
            case .strings(let texts): texts.reduce(name.utf8.count) { $0 + $1.utf8.count }
            case .int, .double, .bool: name.utf8.count + 8
            }
        }
    }

    /// A moment within a span.
    public struct Event: Sendable {
        /// What happened.
        public let name: String
        /// Since the Unix epoch.
        public let unixNanoseconds: UInt64
        /// What is known of it.
        public let attributes: [Attribute]

        /// Makes an event; attributes beyond the bound are left out.
        public init(_ name: String, at unixNanoseconds: UInt64, _ attributes: [Attribute] = []) {
            self.name = name
            self.unixNanoseconds = unixNanoseconds
            self.attributes = TraceSpan.bounded(attributes)
        }
    }

    /// What it is called: of few values, never with an id in it.
    public let name: String
    /// What part it plays.
    public let kind: Kind
    /// Its own ids.
    public let context: TraceContext
    /// The span that it is part of; nil for the first of a trace.
    public let parent: SpanID?
    /// Since the Unix epoch.
    public let start: UInt64
    /// Since the Unix epoch; not before ``start``.
    public let end: UInt64
    /// At most `maxAttributes`.
    public let attributes: [Attribute]
    /// At most `maxEvents`, in order of time.
    public let events: [Event]
    /// At most `maxLinks`: spans that this one has to do with.
    public let links: [TraceContext]
    /// How it ended.
    public let status: Status
    /// What the bounds left out.
    public let droppedAttributes: Int, droppedEvents: Int

    /// Makes a span; what is beyond the bounds is left out and counted, texts are cut.
    public init(
        name: String,
        kind: Kind,
        context: TraceContext,
        parent: SpanID?,
        start: UInt64,
        end: UInt64,
        attributes: [Attribute] = [],
        events: [Event] = [],
        links: [TraceContext] = [],
        status: Status = .unset
    ) {
        self.name = Self.cut(name)
        self.kind = kind
        self.context = context
        self.parent = parent
        self.start = start
        self.end = max(start, end)
        self.attributes = Self.bounded(attributes)
        self.events = Array(events.prefix(Self.maxEvents))
        self.links = Array(links.prefix(Self.maxLinks))
        self.status = if case .error(let text) = status { .error(Self.cut(text)) } else { status }
        droppedAttributes = max(attributes.count - Self.maxAttributes, 0)
        droppedEvents = max(events.count - Self.maxEvents, 0)
    }

    /// Roughly its bytes in memory, for the queue's bound.
    var cost: Int {
        let own = attributes.reduce(256 + name.utf8.count + context.state.text.utf8.count) { $0 + 48 + $1.cost }
        return events.reduce(own) { sum, event in
            event.attributes.reduce(sum + 64 + event.name.utf8.count) { $0 + 48 + $1.cost }
        }
    }

    static func bounded(_ attributes: [Attribute]) -> [Attribute] {
        attributes.prefix(maxAttributes).map { attribute in
            switch attribute.value {
            case .string(let text): Attribute(attribute.name, .string(cut(text)))
            case .strings(let texts): Attribute(attribute.name, .strings(texts.prefix(maxLinks).map(cut)))
            case .int, .double, .bool: attribute
            }
        }
    }

    /// Ends a long text between characters.
    private static func cut(_ text: String) -> String {
        guard text.utf8.count > maxTextBytes else { return text }
        var bytes = 0
        let kept = text.unicodeScalars.prefix { scalar in
            bytes += UTF8.width(scalar)
            return bytes <= maxTextBytes
        }
        return String(kept)
    }
}
