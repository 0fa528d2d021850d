// The keys of an app: made with a secret shown once, changed a little, revoked for good.

import Postgres
import Secrets

/// Operations under `/v1/apps/{id}/keys`.
struct KeyRoutes: Sendable {
    private static let collection = "/v1/apps/{id}/keys"
    private static let item = "/v1/apps/{id}/keys/{key_id}"

    private struct Draft: Sendable {
        let name: String
        let tags: [String]
        let expiresAt: Int64?
        let isRevoked: Bool
    }

    let store: Store

    var routes: [Route] {
        [
            Route("GET", Self.collection) { call in
                try call.query.allowOnly(Page.parameters)
                let app = try await App.find(call.parameter("id"), in: store.pool)
                let page = try Page(call.query)
                return try await Key.list(page, in: store.pool, where: "app_id = $1", [.text(app.id)])
            },
            Route("POST", Self.collection, body: .json, create),
            Route("GET", Self.item) { call in
                try call.query.allowOnly([])
                return try await Key.find(call.parameter("key_id"), of: call.parameter("id"), in: store.pool).read(call)
            },
            Route("PATCH", Self.item, body: .json, patch),
            Route("DELETE", Self.item, revoke),
        ]
    }

    private func draft(_ members: [JSON.Member], current: Key?) throws(Problem) -> Draft {
        var reader = ObjectReader(members)
        for name in ["id", "app_id", "revoked_at", "created_at", "updated_at"] {
            reader.readOnly(name, is: current?.json[name])
        }
        let name = reader.text("name", allowsEmpty: true)
        let tags = reader.tags()
        let expiresAt = reader.optionalTime("expires_at")
        let isRevoked = reader.flag("revoked", default: false)
        if current == nil, isRevoked { reader.refuse("revoked", "a key cannot be made revoked") }
        if current?.revokedAt != nil, !isRevoked { reader.refuse("revoked", "a revoked key stays revoked") }
        try reader.finish()
        return Draft(name: name ?? "", tags: tags, expiresAt: expiresAt, isRevoked: isRevoked)
    }

    private func create(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        let draft = try draft(call.body.isEmpty ? [] : try call.object(), current: nil)
        return try await store.change(call) { change in
            let app = try await App.find(call.parameter("id"), in: change.session)
            try await Capacity.check("keys", limit: Capacity.maxKeysPerApp, app: app.id, in: change.session)
            let id = ID.makeKeyID()
            let secret = ID.makeKeySecret()
            _ = try await change.session.execute(
                """
                INSERT INTO keys (id, app_id, name, digest, tags, expires_at, created_at, updated_at, version)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
                """,
                [
                    .text(id), .text(app.id), .text(draft.name), .bytes(SHA256.digest(Array(secret.utf8)).bytes),
                    .textArray(draft.tags), time(draft.expiresAt), .timestamp(milliseconds: change.at),
                    .int(change.version),
                ]
            )
            let key = try await Key.find(id, in: change.session)
            // The only time that the secret is said.
            let shown = key.json.replacingMembers(from: [.init(name: "key", value: .string("wk_\(id)_\(secret)"))])
            let headers = ["etag": key.etag, "location": "/v1/apps/\(app.id)/keys/\(id)"]
            let answer = Answer.json(shown, status: 201, headers: headers)
            return Outcome(answer: answer, action: "create", kind: Key.kind, id: id, before: nil, after: key.json)
        }
    }

    private func patch(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        let body = try call.object()
        return try await store.change(call) { change in
            let current = try await Key.find(call.parameter("key_id"), of: call.parameter("id"), in: change.session)
            try current.requireMatch(call)
            guard case .object(let members) = current.json.replacingMembers(from: body) else {
                throw Problem.internalFailure
            }
            let draft = try draft(members, current: current)
            let revokedAt = draft.isRevoked ? current.revokedAt ?? change.at : nil
            _ = try await change.session.execute(
                """
                UPDATE keys SET name = $2, tags = $3, expires_at = $4, revoked_at = $5, updated_at = $6, version = $7
                WHERE id = $1
                """,
                [
                    .text(current.id), .text(draft.name), .textArray(draft.tags), time(draft.expiresAt),
                    time(revokedAt), .timestamp(milliseconds: change.at), .int(change.version),
                ]
            )
            let updated = try await Key.find(current.id, in: change.session)
            return Outcome(
                answer: updated.shown(),
                action: current.revokedAt == nil && draft.isRevoked ? "revoke" : "update",
                kind: Key.kind,
                id: current.id,
                before: current.json,
                after: updated.json
            )
        }
    }

    private func revoke(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        return try await store.change(call) { change in
            let current = try await Key.find(call.parameter("key_id"), of: call.parameter("id"), in: change.session)
            try current.requireMatch(call)
            _ = try await change.session.execute(
                "UPDATE keys SET revoked_at = coalesce(revoked_at, $2), updated_at = $2, version = $3 WHERE id = $1",
                [.text(current.id), .timestamp(milliseconds: change.at), .int(change.version)]
            )
            let revoked = try await Key.find(current.id, in: change.session)
            return Outcome(
                answer: .noContent,
                action: "revoke",
                kind: Key.kind,
                id: current.id,
                before: current.json,
                after: revoked.json
            )
        }
    }

    private func time(_ milliseconds: Int64?) -> PostgresValue {
        milliseconds.map { .timestamp(milliseconds: $0) } ?? .null
    }
}
