// Policies as admins write them. The config is checked by compiling it, so what is stored can always be enforced; the
// registry says which kinds there are, and no kind is named here.

import Policy
import Postgres

/// A row of `policies`.
struct PolicyRow: WritableResource {
    /// Whose requests a policy is about.
    enum Scope: Equatable, Sendable {
        case global
        case app(String)
        case key(String)

        var json: JSON {
            switch self {
            case .global: ["global": .bool(true)]
            case .app(let id): ["app": .string(id)]
            case .key(let id): ["key": .string(id)]
            }
        }
    }

    /// What an admin may say of a policy.
    struct Draft: Sendable {
        let name: String?
        let kind: String
        let config: JSON
        let scope: Scope
        let mode: String
        let onError: String
        let priority: Int64?
        let isEnabled: Bool
    }

    static let kind = "policy"
    static let table = "policies"
    static let idPrefix = "pol"
    static let select = """
        SELECT id, sequence, name, kind, config, scope_app, scope_key, mode, on_error, priority, enabled, created_at,
            updated_at, version
        FROM policies
        """

    let id: String
    let sequence: Int64
    let version: Int64
    let name: String
    let policyKind: String
    let config: JSON
    let scope: Scope
    let mode: String
    let onError: String
    let priority: Int64?
    let isEnabled: Bool
    let createdAt: Int64
    let updatedAt: Int64

    init(_ row: PostgresRow) throws {
        id = try row.string("id")
        sequence = try row.int("sequence")
        version = try row.int("version")
        name = try row.string("name")
        policyKind = try row.string("kind")
        config = try JSONParser.parse(Array(try row.string("config").utf8))
        if let app = try row.optionalString("scope_app") {
            scope = .app(app)
        } else if let key = try row.optionalString("scope_key") {
            scope = .key(key)
        } else {
            scope = .global
        }
        mode = try row.string("mode")
        onError = try row.string("on_error")
        priority = try row.optionalInt("priority")
        isEnabled = try row.bool("enabled")
        createdAt = try row.milliseconds("created_at")
        updatedAt = try row.milliseconds("updated_at")
    }

    var json: JSON {
        [
            "id": .string(id), "name": .string(name), "kind": .string(policyKind), "config": config,
            "scope": scope.json, "mode": .string(mode), "enabled": .bool(isEnabled), "priority": .optional(priority),
            "on_error": .string(onError), "created_at": .string(Timestamp.text(createdAt)),
            "updated_at": .string(Timestamp.text(updatedAt)),
        ]
    }

    static func draft(_ members: [JSON.Member], current: PolicyRow?, store: Store) throws(Problem) -> Draft {
        try draft(members, current: current, registry: store.registry)
    }

    /// The same for `POST /v1/policies/validate`, which stores nothing.
    static func draft(
        _ members: [JSON.Member],
        current: PolicyRow?,
        registry: PolicyRegistry
    ) throws(Problem) -> Draft {
        var reader = ObjectReader(members)
        for name in ["id", "created_at", "updated_at"] { reader.readOnly(name, is: current?.json[name]) }
        let name = reader.text("name", required: current != nil)
        let kind = reader.text("kind", maxBytes: 64, required: true)
        let config = reader.take("config")
        if config == nil { reader.refuse("config", "is required") }
        if let kind, let config { check(config, kind: kind, registry, &reader) }
        let scope = scope(&reader)
        let mode = reader.word("mode", of: ["enforce", "shadow"], default: "enforce")
        let onError = reader.word("on_error", of: ["deny", "allow"], default: "deny")
        let priority = reader.optionalInteger("priority", in: Int64(Int32.min)...Int64(Int32.max))
        let isEnabled = reader.flag("enabled", default: true)
        try reader.finish()
        return Draft(
            name: name,
            kind: kind ?? "",
            config: config ?? .null,
            scope: scope,
            mode: mode,
            onError: onError,
            priority: priority,
            isEnabled: isEnabled
        )
    }

    private static func check(_ config: JSON, kind: String, _ registry: PolicyRegistry, _ reader: inout ObjectReader) {
        guard let known = registry.kind(named: kind) else {
            let names = registry.names.sorted().joined(separator: ", ")
            reader.refuse("kind", "unknown kind; known are \(names)")
            return
        }
        do throws(ConfigProblems) {
            _ = try known.compile(ConfigValue(config))
        } catch {
            reader.add(
                error.problems.map { FieldProblem(path: "/config\($0.path)", reason: $0.reason, place: $0.place) }
            )
        }
    }

    private static func scope(_ reader: inout ObjectReader) -> Scope {
        let expected = "must be {\"global\":true}, {\"app\":\"<id>\"} or {\"key\":\"<id>\"}"
        guard let value = reader.take("scope") else {
            reader.refuse("scope", "is required: \(expected)")
            return .global
        }
        guard case .object(let members) = value, members.count == 1, let member = members.first else {
            reader.refuse("scope", expected)
            return .global
        }
        switch (member.name, member.value) {
        case ("global", .bool(true)): return .global
        case ("app", .string(let id)) where !id.isEmpty && !id.utf8.contains(0): return .app(id)
        case ("key", .string(let id)) where !id.isEmpty && !id.utf8.contains(0): return .key(id)
        case ("global", _), ("app", _), ("key", _): reader.refuse("scope/\(member.name)", expected)
        default: reader.refuse("scope", expected)
        }
        return .global
    }

    static func willChange(_ current: PolicyRow, change: Change) async throws {
        let open = try await change.session.query("SELECT 1 FROM canary WHERE policy_id = $1", [.text(current.id)])
        guard open.isEmpty else { throw Problem.canaryOpen }
    }

    static func insert(_ draft: Draft, id: String, change: Change, store: Store) async throws {
        let (app, key) = try await scopeColumns(draft.scope, change)
        _ = try await change.session.execute(
            """
            INSERT INTO policies
                (id, name, kind, config, scope_app, scope_key, mode, on_error, priority, enabled, created_at,
                updated_at, version)
            VALUES ($1, $2, $3, $4::json, $5, $6, $7, $8, $9, $10, $11, $11, $12)
            """,
            [
                .text(id), .text(draft.name ?? "\(draft.kind)-\(id.suffix(8))"), .text(draft.kind),
                .json(draft.config.text), app, key, .text(draft.mode), .text(draft.onError),
                draft.priority.map { .int($0) } ?? .null, .bool(draft.isEnabled),
                .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
    }

    static func update(_ current: PolicyRow, to draft: Draft, change: Change, store: Store) async throws {
        let (app, key) = try await scopeColumns(draft.scope, change)
        _ = try await change.session.execute(
            """
            UPDATE policies
            SET name = $2, kind = $3, config = $4::json, scope_app = $5, scope_key = $6, mode = $7, on_error = $8,
                priority = $9, enabled = $10, updated_at = $11, version = $12
            WHERE id = $1
            """,
            [
                .text(current.id), .text(draft.name ?? current.name), .text(draft.kind), .json(draft.config.text), app,
                key, .text(draft.mode), .text(draft.onError), draft.priority.map { .int($0) } ?? .null,
                .bool(draft.isEnabled), .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
    }

    /// The scope's two columns, once what they name is known to exist.
    static func scopeColumns(_ scope: Scope, _ change: Change) async throws -> (PostgresValue, PostgresValue) {
        switch scope {
        case .global: return (.null, .null)
        case .app(let id):
            let rows = try await change.session.query("SELECT 1 FROM apps WHERE id = $1", [.text(id)])
            guard !rows.isEmpty else { throw Problem.invalid("/scope/app", "there is no such app") }
            return (.text(id), .null)
        case .key(let id):
            let rows = try await change.session.query("SELECT 1 FROM keys WHERE id = $1", [.text(id)])
            guard !rows.isEmpty else { throw Problem.invalid("/scope/key", "there is no such key") }
            return (.null, .text(id))
        }
    }
}

extension JSON {
    /// The same value; members by name.
    init(_ value: ConfigValue) {
        switch value {
        case .null: self = .null
        case .bool(let bool): self = .bool(bool)
        case .integer(let integer): self = .integer(integer)
        case .number(let number): self = .number(number)
        case .string(let text): self = .string(text)
        case .array(let elements): self = .array(elements.map { JSON($0) })
        case .object(let members):
            self = .object(members.sorted { $0.key < $1.key }.map { Member(name: $0.key, value: JSON($0.value)) })
        }
    }
}

extension ConfigValue {
    /// The same value without the order of members.
    init(_ json: JSON) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        case .string(let text): self = .string(text)
        case .array(let elements): self = .array(elements.map { ConfigValue($0) })
        case .object(let members):
            self = .object(Dictionary(members.map { ($0.name, ConfigValue($0.value)) }) { first, _ in first })
        }
    }
}
