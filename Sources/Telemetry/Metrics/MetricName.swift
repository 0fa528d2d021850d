// What a metric is called in both worlds: OpenTelemetry's dotted names inside and on OTLP, Prometheus's on `/metrics`.

/// A name and a value that tell one series of a metric from another.
public struct MetricLabel: Hashable, Sendable {
    /// OpenTelemetry's name of the attribute: `[a-zA-Z_][a-zA-Z0-9_.]*`; dots become underscores for Prometheus.
    public let name: String
    /// Any text; escaped when it is rendered.
    public let value: String

    /// Makes a label.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What the figures of a metric are counted in.
public enum MetricUnit: Sendable, Equatable {
    /// A number without a unit.
    case none
    /// Whole seconds, shown as seconds.
    case seconds
    /// Recorded in nanoseconds, shown in seconds: what a histogram of durations takes.
    case nanoseconds
    /// Bytes.
    case bytes
    /// Things, named as OpenTelemetry annotates them: `{request}`, `{token}`.
    case count(String)

    /// The unit in UCUM's notation, as OTLP and the semantic conventions have it.
    public var symbol: String {
        switch self {
        case .none: ""
        case .seconds, .nanoseconds: "s"
        case .bytes: "By"
        case .count(let annotation): annotation
        }
    }

    /// What a recorded figure is multiplied with to be shown in ``symbol``.
    public var scale: Double { self == .nanoseconds ? 1e-9 : 1 }

    /// Prometheus's word for the unit; nil when it has none.
    var suffix: String? {
        switch self {
        case .none, .count: nil
        case .seconds, .nanoseconds: "seconds"
        case .bytes: "bytes"
        }
    }
}

/// Rules for names.
enum MetricName {
    /// Whether a text is a name of OpenTelemetry's that can be shown to Prometheus as well.
    static func isValid(_ text: String) -> Bool {
        guard let first = text.utf8.first, !isDigit(first), first != UInt8(ascii: ".") else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "_"), UInt8(ascii: "."): true
            default: isDigit(byte)
            }
        }
    }

    /// Prometheus's name of a metric, without the `_total` of a counter.
    ///
    /// - Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility", metric metadata: dots become
    ///   underscores, and the unit is appended unless the name ends in it.
    static func prometheus(_ name: String, unit: MetricUnit) -> String {
        var text = underscored(name)
        if let suffix = unit.suffix, !text.hasSuffix("_" + suffix) { text += "_" + suffix }
        return text
    }

    /// The name with underscores for dots.
    static func underscored(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
