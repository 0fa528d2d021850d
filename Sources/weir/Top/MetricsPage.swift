// What `weir top` reads of a node's `/metrics`: a page of Prometheus's text as numbers by name and labels.

/// A page of `/metrics`.
struct MetricsPage: Sendable {
    /// A line of it.
    struct Sample: Equatable, Sendable {
        let labels: [String: String]
        let value: Double
    }

    private var samples: [String: [Sample]] = [:]

    /// Reads a page; lines that are none are passed over, since another version of a node may have them.
    init(_ text: String) {
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]),
                value.isFinite
            else { continue }
            let series = line[..<space]
            guard let brace = series.firstIndex(of: "{"), series.hasSuffix("}") else {
                samples[String(series), default: []].append(Sample(labels: [:], value: value))
                continue
            }
            let labels = Self.labels(series[series.index(after: brace)...].dropLast())
            samples[String(series[..<brace]), default: []].append(Sample(labels: labels, value: value))
        }
    }

    /// All series of a name.
    subscript(name: String) -> [Sample] { samples[name] ?? [] }

    /// The sum of a name's series whose label is one of these; of all of them without a label.
    func sum(_ name: String, where label: String? = nil, in values: Set<String> = []) -> Double {
        self[name].filter { sample in label.map { sample.labels[$0].map(values.contains) ?? false } ?? true }
            .reduce(0) { $0 + $1.value }
    }

    /// The counts of a histogram's buckets by their upper bounds, over all its series.
    func buckets(_ name: String) -> [Double: Double] {
        var buckets: [Double: Double] = [:]
        for sample in self[name + "_bucket"] {
            guard let text = sample.labels["le"] else { continue }
            buckets[text == "+Inf" ? .infinity : Double(text) ?? .infinity, default: 0] += sample.value
        }
        return buckets
    }

    private static func labels(_ text: Substring) -> [String: String] {
        var labels: [String: String] = [:]
        var rest = text
        while let equals = rest.firstIndex(of: "=") {
            let name = rest[..<equals].drop { $0 == "," || $0 == " " }
            var value = ""
            var isEscaped = false
            var end = rest.index(after: equals)
            guard end < rest.endIndex, rest[end] == "\"" else { break }
            end = rest.index(after: end)
            while end < rest.endIndex, isEscaped || rest[end] != "\"" {
                if isEscaped {
                    value.append(rest[end] == "n" ? "\n" : rest[end])
                    isEscaped = false
                } else if rest[end] == "\\" {
                    isEscaped = true
                } else {
                    value.append(rest[end])
                }
                end = rest.index(after: end)
            }
            guard end < rest.endIndex else { break }
            labels[String(name)] = value
            rest = rest[rest.index(after: end)...]
        }
        return labels
    }
}
