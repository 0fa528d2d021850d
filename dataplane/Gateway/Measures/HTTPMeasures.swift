// What a worker measures of every answer it gives, policed or not: OpenTelemetry's HTTP server metrics.

import LLMWire
import NIOHTTP1
import Telemetry

/// A path as metrics know it: a template, never what a client sent.
enum HTTPRoute: Equatable {
    case call(Endpoint)
    case models
    /// Probes and metrics, which are not measured.
    case probe
    /// No path of ours.
    case unknown

    /// OpenTelemetry's `http.route`; nil for what has none.
    var template: String? {
        switch self {
        case .call(let endpoint): "\(endpoint.path)"
        case .models: "/v1/models"
        case .probe, .unknown: nil
        }
    }

    fileprivate var code: UInt32 {
        switch self {
        case .call(let endpoint): UInt32(endpoint.rawValue)
        case .models: 100
        case .probe: 101
        case .unknown: 102
        }
    }
}

/// How clients reach this node: OpenTelemetry's `url.scheme`.
enum URLScheme: String {
    case http
    case https

    var label: MetricLabel { MetricLabel("url.scheme", rawValue) }
}

/// A method as metrics know it.
private enum KnownMethod: UInt32, CaseIterable {
    case get, head, post
    /// What the conventions call all others.
    case other

    init(_ method: HTTPMethod) {
        switch method {
        case .GET: self = .get
        case .HEAD: self = .head
        case .POST: self = .post
        default: self = .other
        }
    }

    var label: MetricLabel {
        let name =
            switch self {
            case .get: "GET"
            case .head: "HEAD"
            case .post: "POST"
            case .other: "_OTHER"
            }
        return MetricLabel("http.request.method", name)
    }
}

/// One request on its connection, as far as it is known.
struct HTTPExchangeMeasure {
    /// When its head was there; 0 while there is none, or nothing is measured.
    var start: UInt64 = 0
    var method = HTTPMethod.GET
    var route = HTTPRoute.unknown
    var status = 0
    var requestBytes = 0
    var responseBytes = 0

    /// How an answer can end badly.
    enum Trouble: String {
        /// The client left before it was whole.
        case clientGone = "client_gone"
        /// It was cut.
        case interrupted
    }
}

/// A worker's cells; confined to its loop.
final class HTTPMeasures {
    /// Combinations of method, route, status and error that get a series of their own.
    private static let maxSeries = 256

    private struct Sizes {
        let request: Histogram
        let response: Histogram
    }

    private let active: [Gauge]
    private let registry: MetricRegistry
    private let scheme: URLScheme
    private var durations: [UInt32: Histogram] = [:]
    private var sizes: [UInt32: Sizes] = [:]

    init(_ registry: MetricRegistry, _ scheme: URLScheme) {
        self.registry = registry
        self.scheme = scheme
        active = KnownMethod.allCases.map { method in
            registry.upDownCounter(
                "http.server.active_requests",
                unit: .count("{request}"),
                help: "requests that are not answered yet",
                labels: [method.label, scheme.label]
            )
        }
    }

    /// A request is there that will be recorded when it is over.
    func began(_ measure: HTTPExchangeMeasure) { active[Int(KnownMethod(measure.method).rawValue)].add(1) }

    /// Counts an answer that is over.
    func record(
        _ measure: HTTPExchangeMeasure,
        end: UInt64,
        trouble: HTTPExchangeMeasure.Trouble?,
        exemplar: TraceContext?
    ) {
        active[Int(KnownMethod(measure.method).rawValue)].add(-1)
        let elapsed = end > measure.start ? end - measure.start : 0
        duration(measure, trouble).record(elapsed, exemplar: exemplar)
        let sizes = sizes(measure)
        sizes.request.record(UInt64(measure.requestBytes))
        sizes.response.record(UInt64(measure.responseBytes))
    }

    private func duration(_ measure: HTTPExchangeMeasure, _ trouble: HTTPExchangeMeasure.Trouble?) -> Histogram {
        let method = KnownMethod(measure.method)
        let troubleCode: UInt32 =
            switch trouble {
            case nil: 0
            case .clientGone: 1
            case .interrupted: 2
            }
        let key = measure.route.code << 24 | method.rawValue << 20 | troubleCode << 16 | UInt32(measure.status & 0xFFFF)
        if let cell = durations[key] { return cell }
        // A provider may answer any number; whoever makes it answer all of them gets one series for the rest.
        let isKept = durations.count < Self.maxSeries
        if !isKept, let cell = durations[.max] { return cell }
        var labels = [isKept ? method.label : MetricLabel("http.request.method", LabelCap.other), scheme.label]
        if let template = measure.route.template, isKept { labels.append(MetricLabel("http.route", template)) }
        // A client that left before the answer was told none.
        if measure.status > 0 || !isKept {
            labels.append(MetricLabel("http.response.status_code", isKept ? "\(measure.status)" : LabelCap.other))
        }
        let error = trouble?.rawValue ?? (measure.status >= 500 ? "\(measure.status)" : nil)
        if let error, isKept { labels.append(MetricLabel("error.type", error)) }
        let cell = registry.histogram(
            "http.server.request.duration",
            unit: .nanoseconds,
            help: "from a request's head to the end of its answer",
            labels: labels
        )
        durations[isKept ? key : .max] = cell
        return cell
    }

    private func sizes(_ measure: HTTPExchangeMeasure) -> Sizes {
        let method = KnownMethod(measure.method)
        let key = measure.route.code << 2 | method.rawValue
        if let cells = sizes[key] { return cells }
        var labels = [method.label, scheme.label]
        if let template = measure.route.template { labels.append(MetricLabel("http.route", template)) }
        let cells = Sizes(
            request: registry.histogram(
                "http.server.request.body.size",
                unit: .bytes,
                help: "bytes of requests' bodies",
                labels: labels
            ),
            response: registry.histogram(
                "http.server.response.body.size",
                unit: .bytes,
                help: "bytes of answers' bodies",
                labels: labels
            )
        )
        sizes[key] = cells
        return cells
    }
}
