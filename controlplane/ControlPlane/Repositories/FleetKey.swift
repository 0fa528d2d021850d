// Provider credentials travel to nodes sealed to the fleet's key. They are sealed when written, not when a snapshot is
// compiled, so that every control plane compiles the same bytes from the same rows.

import Postgres
import Secrets

/// The fleet's sealing key and its name.
struct FleetKey: Sendable {
    /// What the audit log calls it.
    static let kind = "fleet_key"

    let key: SealingKey
    /// Says which key sealed a row: part of a digest of the key, which says nothing about it.
    let id: String

    init(bytes: [UInt8]) throws {
        key = try SealingKey(bytes: bytes)
        id = hex(Array(HMACSHA256.code(Array("weir fleet key".utf8), key: bytes).bytes.prefix(8)))
    }

    /// Seals anew what another fleet key sealed, as one change; what a rotated key needs.
    static func resealProviders(_ store: Store) async throws {
        let stale = """
            SELECT id, sealed FROM providers
            WHERE sealed IS NOT NULL AND fleet_key_id IS DISTINCT FROM $1
            """
        guard try await !store.pool.query(stale, [.text(store.fleetKey.id)]).isEmpty else { return }
        let call = Call(
            method: "PUT",
            path: "",
            parameters: [:],
            query: try Query(""),
            headers: [:],
            body: [],
            requestID: ID.make("req"),
            actor: "weir-control"
        )
        _ = try await store.change(call) { change in
            for row in try await change.session.query(stale, [.text(store.fleetKey.id)]) {
                let id = try row.string("id")
                let context = Array(id.utf8)
                let credential = try store.sealingKey.open(try row.bytes("sealed"), context: context)
                _ = try await change.session.execute(
                    "UPDATE providers SET fleet_sealed = $2, fleet_key_id = $3 WHERE id = $1",
                    [
                        .text(id), .bytes(try store.fleetKey.key.seal(credential, context: context)),
                        .text(store.fleetKey.id),
                    ]
                )
            }
            return Outcome(
                answer: .noContent,
                action: "update",
                kind: Self.kind,
                id: store.fleetKey.id,
                before: nil,
                after: nil
            )
        }
    }
}
