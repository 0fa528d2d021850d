// The table of operations and how a path finds its row: exact bytes, segment by segment; nothing is normalised.

/// Who may call an operation.
enum Access: Sendable {
    /// Anyone: health and readiness.
    case open
    /// The admin token.
    case admin
    /// The fleet token: gateway nodes.
    case fleet
}

/// Which body an operation takes.
enum BodyKind: Equatable, Sendable {
    case none
    case json
    /// Raw bytes, at most so many.
    case bytes(max: Int)

    /// Most bytes that are read.
    var maxBytes: Int {
        switch self {
        case .none: 0
        case .json: 1 << 20
        case .bytes(let max): max
        }
    }
}

/// One operation.
struct Route: Sendable {
    typealias Handler = @Sendable (Call) async throws -> Answer

    let method: String
    /// `/v1/apps/{id}/keys`: the same text as in schemas/openapi.yaml.
    let template: String
    let access: Access
    let body: BodyKind
    let handler: Handler

    init(
        _ method: String,
        _ template: String,
        access: Access = .admin,
        body: BodyKind = .none,
        _ handler: @escaping Handler
    ) {
        self.method = method
        self.template = template
        self.access = access
        self.body = body
        self.handler = handler
    }
}

/// All operations; finds one by path and method.
struct RouteTable: Sendable {
    /// What a path and method lead to.
    enum Match: Sendable {
        case route(Route, parameters: [String: String])
        /// The path exists, the method does not.
        case wrongMethod(allowed: [String], access: Access)
        case none

        /// Whether it is a probe or a scrape, which come all the time and say nothing.
        var isProbe: Bool { if case .route(let route, _) = self { route.access == .open } else { false } }
    }

    let routes: [Route]
    private let byCount: [Int: [(segments: [Substring], route: Route)]]

    init(_ routes: [Route]) {
        self.routes = routes
        var byCount: [Int: [(segments: [Substring], route: Route)]] = [:]
        for route in routes {
            let segments = Self.segments(route.template[...])
            byCount[segments.count, default: []].append((segments, route))
        }
        self.byCount = byCount
    }

    private static func segments(_ path: Substring) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }

    /// Linear in the few templates of as many segments; a literal segment wins over a placeholder.
    func match(method: String, path: Substring) -> Match {
        let segments = Self.segments(path)
        var allowed: [String] = []
        var access = Access.open
        var best: (Route, [String: String])?
        for (template, route) in byCount[segments.count] ?? [] {
            guard let parameters = Self.parameters(of: segments, in: template) else { continue }
            allowed.append(route.method)
            access = route.access
            let isBetter = best.map { parameters.count < $0.1.count } ?? true
            if route.method == method, isBetter { best = (route, parameters) }
        }
        if let best { return .route(best.0, parameters: best.1) }
        return allowed.isEmpty ? .none : .wrongMethod(allowed: allowed.sorted(), access: access)
    }

    private static func parameters(of segments: [Substring], in template: [Substring]) -> [String: String]? {
        var parameters: [String: String] = [:]
        for (segment, pattern) in zip(segments, template) {
            if pattern.hasPrefix("{") {
                guard !segment.isEmpty, let value = percentDecoded(segment) else { return nil }
                parameters[String(pattern.dropFirst().dropLast())] = value
            } else if !segment.utf8.elementsEqual(pattern.utf8) {
                return nil
            }
        }
        return parameters
    }
}
