// What all resources share, written once: reading a row, listing, ETags, and the create, replace, patch and delete
// operations. A resource says only its SQL and its fields.

import Postgres

/// One kind of row that the API shows.
protocol Resource: Sendable {
    /// For the audit log: `app`.
    static var kind: String { get }
    /// `SELECT … FROM …` with every column that ``init(_:)`` reads, `sequence` and `version` included.
    static var select: String { get }
    /// The table, for the columns `id` and `sequence` in conditions.
    static var table: String { get }

    var id: String { get }
    var sequence: Int64 { get }
    /// The configuration's version that last changed it.
    var version: Int64 { get }
    /// What GET answers; nothing secret.
    var json: JSON { get }

    init(_ row: PostgresRow) throws
}

extension Resource {
    var etag: String { "\"\(version)\"" }

    /// The row of an id.
    ///
    /// - Throws: 404 when there is none.
    static func find(_ id: String, in session: some SQLSession) async throws -> Self {
        // A NUL cannot be sent to PostgreSQL as text, so no row can have it.
        guard !id.utf8.contains(0) else { throw Problem.notFound }
        let rows = try await session.query("\(select) WHERE \(table).id = $1", [.text(id)])
        guard let row = rows.first else { throw Problem.notFound }
        return try Self(row)
    }

    /// One page, in order of creation.
    static func list(
        _ page: Page,
        in session: some SQLSession,
        where condition: String = "true",
        _ parameters: [PostgresValue] = []
    ) async throws -> Answer {
        let count = parameters.count
        let rows = try await session.query(
            """
            \(select) WHERE \(condition) AND \(table).sequence > $\(count + 1)
            ORDER BY \(table).sequence LIMIT $\(count + 2)
            """,
            parameters + [.int(page.after), .int(Int64(page.limit) + 1)]
        )
        return page.answer(
            try rows.map { row in
                let resource = try Self(row)
                return (resource.sequence, resource.json)
            }
        )
    }

    /// Refuses when `If-Match` is sent and names another version.
    func requireMatch(_ call: Call) throws(Problem) {
        guard let header = call.headers["if-match"] else { return }
        let tags = header.split(separator: ",").map { $0.trimmingSpaces() }
        guard tags.contains("*") || tags.contains(etag[...]) else { throw .preconditionFailed }
    }

    /// The answer that shows it.
    func shown(status: Int = 200, location: String? = nil) -> Answer {
        var headers = ["etag": etag]
        headers["location"] = location
        return .json(json, status: status, headers: headers)
    }

    /// The answer to GET: 304 when the caller has this version already.
    func read(_ call: Call) -> Answer {
        guard call.headers["if-none-match"] == etag else { return shown() }
        return Answer(status: 304, contentType: nil, headers: ["etag": etag])
    }
}

/// A pool or a connection inside a transaction.
protocol SQLSession {
    func query(_ sql: String, _ parameters: [PostgresValue]) async throws(PostgresError) -> [PostgresRow]
}

extension PostgresPool: SQLSession {}
extension PostgresConnection: SQLSession {}

/// A resource that admins write.
protocol WritableResource: Resource {
    /// The checked fields of a body.
    associatedtype Draft: Sendable

    /// Reads and checks a body.
    ///
    /// - Parameters:
    ///   - members: the body's members.
    ///   - current: the row as it is; nil on create.
    ///   - store: keys and the policy registry.
    /// - Returns: the fields, each within its bounds.
    /// - Throws: 422 with every fault.
    static func draft(_ members: [JSON.Member], current: Self?, store: Store) throws(Problem) -> Draft

    /// Writes a new row.
    static func insert(_ draft: Draft, id: String, change: Change, store: Store) async throws

    /// Writes over the row of `current`.
    static func update(_ current: Self, to draft: Draft, change: Change, store: Store) async throws

    /// Has a say before a row is written over or deleted.
    ///
    /// - Throws: the problem that forbids it.
    static func willChange(_ current: Self, change: Change) async throws

    /// The prefix of its ids.
    static var idPrefix: String { get }
}

extension WritableResource {
    static func willChange(_ current: Self, change: Change) async throws {}

    /// Its six operations under a collection's path.
    static func routes(_ collection: String, store: Store) -> [Route] {
        let item = "\(collection)/{id}"
        return [
            Route("GET", collection) { call in
                try call.query.allowOnly(Page.parameters)
                return try await list(try Page(call.query), in: store.pool)
            },
            Route("POST", collection, body: .json) { call in try await create(call, collection, store) },
            Route("GET", item) { call in
                try call.query.allowOnly([])
                return try await find(call.parameter("id"), in: store.pool).read(call)
            },
            Route("PUT", item, body: .json) { call in try await write(call, store) },
            Route("PATCH", item, body: .json) { call in try await write(call, store) },
            Route("DELETE", item) { call in try await remove(call, store) },
        ]
    }

    private static func create(_ call: Call, _ collection: String, _ store: Store) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        let draft = try draft(try call.object(), current: nil, store: store)
        return try await store.change(call) { change in
            let id = ID.make(idPrefix)
            try await insert(draft, id: id, change: change, store: store)
            let created = try await find(id, in: change.session)
            let answer = created.shown(status: 201, location: "\(collection)/\(id)")
            return Outcome(answer: answer, action: "create", kind: kind, id: id, before: nil, after: created.json)
        }
    }

    /// PUT replaces every field that has a default; PATCH only the members it names, each whole.
    private static func write(_ call: Call, _ store: Store) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        let body = try call.object()
        return try await store.change(call) { change in
            let current = try await find(call.parameter("id"), in: change.session)
            try current.requireMatch(call)
            try await willChange(current, change: change)
            var members = body
            if call.method == "PATCH", case .object(let merged) = current.json.replacingMembers(from: body) {
                members = merged
            }
            let draft = try draft(members, current: current, store: store)
            try await update(current, to: draft, change: change, store: store)
            let updated = try await find(current.id, in: change.session)
            return Outcome(
                answer: updated.shown(),
                action: "update",
                kind: kind,
                id: current.id,
                before: current.json,
                after: updated.json
            )
        }
    }

    private static func remove(_ call: Call, _ store: Store) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        return try await store.change(call) { change in
            let current = try await find(call.parameter("id"), in: change.session)
            try current.requireMatch(call)
            try await willChange(current, change: change)
            _ = try await change.session.execute("DELETE FROM \(table) WHERE id = $1", [.text(current.id)])
            return Outcome(
                answer: .noContent,
                action: "delete",
                kind: kind,
                id: current.id,
                before: current.json,
                after: nil
            )
        }
    }
}

extension Substring {
    /// Without spaces and tabs at both ends.
    func trimmingSpaces() -> Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
