// `/metrics`: the figures as text for Prometheus, in its own format and in OpenMetrics.

/// The text formats of `/metrics`.
public enum ExpositionFormat: Sendable {
    /// Prometheus's text format, version 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.0, which has units and exemplars.
    case openMetrics

    /// The value of `content-type`.
    public var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The format that a scraper asks for: OpenMetrics when it names that and gives it a weight above 0.
    ///
    /// - Parameter accept: the `accept` header; nil for none.
    /// - Returns: Prometheus's own format for everything that is not understood.
    public static func negotiated(accept: String?) -> ExpositionFormat {
        for part in (accept ?? "").split(separator: ",", maxSplits: 31) {
            let fields = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard fields.first == "application/openmetrics-text" else { continue }
            let weight = fields.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            let version = fields.dropFirst().first { $0.hasPrefix("version=") }?.dropFirst(8)
            if weight > 0, version == nil || version == "1.0.0" { return .openMetrics }
        }
        return .prometheus
    }
}

extension MetricRegistry {
    /// The figures as text: families sorted by Prometheus's names, series by their labels.
    public func render(_ format: ExpositionFormat = .prometheus) -> [UInt8] {
        var text = ExpositionText(format)
        for family in collect().sorted(by: { $0.prometheusName < $1.prometheusName }) { text.append(family) }
        return text.finished()
    }
}

/// A page as it grows.
private struct ExpositionText {
    private let format: ExpositionFormat
    private var text = ""

    init(_ format: ExpositionFormat) { self.format = format }

    consuming func finished() -> [UInt8] {
        if format == .openMetrics { text += "# EOF\n" }
        return Array(text.utf8)
    }

    mutating func append(_ family: MetricFamily) {
        let name = family.prometheusName
        let sample = family.kind == .counter ? name + "_total" : name
        // In the older format the `_total` is part of the family's name.
        let header = format == .openMetrics ? name : sample
        text += "# HELP \(header) \(Self.escaped(family.help, quotes: format == .openMetrics))\n"
        text += "# TYPE \(header) \(Self.type(family.kind))\n"
        if format == .openMetrics, let unit = family.unit.suffix { text += "# UNIT \(header) \(unit)\n" }
        for series in family.series {
            let labels = series.labels.map { label in
                "\(MetricName.underscored(label.name))=\"\(Self.escaped(label.value, quotes: true))\""
            }
            switch series.value {
            case .counter(let count): line(sample, labels, Self.number(Double(count), count, family.unit))
            case .gauge(let level): line(sample, labels, Self.number(Double(level), level, family.unit))
            case .histogram(let spread): append(spread, name, labels, family.unit)
            }
        }
    }

    /// Prometheus knows no difference between a level and a number of things.
    private static func type(_ kind: MetricFamily.Kind) -> String {
        kind == .upDownCounter ? MetricFamily.Kind.gauge.rawValue : kind.rawValue
    }

    private mutating func append(_ spread: HistogramSnapshot, _ name: String, _ labels: [String], _ unit: MetricUnit) {
        let octaves = unit.shownOctaves
        let prefix = name + "_bucket{" + labels.map { $0 + "," }.joined() + "le=\""
        var last = Int.min
        for (octave, count) in zip(octaves, spread.counts(upToOctaves: octaves)) {
            let example = self.example(of: spread) { $0 > last && $0 <= octave }
            bucket(prefix, "\(unit.bound(ofOctave: octave))", count, example, unit)
            last = octave
        }
        let count = spread.count
        bucket(prefix, "+Inf", count, example(of: spread) { $0 > last }, unit)
        line(name + "_sum", labels, "\(Double(spread.sum) * unit.scale)")
        line(name + "_count", labels, "\(count)")
    }

    /// The latest example of the octaves that a bucket holds.
    private func example(of spread: HistogramSnapshot, _ holds: (Int) -> Bool) -> Exemplar? {
        guard format == .openMetrics, !spread.exemplars.isEmpty else { return nil }
        return spread.exemplars.filter { holds($0.key) }.values.max { $0.unixNanoseconds < $1.unixNanoseconds }
    }

    private mutating func bucket(
        _ prefix: String,
        _ bound: String,
        _ count: UInt64,
        _ example: Exemplar?,
        _ unit: MetricUnit
    ) {
        text += prefix
        text += bound
        text += "\"} \(count)"
        if let example {
            let id = "trace_id=\"\(example.context.traceID)\",span_id=\"\(example.context.spanID)\""
            let time = Double(example.unixNanoseconds / 1_000_000) / 1_000
            text += " # {\(id)} \(Double(example.value) * unit.scale) \(time)"
        }
        text += "\n"
    }

    private mutating func line(_ name: String, _ labels: [String], _ value: String) {
        text += name
        if !labels.isEmpty { text += "{" + labels.joined(separator: ",") + "}" }
        text += " \(value)\n"
    }

    private static func number(_ value: Double, _ whole: some BinaryInteger, _ unit: MetricUnit) -> String {
        unit.scale == 1 ? "\(whole)" : "\(value * unit.scale)"
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

extension MetricUnit {
    /// The end of a doubling, in the unit that is shown.
    fileprivate func bound(ofOctave octave: Int) -> Double {
        let shift = self == .nanoseconds ? ExponentialBuckets.durationOctaves : 0
        return Double(sign: .plus, exponent: octave - shift, significand: 1)
    }

    /// The doublings whose ends are shown as buckets: the same for every series, so that rates of buckets add up.
    fileprivate var shownOctaves: [Int] {
        switch self {
        case .nanoseconds: Array(12...41)  // 4 microseconds to 34 minutes
        case .seconds: Array(0...16)
        case .bytes: Array(stride(from: 6, through: 28, by: 2))  // 64 B to 256 MiB
        case .none, .count: Array(0...21)  // to 2 million, two contexts of the largest models
        }
    }
}
