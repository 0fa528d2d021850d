// Where requests are forwarded to. The credential is write-only: sealed twice when it is written (at rest, and for the
// nodes), never read back by the API.

import Postgres
import Secrets
import Snapshot

/// A row of `providers`, without its credential.
struct Provider: WritableResource {
    /// What to do with the credential.
    enum Credential: Sendable {
        case keep
        case remove
        case set(Redacted<String>)
    }

    /// What an admin may say of a provider.
    struct Draft: Sendable {
        let name: String
        let kind: String
        let baseURL: String
        let credential: Credential
        let injectsStreamUsage: Bool
        let timeouts: ProviderTimeouts
        let allowsPrivate: Bool
    }

    static let kind = "provider"
    static let table = "providers"
    static let idPrefix = "prv"
    static let kinds = ["openai", "anthropic", "openai_compatible"]
    static let maxCredentialBytes = 8192
    /// All but the credential.
    static let columns = """
        id, sequence, name, kind, base_url, sealed IS NOT NULL AS has_credential, injects_stream_usage,
            connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, allow_private, created_at, updated_at, version
        """
    static let select = "SELECT \(columns) FROM providers"

    let id: String
    let sequence: Int64
    let version: Int64
    let name: String
    let providerKind: String
    let baseURL: String
    let hasCredential: Bool
    let injectsStreamUsage: Bool
    let timeouts: ProviderTimeouts
    let allowsPrivate: Bool
    let createdAt: Int64
    let updatedAt: Int64

    init(_ row: PostgresRow) throws {
        id = try row.string("id")
        sequence = try row.int("sequence")
        version = try row.int("version")
        name = try row.string("name")
        providerKind = try row.string("kind")
        baseURL = try row.string("base_url")
        hasCredential = try row.bool("has_credential")
        injectsStreamUsage = try row.bool("injects_stream_usage")
        timeouts = ProviderTimeouts(
            connect: try row.optionalInt("connect_timeout_ms"),
            firstByte: try row.optionalInt("first_byte_timeout_ms"),
            idle: try row.optionalInt("idle_timeout_ms")
        )
        allowsPrivate = try row.bool("allow_private")
        createdAt = try row.milliseconds("created_at")
        updatedAt = try row.milliseconds("updated_at")
    }

    var json: JSON {
        [
            "id": .string(id), "name": .string(name), "kind": .string(providerKind), "base_url": .string(baseURL),
            "has_credential": .bool(hasCredential), "injects_stream_usage": .bool(injectsStreamUsage),
            "connect_timeout_ms": .optional(timeouts.connect), "first_byte_timeout_ms": .optional(timeouts.firstByte),
            "idle_timeout_ms": .optional(timeouts.idle), "allow_private": .bool(allowsPrivate),
            "created_at": .string(Timestamp.text(createdAt)), "updated_at": .string(Timestamp.text(updatedAt)),
        ]
    }

    static func draft(_ members: [JSON.Member], current: Provider?, store: Store) throws(Problem) -> Draft {
        var reader = ObjectReader(members)
        for name in ["id", "has_credential", "created_at", "updated_at"] {
            reader.readOnly(name, is: current?.json[name])
        }
        let name = reader.text("name", required: true)
        let kind = reader.word("kind", of: kinds, default: nil)
        let baseURL = reader.text("base_url", maxBytes: BaseURL.maxBytes, required: true)
        if let baseURL, let fault = BaseURL.fault(in: baseURL) { reader.refuse("base_url", fault) }
        let credential = credential(&reader)
        // Anthropic reports usage in every stream; the member it would need does not exist there.
        let injects = reader.flag("injects_stream_usage", default: kind != "anthropic")
        if injects, kind == "anthropic" {
            reader.refuse("injects_stream_usage", "must be false for anthropic, whose streams always report usage")
        }
        let answerRange = 1...SnapshotBounds.maxAnswerTimeout
        let timeouts = ProviderTimeouts(
            connect: reader.optionalInteger("connect_timeout_ms", in: 1...SnapshotBounds.maxConnectTimeout),
            firstByte: reader.optionalInteger("first_byte_timeout_ms", in: answerRange),
            idle: reader.optionalInteger("idle_timeout_ms", in: answerRange)
        )
        let allowsPrivate = reader.flag("allow_private", default: true)
        try reader.finish()
        return Draft(
            name: name ?? "",
            kind: kind,
            baseURL: baseURL ?? "",
            credential: credential,
            injectsStreamUsage: injects,
            timeouts: timeouts,
            allowsPrivate: allowsPrivate
        )
    }

    private static func credential(_ reader: inout ObjectReader) -> Credential {
        switch reader.take("credential") {
        case nil: return .keep
        case .null: return .remove
        case .string(let text):
            // It becomes a header's value: nothing that could end the line may be in it.
            if !(1...maxCredentialBytes).contains(text.utf8.count) || !text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            {
                reader.refuse("credential", "must be 1 to \(maxCredentialBytes) printable ASCII characters, no spaces")
            }
            return .set(Redacted(text))
        default:
            reader.refuse("credential", "must be a string or null")
            return .keep
        }
    }

    static func insert(_ draft: Draft, id: String, change: Change, store: Store) async throws {
        try await Capacity.check(table, limit: Capacity.maxProviders, in: change.session)
        _ = try await change.session.execute(
            """
            INSERT INTO providers (id, name, kind, base_url, injects_stream_usage, connect_timeout_ms,
                first_byte_timeout_ms, idle_timeout_ms, allow_private, created_at, updated_at, version)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
            """,
            values(draft, id: id, change: change)
        )
        try await write(draft.credential, id: id, change: change, store: store)
    }

    static func update(_ current: Provider, to draft: Draft, change: Change, store: Store) async throws {
        _ = try await change.session.execute(
            """
            UPDATE providers
            SET name = $2, kind = $3, base_url = $4, injects_stream_usage = $5, connect_timeout_ms = $6,
                first_byte_timeout_ms = $7, idle_timeout_ms = $8, allow_private = $9, updated_at = $10, version = $11
            WHERE id = $1
            """,
            values(draft, id: current.id, change: change)
        )
        try await write(draft.credential, id: current.id, change: change, store: store)
    }

    private static func values(_ draft: Draft, id: String, change: Change) -> [PostgresValue] {
        let timeouts = [draft.timeouts.connect, draft.timeouts.firstByte, draft.timeouts.idle]
        return [
            .text(id), .text(draft.name), .text(draft.kind), .text(draft.baseURL), .bool(draft.injectsStreamUsage),
        ] + timeouts.map { $0.map { .int($0) } ?? .null } + [
            .bool(draft.allowsPrivate), .timestamp(milliseconds: change.at), .int(change.version),
        ]
    }

    private static func write(_ credential: Credential, id: String, change: Change, store: Store) async throws {
        var values: [PostgresValue] = [.text(id), .null, .null, .null]
        switch credential {
        case .keep: return
        case .remove: break
        case .set(let secret):
            let bytes = Array(secret.reveal().utf8)
            let context = Array(id.utf8)
            values[1] = .bytes(try store.sealingKey.seal(bytes, context: context))
            values[2] = .bytes(try store.fleetKey.key.seal(bytes, context: context))
            values[3] = .text(store.fleetKey.id)
        }
        _ = try await change.session.execute(
            "UPDATE providers SET sealed = $2, fleet_sealed = $3, fleet_key_id = $4 WHERE id = $1",
            values
        )
    }
}
