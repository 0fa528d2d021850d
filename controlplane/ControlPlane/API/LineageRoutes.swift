// The history that versions count in. It begins anew by itself when the database was set back and somebody noticed, or
// by an admin's word after a restore; nodes hold on to the revocations they saw until an admin confirms it.

import Postgres
import Secrets

/// Operations under `/v1/snapshots/lineage`.
struct LineageRoutes: Sendable {
    let store: Store

    var routes: [Route] {
        [
            Route("GET", "/v1/snapshots/lineage") { call in
                try call.query.allowOnly([])
                return .json(try await read(store.pool))
            },
            Route("POST", "/v1/snapshots/lineage", begin),
            Route("POST", "/v1/snapshots/lineage/confirm", confirm),
        ]
    }

    private func read(_ session: some SQLSession) async throws -> JSON {
        let rows = try await session.query(
            "SELECT version, lineage, lineage_since, lineage_confirmed, previous_lineage FROM configuration",
            []
        )
        guard let row = rows.first else { throw Problem.internalFailure }
        let previous = try row.isNull("previous_lineage") ? nil : hex(row.bytes("previous_lineage"))
        return [
            "lineage": .string(hex(try row.bytes("lineage"))), "version": .integer(try row.int("version")),
            "since": .string(Timestamp.text(try row.milliseconds("lineage_since"))),
            "confirmed": .bool(try row.bool("lineage_confirmed")), "previous": .optional(previous),
        ]
    }

    private func begin(_ call: Call) async throws -> Answer {
        try await change(call, "begin") { change in
            _ = try await change.session.execute(
                """
                UPDATE configuration SET lineage = $1, previous_lineage = lineage, lineage_confirmed = false,
                    lineage_since = $2
                """,
                [.bytes(SecureRandom.bytes(16)), .timestamp(milliseconds: change.at)]
            )
        }
    }

    private func confirm(_ call: Call) async throws -> Answer {
        try await change(call, "confirm") { change in
            let count = try await change.session.execute(
                "UPDATE configuration SET lineage_confirmed = true WHERE NOT lineage_confirmed",
                []
            )
            guard count == 1 else { throw Problem.conflict("The lineage is confirmed already.") }
        }
    }

    private func change(
        _ call: Call,
        _ action: String,
        _ body: @Sendable (Change) async throws -> Void
    ) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        return try await store.change(call) { change in
            let before = try await read(change.session)
            try await body(change)
            let after = try await read(change.session)
            return Outcome(
                answer: .json(after),
                action: action,
                kind: LineageKeeper.auditKind,
                id: after["lineage"]?.stringValue ?? "",
                before: before,
                after: after
            )
        }
    }
}
