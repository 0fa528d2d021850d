// RFC 9457: the one shape in which the admin API says no. Texts for the client are written here or beside the check
// that failed; nothing from the database or a library reaches a client.

import Policy

/// What is wrong with one member of a request's body or one parameter.
struct FieldProblem: Equatable, Sendable {
    /// A JSON pointer into the body (`/config/limit`), or `?name` for a query parameter.
    let path: String
    let reason: String
    /// Where in the text at `path`; for expressions.
    var place: ConfigProblem.Place?

    var json: JSON {
        guard let place else { return ["path": .string(path), "reason": .string(reason)] }
        return [
            "path": .string(path), "reason": .string(reason), "line": .integer(Int64(place.line)),
            "column": .integer(Int64(place.column)), "excerpt": .string(place.excerpt),
        ]
    }
}

/// An answer that refuses; thrown by handlers.
struct Problem: Error, Equatable, Sendable {
    /// The HTTP status.
    let status: Int
    /// The last part of `type`: stable, for programs.
    let code: String
    let title: String
    let detail: String?
    var errors: [FieldProblem] = []
    var headers: [String: String] = [:]

    static let contentType = "application/problem+json"

    /// The body; `requestID` ties it to the log.
    func json(requestID: String) -> JSON {
        var members: [JSON.Member] = [
            .init(name: "type", value: .string("urn:weir:problem:\(code)")),
            .init(name: "title", value: .string(title)),
            .init(name: "status", value: .integer(Int64(status))),
        ]
        if let detail { members.append(.init(name: "detail", value: .string(detail))) }
        members.append(.init(name: "request_id", value: .string(requestID)))
        if !errors.isEmpty { members.append(.init(name: "errors", value: .array(errors.map(\.json)))) }
        return .object(members)
    }
}

extension Problem {
    static func badRequest(_ detail: String) -> Problem {
        Problem(status: 400, code: "bad-request", title: "The request cannot be read", detail: detail)
    }

    static func badParameter(_ name: String, _ reason: String) -> Problem {
        Problem(
            status: 400,
            code: "bad-request",
            title: "The request cannot be read",
            detail: nil,
            errors: [FieldProblem(path: "?\(name)", reason: reason)]
        )
    }

    static func invalid(_ errors: [FieldProblem]) -> Problem {
        Problem(status: 422, code: "invalid", title: "The body is not valid", detail: nil, errors: errors)
    }

    static func invalid(_ path: String, _ reason: String) -> Problem {
        invalid([FieldProblem(path: path, reason: reason)])
    }

    static let unauthorized = Problem(
        status: 401,
        code: "unauthorized",
        title: "A valid bearer token is required",
        detail: nil,
        headers: ["www-authenticate": "Bearer"]
    )

    static let notFound = Problem(status: 404, code: "not-found", title: "There is no such resource", detail: nil)

    static func methodNotAllowed(_ allowed: [String]) -> Problem {
        Problem(
            status: 405,
            code: "method-not-allowed",
            title: "This resource does not take this method",
            detail: nil,
            headers: ["allow": allowed.joined(separator: ", ")]
        )
    }

    static func conflict(_ detail: String) -> Problem {
        Problem(status: 409, code: "conflict", title: "The change conflicts with what is stored", detail: detail)
    }

    static let canaryOpen = Problem(
        status: 409,
        code: "canary-open",
        title: "A canary is open",
        detail: "Promote or abort it first: POST /v1/snapshots/canary/promote or /abort."
    )

    static let nameTaken = Problem(
        status: 409,
        code: "conflict",
        title: "The change conflicts with what is stored",
        detail: nil,
        errors: [FieldProblem(path: "/name", reason: "is taken")]
    )

    static let preconditionFailed = Problem(
        status: 412,
        code: "precondition-failed",
        title: "The resource has changed since it was read",
        detail: "If-Match names another version; read the resource again."
    )

    static let tooLarge = Problem(
        status: 413,
        code: "too-large",
        title: "The body is too large",
        detail: nil,
        headers: ["connection": "close"]
    )

    static let unsupportedMediaType = Problem(
        status: 415,
        code: "unsupported-media-type",
        title: "The body must be of another media type",
        detail: nil
    )

    static let idempotencyKeyReused = Problem(
        status: 422,
        code: "idempotency-key-reused",
        title: "This Idempotency-Key came with another request before",
        detail: nil
    )

    static let unavailable = Problem(
        status: 503,
        code: "unavailable",
        title: "The database is not available",
        detail: "Nothing was changed unless a change with this Idempotency-Key is found later; try again.",
        headers: ["retry-after": "1"]
    )

    static let internalFailure = Problem(status: 500, code: "internal", title: "Something failed here", detail: nil)

    static func notApplied(_ detail: String, version: Int64) -> Problem {
        Problem(
            status: 504,
            code: "not-applied",
            title: "The change is stored, but not yet applied on every live node",
            detail: detail,
            headers: ["weir-version": String(version)]
        )
    }
}
