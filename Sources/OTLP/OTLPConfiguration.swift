// What the environment says of telemetry, in OpenTelemetry's own variables, so that whoever runs other services with it
// knows how to run this one. A value that makes no sense is told and replaced by its default, as the specification has
// it: a typing error in telemetry is no reason not to serve.

public import Reactor
public import Secrets
public import Telemetry

/// Where telemetry goes, and how.
public struct OTLPConfiguration: Sendable {
    /// Where one kind of telemetry goes.
    public struct Destination: Sendable {
        /// The whole URL.
        public var url: String
        /// Lines `name: value` that go with every request; they may hold the collector's credentials.
        public var headers: Redacted<[String]>
        /// The longest that one request may take.
        public var timeout: Duration
        /// Whether requests are compressed.
        public var usesGzip: Bool
        /// A PEM file of the authorities to trust in place of the system's.
        public var caFile: String?
        /// Who this program is to the collector; nil for nobody.
        public var clientIdentity: ClientIdentity?
    }

    /// `OTEL_SDK_DISABLED`: nothing is exported, and requests are neither timed nor traced.
    public let isDisabled: Bool
    /// Where spans go; nil for nowhere.
    public let traces: Destination?
    /// Where metrics go; nil for nowhere.
    public let metrics: Destination?
    /// Which traces are recorded.
    public let sampler: Sampler
    /// How long between two exports of all metrics.
    public let metricInterval: Duration
    /// How long a span waits for others.
    public let spanDelay: Duration
    /// The most spans that wait, and the most of one request.
    public let maxQueuedSpans: Int, maxSpansPerRequest: Int
    /// What tells this process from others; sorted by name.
    public let resource: [(name: String, value: String)]
    /// `OTEL_SEMCONV_STABILITY_OPT_IN`: names of conventions that are to be followed in their newer form.
    public let conventions: Set<String>
    /// What was wrong with the environment, for the log: names of variables and what was done, never their values.
    public let problems: [String]

    /// Reads the environment.
    ///
    /// - Parameters:
    ///   - environment: the process's variables; empty ones count as not there.
    ///   - service: the name of the service when the environment has none.
    ///   - attributes: what else is known of this process; the environment's own win.
    public init(environment: [String: String], service: String, attributes: [(String, String)] = []) {
        var reader = EnvironmentReader(environment)
        isDisabled = reader.isTrue("OTEL_SDK_DISABLED")
        let protocols =
            ["OTEL_EXPORTER_OTLP_PROTOCOL"] + ["TRACES", "METRICS"].map { "OTEL_EXPORTER_OTLP_\($0)_PROTOCOL" }
        for name in protocols {
            if let value = reader.text(name), value != "http/protobuf" {
                reader.note(name, "only http/protobuf is spoken, which is what is used")
            }
        }
        let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
        if let value = reader.text(temporality), value.lowercased() != "cumulative" {
            reader.note(temporality, "only cumulative is exported, which is what is used")
        }
        traces = isDisabled ? nil : Self.destination("TRACES", path: "v1/traces", &reader)
        metrics = isDisabled ? nil : Self.destination("METRICS", path: "v1/metrics", &reader)
        let (name, argument) = (reader.text("OTEL_TRACES_SAMPLER"), reader.text("OTEL_TRACES_SAMPLER_ARG"))
        if let sampler = Sampler(name: name, argument: argument) {
            self.sampler = sampler
            if let argument, Double(argument).map({ (0...1).contains($0) }) != true {
                reader.note("OTEL_TRACES_SAMPLER_ARG", "not a share of 0 to 1; 1 is used")
            }
        } else {
            sampler = .standard
            reader.note("OTEL_TRACES_SAMPLER", "there is no such sampler; parentbased_traceidratio of 0.01 is used")
        }
        metricInterval = reader.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", default: 60_000, in: 100...3_600_000)
        spanDelay = reader.milliseconds("OTEL_BSP_SCHEDULE_DELAY", default: 5_000, in: 10...3_600_000)
        maxQueuedSpans = reader.number("OTEL_BSP_MAX_QUEUE_SIZE", default: 2_048, in: 1...100_000)
        let maxSpans = reader.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default: 512, in: 1...100_000)
        // A request's worth that can never wait would never be sent before its time.
        if maxSpans > maxQueuedSpans {
            reader.note("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "more than OTEL_BSP_MAX_QUEUE_SIZE, which is used for both")
        }
        maxSpansPerRequest = min(maxSpans, maxQueuedSpans)
        conventions = Set(
            (reader.text("OTEL_SEMCONV_STABILITY_OPT_IN") ?? "").split(separator: ",", maxSplits: 31).map { name in
                String(name.filter { $0 != " " })
            }
        )
        var known = Dictionary(attributes) { $1 }
        for (name, value) in reader.pairs("OTEL_RESOURCE_ATTRIBUTES") { known[name] = value }
        known["service.name"] = reader.text("OTEL_SERVICE_NAME") ?? known["service.name"] ?? service
        known["telemetry.sdk.name"] = "weir"
        known["telemetry.sdk.language"] = "swift"
        known["telemetry.sdk.version"] = BuildVersion.current
        resource = known.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        problems = reader.problems
    }

    private static func destination(_ signal: String, path: String, _ reader: inout EnvironmentReader) -> Destination? {
        let exporter = reader.text("OTEL_\(signal)_EXPORTER")
        // Prometheus fetches metrics by itself.
        if exporter == "none" || (exporter == "prometheus" && signal == "METRICS") { return nil }
        if let exporter, exporter != "otlp" {
            reader.note("OTEL_\(signal)_EXPORTER", "only otlp and none are known; otlp is used")
        }
        func either<Value>(_ name: String, _ read: (String) -> Value?) -> Value? {
            read("OTEL_EXPORTER_OTLP_\(signal)_\(name)") ?? read("OTEL_EXPORTER_OTLP_\(name)")
        }
        // A signal's own endpoint is used as it is; the common one is the root of both.
        let url: String
        if let own = reader.text("OTEL_EXPORTER_OTLP_\(signal)_ENDPOINT") {
            url = own
        } else if let root = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT") {
            url = root + (root.hasSuffix("/") ? "" : "/") + path
        } else if exporter == "otlp" {
            // Asked for by name: then the specification's default is meant, an agent beside the program.
            url = "http://localhost:4318/\(path)"
        } else {
            return nil
        }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            reader.note(
                "OTEL_EXPORTER_OTLP_\(signal)_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT",
                "no http or https URL; nothing is exported"
            )
            return nil
        }
        let headers = either("HEADERS") { name in
            reader.text(name) == nil ? nil : reader.pairs(name).map { "\($0.name): \($0.value)" }
        }
        let compression = either("COMPRESSION") { reader.text($0) }
        if let compression, compression != "gzip", compression != "none" {
            reader.note("OTEL_EXPORTER_OTLP_COMPRESSION", "only gzip and none are known; none is used")
        }
        let certificate = either("CLIENT_CERTIFICATE") { reader.text($0) }
        let key = either("CLIENT_KEY") { reader.text($0) }
        if (certificate == nil) != (key == nil) {
            reader.note(
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY",
                "one without the other; neither is used"
            )
        }
        return Destination(
            url: url,
            headers: Redacted(headers ?? []),
            timeout: either("TIMEOUT") { name in
                reader.text(name) == nil ? nil : reader.milliseconds(name, default: 10_000, in: 10...600_000)
            } ?? .seconds(10),
            usesGzip: compression == "gzip",
            caFile: either("CERTIFICATE") { reader.text($0) },
            clientIdentity: certificate.flatMap { certificate in
                key.map { ClientIdentity(certificateFile: certificate, keyFile: $0) }
            }
        )
    }
}

/// Reads variables and keeps what was wrong with them.
private struct EnvironmentReader {
    private static let maxValueBytes = 16 << 10
    private static let maxPairs = 128

    private let environment: [String: String]
    private(set) var problems: [String] = []

    init(_ environment: [String: String]) { self.environment = environment }

    /// Once for each: a common variable is read for every signal.
    mutating func note(_ name: String, _ problem: String) {
        let text = "\(name): \(problem)"
        if !problems.contains(text) { problems.append(text) }
    }

    mutating func text(_ name: String) -> String? {
        guard let value = environment[name], !value.isEmpty else { return nil }
        guard value.utf8.count <= Self.maxValueBytes, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            note(name, "too long, or not text; not used")
            return nil
        }
        return value
    }

    mutating func isTrue(_ name: String) -> Bool {
        guard let value = text(name)?.lowercased() else { return false }
        if value != "true", value != "false" { note(name, "neither true nor false; false is used") }
        return value == "true"
    }

    mutating func number(_ name: String, default standard: Int, in range: ClosedRange<Int>) -> Int {
        guard let value = text(name) else { return standard }
        guard let number = Int(value), range.contains(number) else {
            note(name, "not a number of \(range.lowerBound) to \(range.upperBound); \(standard) is used")
            return standard
        }
        return number
    }

    mutating func milliseconds(_ name: String, default standard: Int, in range: ClosedRange<Int>) -> Duration {
        .milliseconds(number(name, default: standard, in: range))
    }

    /// `name=value,name=value`, values percent-encoded; a list with a member that is neither is not used at all.
    mutating func pairs(_ name: String) -> [(name: String, value: String)] {
        guard let value = text(name) else { return [] }
        var pairs: [(name: String, value: String)] = []
        for member in value.split(separator: ",") {
            let parts = member.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = Self.trimmed(parts[0])
            guard parts.count == 2, !key.isEmpty, pairs.count < Self.maxPairs,
                let decoded = Self.percentDecoded(Self.trimmed(parts[1]))
            else {
                note(name, "not name=value,…; not used")
                return []
            }
            pairs.append((name: String(key), value: decoded))
        }
        return pairs
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " }
        return start.lastIndex { $0 != " " }.map { start[...$0] } ?? ""
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let digits = String(rest.prefix(2)), digits.utf8.count == 2, digits.first != "+",
                let value = UInt8(digits, radix: 16), value >= 0x20
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
