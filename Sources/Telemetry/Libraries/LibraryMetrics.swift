// What libraries count through swift-metrics shows beside our own figures, within bounds that no library can pass.

public import CoreMetrics
private import Synchronization

/// swift-metrics' way into a registry.
///
/// Names are prefixed with `library.`; of a name that two kinds or two
/// spellings are asked for, the second one is not shown.
public final class LibraryMetrics: MetricsFactory {
    /// Series of all libraries; further ones are counted nowhere.
    public static let maxSeries = 500

    private enum Kind: Sendable {
        case counter
        case gauge
        case durations
        case values
    }

    private struct Key: Hashable {
        let name: String
        let kind: Kind
        let labels: [MetricLabel]
    }

    private struct State {
        /// By Prometheus's name, which two of OpenTelemetry's may share.
        var names: [String: (name: String, kind: Kind)] = [:]
        var handlers: [Key: Handler] = [:]
    }

    private let registry: MetricRegistry
    private let state = Mutex(State())

    /// Makes a way into a registry.
    public init(_ registry: MetricRegistry) { self.registry = registry }

    /// See `MetricsFactory`.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        handler(label, dimensions, .counter)
    }

    /// See `MetricsFactory`.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        handler(label, dimensions, .gauge)
    }

    /// See `MetricsFactory`.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        handler(label, dimensions, aggregate ? .values : .gauge)
    }

    /// See `MetricsFactory`.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        handler(label, dimensions, .durations)
    }

    // Series stay: a counter that vanished and came back would seem to have been reset.

    /// See `MetricsFactory`.
    public func destroyCounter(_ handler: any CounterHandler) {}
    /// See `MetricsFactory`.
    public func destroyMeter(_ handler: any MeterHandler) {}
    /// See `MetricsFactory`.
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    /// See `MetricsFactory`.
    public func destroyTimer(_ handler: any TimerHandler) {}

    private func handler(_ label: String, _ dimensions: [(String, String)], _ kind: Kind) -> Handler {
        let name = "library." + Self.cleaned(label)
        var labels: [MetricLabel] = []
        for (dimension, value) in dimensions.prefix(16) {
            let label = MetricLabel(Self.cleaned(dimension), String(value.prefix(LabelCap.maxBytes)))
            // Two of one name, or one of a histogram's own, would make a page that no scraper takes.
            let shown = MetricName.underscored(label.name)
            guard shown != "le", !labels.contains(where: { MetricName.underscored($0.name) == shown }) else { continue }
            labels.append(label)
        }
        let key = Key(name: name, kind: kind, labels: labels)
        return state.withLock { state in
            if let handler = state.handlers[key] { return handler }
            guard state.handlers.count < Self.maxSeries else { return Handler() }
            let names = Self.names(MetricName.underscored(name), kind)
            for shown in names {
                if let known = state.names[shown], known != (name, kind) { return Handler() }
            }
            for shown in names { state.names[shown] = (name, kind) }
            let made = makeHandler(name, labels, kind)
            state.handlers[key] = made
            return made
        }
    }

    /// What a page has of a metric: its family's name, and those of its samples.
    private static func names(_ shown: String, _ kind: Kind) -> [String] {
        switch kind {
        case .counter: [shown, shown + "_total"]
        case .gauge: [shown]
        case .values: [shown] + ["_bucket", "_sum", "_count"].map { shown + $0 }
        case .durations: [shown] + ["", "_bucket", "_sum", "_count"].map { shown + "_seconds" + $0 }
        }
    }

    private func makeHandler(_ name: String, _ labels: [MetricLabel], _ kind: Kind) -> Handler {
        let help = "counted by a library"
        return switch kind {
        case .counter: Handler(counter: registry.counter(name, help: help, labels: labels))
        case .gauge: Handler(gauge: registry.gauge(name, help: help, labels: labels))
        case .durations:
            Handler(histogram: registry.histogram(name, unit: .nanoseconds, help: help, labels: labels))
        case .values: Handler(histogram: registry.histogram(name, unit: .none, help: help, labels: labels))
        }
    }

    private static func cleaned(_ text: String) -> String {
        let kept = text.utf8.prefix(LabelCap.maxBytes).map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."):
                byte
            default: UInt8(ascii: "_")
            }
        }
        let name = String(decoding: kept, as: UTF8.self)
        return MetricName.isValid(name) ? name : "_" + name
    }
}

/// One series of a library's; counts nowhere when it has no cell.
private final class Handler: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    private let counter: Counter?
    private let gauge: Gauge?
    private let histogram: Histogram?

    init(counter: Counter? = nil, gauge: Gauge? = nil, histogram: Histogram? = nil) {
        self.counter = counter
        self.gauge = gauge
        self.histogram = histogram
    }

    func increment(by amount: Int64) { counter?.add(UInt64(max(amount, 0))) }
    func reset() {}  // a counter of ours only grows, which is what both ways out want of one
    func set(_ value: Int64) { gauge?.set(value) }
    func set(_ value: Double) { gauge?.set(Self.whole(value)) }
    func increment(by amount: Double) { gauge?.add(Self.whole(amount)) }
    func decrement(by amount: Double) { gauge?.add(-max(Self.whole(amount), -.max)) }

    func record(_ value: Int64) {
        gauge?.set(value)
        histogram?.record(UInt64(max(value, 0)))
    }

    func record(_ value: Double) { record(Self.whole(value)) }
    func recordNanoseconds(_ duration: Int64) { histogram?.record(nanoseconds: duration) }

    private static func whole(_ value: Double) -> Int64 { Int64(exactly: value.rounded()) ?? (value > 0 ? .max : 0) }
}
