// The figures of a process at one moment, for whoever shows them: `/metrics` and OTLP see the same.

/// All series of one metric.
public struct MetricFamily: Sendable {
    /// What a metric's figures mean over time.
    public enum Kind: String, Sendable {
        /// Only grows.
        case counter
        /// A level, of which sums over series may mean nothing.
        case gauge
        /// How many there are now: goes up and down, and adds up over series and processes.
        case upDownCounter
        /// A spread.
        case histogram
    }

    /// The figure of one series.
    public enum Value: Sendable {
        /// Since the process started.
        case counter(UInt64)
        /// Now.
        case gauge(Int64)
        /// Since the process started.
        case histogram(HistogramSnapshot)
    }

    /// One series.
    public struct Series: Sendable {
        /// In the order in which they were given.
        public let labels: [MetricLabel]
        /// The sum of its cells.
        public let value: Value
    }

    /// OpenTelemetry's name.
    public let name: String
    /// What it counts in.
    public let unit: MetricUnit
    /// One line.
    public let help: String
    /// Of all its series.
    public let kind: Kind
    /// Sorted by their labels.
    public let series: [Series]

    /// The name on `/metrics`, without the `_total` of a counter.
    public var prometheusName: String { MetricName.prometheus(name, unit: unit) }
}
