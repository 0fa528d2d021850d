// Applications: who a key belongs to, and what policies and usage are counted by.

import Postgres

/// A row of `apps`.
struct App: WritableResource {
    /// What an admin may say of an app.
    struct Draft: Sendable {
        let name: String
        let tier: String
        let tags: [String]
        let isEnabled: Bool
    }

    static let kind = "app"
    static let table = "apps"
    static let idPrefix = "app"
    static let defaultOrganisation = "org_default"
    static let select = """
        SELECT id, sequence, organisation_id, name, tier, tags, enabled, created_at, updated_at, version FROM apps
        """

    let id: String
    let sequence: Int64
    let version: Int64
    let organisation: String
    let name: String
    let tier: String
    let tags: [String]
    let isEnabled: Bool
    let createdAt: Int64
    let updatedAt: Int64

    init(_ row: PostgresRow) throws {
        id = try row.string("id")
        sequence = try row.int("sequence")
        version = try row.int("version")
        organisation = try row.string("organisation_id")
        name = try row.string("name")
        tier = try row.string("tier")
        tags = try row.stringArray("tags")
        isEnabled = try row.bool("enabled")
        createdAt = try row.milliseconds("created_at")
        updatedAt = try row.milliseconds("updated_at")
    }

    var json: JSON {
        [
            "id": .string(id), "organisation": .string(organisation), "name": .string(name), "tier": .string(tier),
            "tags": .strings(tags), "enabled": .bool(isEnabled), "created_at": .string(Timestamp.text(createdAt)),
            "updated_at": .string(Timestamp.text(updatedAt)),
        ]
    }

    static func draft(_ members: [JSON.Member], current: App?, store: Store) throws(Problem) -> Draft {
        var reader = ObjectReader(members)
        for name in ["id", "organisation", "created_at", "updated_at"] {
            reader.readOnly(name, is: current?.json[name])
        }
        let name = reader.text("name", required: true)
        let tier = reader.text("tier", maxBytes: 64)
        let tags = reader.tags()
        let isEnabled = reader.flag("enabled", default: true)
        try reader.finish()
        return Draft(name: name ?? "", tier: tier ?? "default", tags: tags, isEnabled: isEnabled)
    }

    static func insert(_ draft: Draft, id: String, change: Change, store: Store) async throws {
        _ = try await change.session.execute(
            """
            INSERT INTO apps (id, organisation_id, name, tier, tags, enabled, created_at, updated_at, version)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
            """,
            [
                .text(id), .text(defaultOrganisation), .text(draft.name), .text(draft.tier), .textArray(draft.tags),
                .bool(draft.isEnabled), .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
    }

    static func update(_ current: App, to draft: Draft, change: Change, store: Store) async throws {
        _ = try await change.session.execute(
            """
            UPDATE apps SET name = $2, tier = $3, tags = $4, enabled = $5, updated_at = $6, version = $7 WHERE id = $1
            """,
            [
                .text(current.id), .text(draft.name), .text(draft.tier), .textArray(draft.tags),
                .bool(draft.isEnabled), .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
    }
}
