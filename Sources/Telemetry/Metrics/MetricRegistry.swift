// What a process counts. Workers ask for cells at their start and add to them alone; a reader sums the cells of a series.
// Label values come from configuration or are capped (LabelCap), so the number of series is bounded by what an admin
// made; hard bounds stand behind that.

private import Synchronization

/// The metrics of one process.
///
/// Registration and reading take a lock, counting never does.
public final class MetricRegistry: Sendable {
    /// How many series a process may have; cells of further ones count but are not shown.
    public static let maxSeries = 4_096

    private enum Cell: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case observation(@Sendable () -> Int64)
    }

    private struct Family: Sendable {
        let help: String
        let unit: MetricUnit
        let kind: MetricFamily.Kind
        var series: [[MetricLabel]: [Cell]] = [:]
    }

    private struct State: Sendable {
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
    ///   - name: OpenTelemetry's name, without `total`.
    ///   - unit: what is counted; of all cells the same.
    ///   - help: one line for the reader; the first one given for a name stays.
    ///   - labels: the series, in an order that all cells of it keep.
    /// - Returns: a cell that starts at 0.
    public func counter(
        _ name: String,
        unit: MetricUnit = .none,
        help: String,
        labels: [MetricLabel] = []
    ) -> Counter {
        let cell = Counter()
        register(.counter(cell), name, .counter, unit, help, labels)
        return cell
    }

    /// Gives a new cell of a number of things that come and go: what adds up over workers and nodes.
    public func upDownCounter(
        _ name: String,
        unit: MetricUnit = .none,
        help: String,
        labels: [MetricLabel] = []
    ) -> Gauge {
        let cell = Gauge()
        register(.gauge(cell), name, .upDownCounter, unit, help, labels)
        return cell
    }

    /// Gives a new cell of a gauge; the cells of one series are summed, like those of a counter.
    public func gauge(_ name: String, unit: MetricUnit = .none, help: String, labels: [MetricLabel] = []) -> Gauge {
        let cell = Gauge()
        register(.gauge(cell), name, .gauge, unit, help, labels)
        return cell
    }

    /// Gives a new cell of a histogram.
    ///
    /// - Parameters:
    ///   - name: OpenTelemetry's name.
    ///   - unit: what figures are recorded in; durations in `.nanoseconds`.
    ///   - help: one line for the reader.
    ///   - labels: the series.
    /// - Returns: an empty cell.
    public func histogram(_ name: String, unit: MetricUnit, help: String, labels: [MetricLabel] = []) -> Histogram {
        let cell = Histogram(unit)
        register(.histogram(cell), name, .histogram, unit, help, labels)
        return cell
    }

    /// Shows as a gauge what `observe` returns each time the metrics are read.
    ///
    /// - Parameters:
    ///   - name: OpenTelemetry's name.
    ///   - unit: what is counted.
    ///   - help: one line for the reader.
    ///   - labels: the series.
    ///   - observe: cheap, from any thread; must not call this registry.
    public func observe(
        _ name: String,
        unit: MetricUnit = .none,
        help: String,
        labels: [MetricLabel] = [],
        _ observe: @escaping @Sendable () -> Int64
    ) {
        register(.observation(observe), name, .gauge, unit, help, labels)
    }

    /// Shows as a counter what `observe` returns, for figures that are counted elsewhere and only grow.
    public func observeTotal(
        _ name: String,
        unit: MetricUnit = .none,
        help: String,
        labels: [MetricLabel] = [],
        _ observe: @escaping @Sendable () -> Int64
    ) {
        register(.observation(observe), name, .counter, unit, help, labels)
    }

    /// All families and their series, sorted by name and labels.
    public func collect() -> [MetricFamily] {
        let (families, refusedSeries) = state.withLock { ($0.families, $0.refusedSeries) }
        var collected = families.map { name, family in
            MetricFamily(
                name: name,
                unit: family.unit,
                help: family.help,
                kind: family.kind,
                series: family.series.sorted { Self.precede($0.key, $1.key) }.map { labels, cells in
                    MetricFamily.Series(labels: labels, value: Self.sum(cells, family))
                }
            )
        }
        if refusedSeries > 0 {
            collected.append(
                MetricFamily(
                    name: "weir.metrics.refused_series",
                    unit: .none,
                    help: "cells past the bound on series",
                    kind: .counter,
                    series: [MetricFamily.Series(labels: [], value: .counter(refusedSeries))]
                )
            )
        }
        return collected.sorted { $0.name < $1.name }
    }

    private static func precede(_ one: [MetricLabel], _ other: [MetricLabel]) -> Bool {
        one.lexicographicallyPrecedes(other) { ($0.name, $0.value) < ($1.name, $1.value) }
    }

    private static func sum(_ cells: [Cell], _ family: Family) -> MetricFamily.Value {
        var bits: UInt64 = 0  // two's complement for gauges, so that sums wrap right for both
        var spread = HistogramSnapshot(family.unit)
        for cell in cells {
            switch cell {
            case .counter(let counter): bits &+= counter.value
            case .gauge(let gauge): bits &+= UInt64(bitPattern: gauge.value)
            case .observation(let observe): bits &+= UInt64(bitPattern: observe())
            case .histogram(let histogram): histogram.add(to: &spread)
            }
        }
        return switch family.kind {
        case .counter: .counter(bits)
        case .gauge, .upDownCounter: .gauge(Int64(bitPattern: bits))
        case .histogram: .histogram(spread)
        }
    }

    private func register(
        _ cell: Cell,
        _ name: String,
        _ kind: MetricFamily.Kind,
        _ unit: MetricUnit,
        _ help: String,
        _ labels: [MetricLabel]
    ) {
        precondition(MetricName.isValid(name), "not a metric name")
        precondition(labels.allSatisfy { MetricName.isValid($0.name) }, "not a label name")
        state.withLock { state in
            var family = state.families[name] ?? Family(help: help, unit: unit, kind: kind)
            precondition(family.kind == kind && family.unit == unit, "one name, one kind, one unit")
            if family.series[labels] == nil {
                guard state.seriesCount < Self.maxSeries else {
                    state.refusedSeries += 1
                    return
                }
                state.seriesCount += 1
            }
            family.series[labels, default: []].append(cell)
            state.families[name] = family
        }
    }
}
