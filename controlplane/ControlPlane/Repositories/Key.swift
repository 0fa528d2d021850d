// API keys of an app. The secret is shown once and stored as a digest; a revoked key stays, so that it stays revoked.

import Postgres
import Secrets

/// A row of `keys`.
struct Key: Resource {
    static let kind = "key"
    static let table = "keys"
    static let select = """
        SELECT id, sequence, app_id, name, tags, expires_at, revoked_at, created_at, updated_at, version FROM keys
        """

    let id: String
    let sequence: Int64
    let version: Int64
    let appID: String
    let name: String
    let tags: [String]
    let expiresAt: Int64?
    let revokedAt: Int64?
    let createdAt: Int64
    let updatedAt: Int64

    init(_ row: PostgresRow) throws {
        id = try row.string("id")
        sequence = try row.int("sequence")
        version = try row.int("version")
        appID = try row.string("app_id")
        name = try row.string("name")
        tags = try row.stringArray("tags")
        expiresAt = try row.optionalMilliseconds("expires_at")
        revokedAt = try row.optionalMilliseconds("revoked_at")
        createdAt = try row.milliseconds("created_at")
        updatedAt = try row.milliseconds("updated_at")
    }

    var json: JSON {
        [
            "id": .string(id), "app_id": .string(appID), "name": .string(name), "tags": .strings(tags),
            "expires_at": .optional(expiresAt.map(Timestamp.text)), "revoked": .bool(revokedAt != nil),
            "revoked_at": .optional(revokedAt.map(Timestamp.text)), "created_at": .string(Timestamp.text(createdAt)),
            "updated_at": .string(Timestamp.text(updatedAt)),
        ]
    }

    /// A key of this app.
    ///
    /// - Throws: 404 also when the key is another app's.
    static func find(_ id: String, of app: String, in session: some SQLSession) async throws -> Key {
        let key = try await find(id, in: session)
        guard key.appID == app else { throw Problem.notFound }
        return key
    }
}
