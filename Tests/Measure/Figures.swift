// Percentiles and how figures are printed: one line each, so that two runs can be compared with diff.

/// Values of one thing, in one unit.
struct Distribution {
    private let sorted: [Double]

    init(_ values: some Sequence<Double>) { sorted = values.sorted() }

    init(latencies samples: some Sequence<Sample>) { self.init(samples.map { Double($0.latency) / 1e6 }) }

    var count: Int { sorted.count }

    /// The nearest-rank percentile; NaN of nothing.
    func percentile(_ share: Double) -> Double {
        guard !sorted.isEmpty else { return .nan }
        let rank = Int((share / 100 * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }

    /// p50, p99 and the greatest, in milliseconds.
    var text: String {
        "p50 \(rounded(percentile(50))) p99 \(rounded(percentile(99))) max \(rounded(percentile(100))) ms (n=\(count))"
    }
}

/// Two decimals.
func rounded(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    let hundredths = Int((value * 100).rounded())
    let fraction = abs(hundredths % 100)
    return "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}
