// From HTTP to a Call and back: matches the route, checks the token, bounds and reads the body, and turns every error
// into a problem. Everything a client can be told passes here.

import HTTPTypes
import Hummingbird
import Logging
import Postgres
import Secrets
import Telemetry

/// Answers every request of weir-control.
struct AdminResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    let table: RouteTable
    let adminToken: TokenDigest
    let fleetToken: TokenDigest
    let measures: ControlMeasures
    let accessLogger: Logger
    let logger: Logger

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        let requestID = Self.requestID(request)
        let start = ContinuousClock.now
        let startedAt = UnixTime.nanoseconds
        let place = measures.tracer.place(
            parent: HTTPField.Name("traceparent").flatMap { request.headers[$0] },
            state: HTTPField.Name("tracestate").flatMap { request.headers[$0] }
        )
        let method = request.method.rawValue
        let parts = (request.head.path ?? "/").split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let target = Target(path: parts[0], query: parts.count > 1 ? parts[1] : "")
        let match = table.match(method: method == "HEAD" ? "GET" : method, path: target.path)
        if !match.isProbe { measures.callDidBegin(ControlMeasures.known(method)) }
        let answer = await ControlTracer.$current.withValue(place?.context) {
            do {
                return try await self.answer(request, target, match, requestID: requestID)
            } catch {
                let problem = self.problem(error, requestID: requestID)
                var answer = Answer.json(
                    problem.json(requestID: requestID),
                    status: problem.status,
                    headers: problem.headers
                )
                answer.contentType = Problem.contentType
                return answer
            }
        }
        let took = ContinuousClock.now - start
        tell(request, match, answer, requestID: requestID, took: took, startedAt: startedAt, place)
        return Self.response(answer, requestID: requestID, isHead: request.method == .head)
    }

    /// Counts, traces and logs a call that is over.
    private func tell(
        _ request: Request,
        _ match: RouteTable.Match,
        _ answer: Answer,
        requestID: String,
        took: Duration,
        startedAt: UInt64,
        _ place: ControlTracer.Place?
    ) {
        let method = ControlMeasures.known(request.method.rawValue)
        let route: Route? = if case .route(let found, _) = match { found } else { nil }
        guard !match.isProbe else { return }
        let nanoseconds = UInt64(max(took / .nanoseconds(1), 0))
        // Who shows no token has no say in what is recorded.
        let isTrusted = answer.status != 401
        measures.callDidEnd(
            method,
            template: route?.template,
            status: answer.status,
            nanoseconds: nanoseconds,
            exemplar: isTrusted ? place?.context : nil
        )
        if let place {
            var attributes: [TraceSpan.Attribute] = [
                .init("http.request.method", .string(method)),
                .init("http.response.status_code", .int(Int64(answer.status))), .init("url.scheme", .string("http")),
                .init("weir.request_id", .string(requestID)),
            ]
            if let route { attributes.append(.init("http.route", .string(route.template))) }
            measures.tracer.record(
                place,
                isTrusted: isTrusted,
                name: route.map { "\(method) \($0.template)" } ?? method,
                start: startedAt,
                attributes: attributes,
                failure: answer.status >= 500 ? "\(answer.status)" : nil
            )
        }
        let isChange = method != "GET" && method != "HEAD" && route?.access != .fleet
        let level: Logger.Level = answer.status >= 500 ? .warning : isChange ? .info : .debug
        var fields: Logger.Metadata {
            var fields: Logger.Metadata = [
                "method": "\(method)", "route": "\(route?.template ?? "none")", "status": "\(answer.status)",
                "request_id": "\(requestID)", "actor": "\(route.map { "\($0.access)" } ?? "unknown")",
                "total_ms": .stringConvertible(Double(nanoseconds / 1_000) / 1_000),
            ]
            if let version = answer.headers["weir-version"] { fields["version"] = "\(version)" }
            if let place { fields["trace_id"] = "\(place.context.traceID)" }
            return fields
        }
        accessLogger.log(level: level, "call", metadata: fields)
    }

    /// A request's target, undecoded.
    private struct Target {
        let path: Substring
        let query: Substring
    }

    private func answer(
        _ request: Request,
        _ target: Target,
        _ match: RouteTable.Match,
        requestID: String
    ) async throws -> Answer {
        guard (request.head.path ?? "").utf8.count <= 8192 else { throw Problem.badRequest("The path is too long.") }
        switch match {
        case .none:
            // Without a token nothing is said about which paths exist.
            try authorize(target.path.hasPrefix("/internal/") ? .fleet : .admin, request)
            throw Problem.notFound
        case .wrongMethod(let allowed, let access):
            try authorize(access, request)
            throw Problem.methodNotAllowed(allowed)
        case .route(let route, let parameters):
            try authorize(route.access, request)
            let body = try await body(of: request, for: route)
            let call = Call(
                method: request.method.rawValue,
                path: String(target.path),
                parameters: parameters,
                query: try Query(target.query),
                headers: Self.headers(request),
                body: body,
                requestID: requestID,
                actor: "admin"
            )
            return try await route.handler(call)
        }
    }

    private func authorize(_ access: Access, _ request: Request) throws(Problem) {
        let expected: TokenDigest
        switch access {
        case .open: return
        case .admin: expected = adminToken
        case .fleet: expected = fleetToken
        }
        let values = request.headers[values: .authorization]
        guard values.count == 1, let value = values.first, value.utf8.count <= 4096 else { throw .unauthorized }
        let parts = value.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer", expected.matches(String(parts[1])) else {
            throw .unauthorized
        }
    }

    private func body(of request: Request, for route: Route) async throws -> [UInt8] {
        // What an operation does not read is not looked at; the server skips it.
        guard route.body != .none else { return [] }
        let limit = route.body.maxBytes
        if let text = request.headers[.contentLength], let length = Int(text), length > limit { throw Problem.tooLarge }
        let media = request.headers[.contentType]?.split(separator: ";").first?.lowercased()
        if route.body == .json, let media, media != "application/json" { throw Problem.unsupportedMediaType }
        guard request.headers[.contentEncoding] == nil else { throw Problem.unsupportedMediaType }
        var bytes: [UInt8] = []
        for try await part in request.body {
            guard bytes.count + part.readableBytes <= limit else { throw Problem.tooLarge }
            bytes.append(contentsOf: part.readableBytesView)
        }
        // A body must say that it is JSON; where none is needed, none needs a name.
        if route.body == .json, media == nil, !bytes.isEmpty { throw Problem.unsupportedMediaType }
        return bytes
    }

    private func problem(_ error: any Error, requestID: String) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as PostgresError:
            let problem = Problem(error)
            if problem.status >= 500 {
                logger.warning("database", metadata: ["request_id": "\(requestID)", "error": "\(error.message)"])
            }
            return problem
        case is CancellationError: return .unavailable
        default:
            logger.error("request failed", metadata: ["request_id": "\(requestID)", "error": "\(error)"])
            return .internalFailure
        }
    }

    private static func headers(_ request: Request) -> [String: String] {
        var headers: [String: String] = [:]
        for field in request.headers where headers[field.name.canonicalName] == nil {
            headers[field.name.canonicalName] = field.value
        }
        return headers
    }

    /// The client's own id when it is well formed, else one of ours.
    private static func requestID(_ request: Request) -> String {
        if let name = HTTPField.Name("x-request-id"), let value = request.headers[name],
            (1...128).contains(value.utf8.count),
            value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
        {
            return value
        }
        return ID.make("req")
    }

    private static func response(_ answer: Answer, requestID: String, isHead: Bool) -> Response {
        var headers = HTTPFields()
        if let contentType = answer.contentType { headers[.contentType] = contentType }
        for (name, value) in answer.headers {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        if let name = HTTPField.Name("x-request-id") { headers[name] = requestID }
        headers[.cacheControl] = "no-store"
        let status = HTTPResponse.Status(code: answer.status)
        // A HEAD answer says the length it would have had and carries no bytes (swift-nio #3651).
        guard !isHead else {
            headers[.contentLength] = String(answer.body.count)
            return Response(status: status, headers: headers)
        }
        guard answer.status != 204, answer.status != 304 else { return Response(status: status, headers: headers) }
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: answer.body)))
    }
}
