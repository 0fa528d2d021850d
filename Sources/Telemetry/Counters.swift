// What a process counts, and how `/metrics` shows it: the Prometheus text format over plain atomics.
// Label values come from configuration only, never from a client, so the number of series is bounded by what an
// admin made; a hard bound stands behind that.

private import Synchronization

/// A name and a value that tell one series of a metric from another.
public struct MetricLabel: Hashable, Sendable {
    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    public let name: String
    /// Any text; escaped when it is rendered.
    public let value: String

    /// Makes a label.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The metrics of one process.
///
/// Each call for a series gives a cell of its own: every worker asks for its cells at start-up and adds to them
/// alone; rendering sums the cells of one series. Registration and rendering take a lock, counting never does.
public final class Counters: Sendable {
    /// How many series a process may have; cells of further ones count but are not shown.
    public static let maxSeries = 4_096

    private enum Kind: String {
        case counter
        case gauge
    }

    private enum Cell {
        case counter(Counter)
        case gauge(Gauge)
        case observation(@Sendable () -> Int64)

        /// Two's complement for gauges, so that sums wrap right for both.
        var bits: UInt64 {
            switch self {
            case .counter(let counter): counter.value
            case .gauge(let gauge): UInt64(bitPattern: gauge.value)
            case .observation(let observe): UInt64(bitPattern: observe())
            }
        }
    }

    private struct Family {
        let help: String
        let kind: Kind
        var series: [String: [Cell]] = [:]  // by the rendered labels
    }

    private struct State {
        var families: [String: Family] = [:]
        var seriesCount = 0
        var refusedSeries: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Makes an empty registry.
    public init() {}

    /// Gives a new cell of a counter.
    ///
    /// - Parameters:
    ///   - name: `[a-zA-Z_:][a-zA-Z0-9_:]*`, ending in `_total`.
    ///   - help: one line for the reader of `/metrics`; the first one given for a name stays.
    ///   - labels: the series, in an order that all cells of it keep.
    /// - Returns: a cell that starts at 0.
    public func counter(_ name: String, help: String, labels: [MetricLabel] = []) -> Counter {
        let cell = Counter()
        register(.counter(cell), name, .counter, help, labels)
        return cell
    }

    /// Gives a new cell of a gauge; the cells of one series are summed, like those of a counter.
    public func gauge(_ name: String, help: String, labels: [MetricLabel] = []) -> Gauge {
        let cell = Gauge()
        register(.gauge(cell), name, .gauge, help, labels)
        return cell
    }

    /// Shows as a gauge what `observe` returns each time the metrics are rendered.
    ///
    /// - Parameters:
    ///   - name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    ///   - help: one line for the reader of `/metrics`.
    ///   - labels: the series.
    ///   - observe: cheap, from any thread; must not call this registry.
    public func observe(
        _ name: String,
        help: String,
        labels: [MetricLabel] = [],
        _ observe: @escaping @Sendable () -> Int64
    ) {
        register(.observation(observe), name, .gauge, help, labels)
    }

    /// Shows as a counter what `observe` returns, for figures that are counted elsewhere and only grow.
    public func observeTotal(
        _ name: String,
        help: String,
        labels: [MetricLabel] = [],
        _ observe: @escaping @Sendable () -> Int64
    ) {
        register(.observation(observe), name, .counter, help, labels)
    }

    /// The Prometheus text format, version 0.0.4: families and series sorted.
    public func render() -> [UInt8] {
        let (families, refusedSeries) = state.withLock { ($0.families, $0.refusedSeries) }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(Self.escaped(family.help, quotes: false))\n"
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, cells) in family.series.sorted(by: { $0.key < $1.key }) {
                let sum = cells.reduce(UInt64(0)) { $0 &+ $1.bits }
                text += "\(name)\(labels) \(family.kind == .gauge ? String(Int64(bitPattern: sum)) : String(sum))\n"
            }
        }
        if refusedSeries > 0 {
            text += "# HELP weir_metrics_refused_series_total cells past the bound on series\n"
            text += "# TYPE weir_metrics_refused_series_total counter\n"
            text += "weir_metrics_refused_series_total \(refusedSeries)\n"
        }
        return Array(text.utf8)
    }

    private func register(_ cell: Cell, _ name: String, _ kind: Kind, _ help: String, _ labels: [MetricLabel]) {
        precondition(Self.isName(name, allowsColon: true), "not a metric name")
        precondition(labels.allSatisfy { Self.isName($0.name, allowsColon: false) }, "not a label name")
        let members = labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
        let series = members.isEmpty ? "" : "{" + members.joined(separator: ",") + "}"
        state.withLock { state in
            var family = state.families[name] ?? Family(help: help, kind: kind)
            precondition(family.kind == kind, "one name, one kind")
            if family.series[series] == nil {
                guard state.seriesCount < Self.maxSeries else {
                    state.refusedSeries += 1
                    return
                }
                state.seriesCount += 1
            }
            family.series[series, default: []].append(cell)
            state.families[name] = family
        }
    }

    private static func isName(_ text: String, allowsColon: Bool) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            case UInt8(ascii: ":"): allowsColon
            default: false
            }
        }
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// A number that only grows.
///
/// Padded to its own cache lines, so that workers with cells of one series do not slow each other.
public final class Counter: Sendable {
    private let padding: [14 of UInt64] = .init(repeating: 0)
    private let count = Atomic<UInt64>(0)

    fileprivate init() {}

    /// Costs one relaxed atomic add on a line that no other thread writes.
    public func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    /// What this cell counted.
    public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
    private let padding: [14 of UInt64] = .init(repeating: 0)
    private let level = Atomic<Int64>(0)

    fileprivate init() {}

    /// Sets this cell.
    public func set(_ value: Int64) { level.store(value, ordering: .relaxed) }

    /// Adds to this cell; negative amounts take away.
    public func add(_ amount: Int64) { level.wrappingAdd(amount, ordering: .relaxed) }

    /// What this cell stands at.
    public var value: Int64 { level.load(ordering: .relaxed) }
}
