// The one way in which anything changes: row, audit entry, version and outbox in one transaction, so that no change is
// ever unversioned, unaudited or unpublished. Writers queue on the configuration's row; that is what makes versions
// gapless and commits ordered by version, and read-check-write on a resource safe. A change takes 1-2 ms of it.

import Logging
import Policy
import Postgres
import Secrets

/// A change under way, inside its transaction.
struct Change {
    let session: PostgresConnection
    /// The version that this change makes.
    let version: Int64
    /// When, in milliseconds since the Unix epoch; never before an earlier version's.
    let at: Int64
}

/// What a change did, for its answer and its audit entry.
struct Outcome: Sendable {
    let answer: Answer
    /// `create`, `update`, `delete`, `revoke`; `canary`, `promote`, `abort`; `begin`, `confirm`.
    let action: String
    let kind: String
    let id: String
    let before: JSON?
    let after: JSON?
}

/// Runs changes and reads; holds what they need.
struct Store: Sendable {
    /// The channel on which a commit wakes every control plane.
    static let channel = "weir_outbox"
    /// Longest wait for another change's row lock.
    static let lockTimeout = "2s"
    /// A control plane that is stopped within a change holds up all others no longer than this.
    static let silenceTimeout = "3s"

    let pool: PostgresPool
    /// Seals what is stored.
    let sealingKey: SealingKey
    /// Seals what travels to nodes.
    let fleetKey: FleetKey
    let registry: PolicyRegistry
    let applied: AppliedWaiter
    /// Told at once of a commit made here, before NOTIFY comes round.
    let committed: Beacon
    let tracer: ControlTracer

    /// Runs `body` as one change and answers when it is committed, or applied when `?wait=applied` says so.
    ///
    /// - Parameters:
    ///   - call: names the actor, the precondition, the idempotency key and the wait.
    ///   - body: the rows' change; a problem it throws leaves everything as it was.
    /// - Returns: the answer of `body`, with `weir-version`; a stored one when the idempotency key was seen before.
    /// - Throws: the problem of `body`, a database error, or 504 when the change is stored but not applied in time.
    func change(_ call: Call, _ body: @Sendable (Change) async throws -> Outcome) async throws -> Answer {
        let wait = try AppliedWait(call.query)
        let idempotency = try IdempotencyRecord(call)
        // What is compiled by now is older than the version to come, unless the database has lost versions.
        let known = applied.holder.current
        let (answer, version, isStored) = try await pool.transaction { session in
            _ = try await session.query(
                """
                SELECT set_config('lock_timeout', $1, true),
                    set_config('idle_in_transaction_session_timeout', $2, true)
                """,
                [.text(Self.lockTimeout), .text(Self.silenceTimeout)]
            )
            if let idempotency, let (answer, version) = try await idempotency.claim(in: session, key: sealingKey) {
                return (answer, version, true)
            }
            let change = try await Self.bump(session)
            let outcome = try await body(change)
            try await Self.record(outcome, of: change, actor: call.actor, requestID: call.requestID)
            // Before the commit, whose notification may have it compiled before this task goes on.
            tracer.noteChange(change.version)
            var answer = outcome.answer
            answer.headers["weir-version"] = String(change.version)
            if let idempotency { try await idempotency.keep(answer, change.version, in: session, key: sealingKey) }
            return (answer, change.version, false)
        }
        committed.notify()
        if let wait {
            let canary = answer.headers[CanaryRoutes.header]
            let lost = known.flatMap { Int64($0.version) >= version ? $0.lineage : nil }
            try await applied.wait(for: version, wait, canary: canary, lost: isStored ? nil : lost)
        }
        return answer
    }

    private static func bump(_ session: PostgresConnection) async throws -> Change {
        let rows = try await session.query(
            """
            UPDATE configuration
            SET version = version + 1,
                changed_at = greatest(changed_at, date_trunc('milliseconds', clock_timestamp()))
            RETURNING version, changed_at
            """
        )
        guard let row = rows.first else { throw Problem.internalFailure }
        return Change(session: session, version: try row.int("version"), at: try row.milliseconds("changed_at"))
    }

    /// Writes what a change needs beside its rows: audit entry, outbox row, notification.
    static func record(_ outcome: Outcome, of change: Change, actor: String, requestID: String) async throws {
        _ = try await change.session.query(
            """
            WITH audit AS (
                INSERT INTO audit_log
                    (at, version, actor, request_id, action, resource_kind, resource_id, before, after)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json, $9::json)
            ), event AS (
                INSERT INTO outbox (version, resource_kind, resource_id, created_at) VALUES ($2, $6, $7, $1)
            )
            SELECT pg_notify($10, ($2::bigint)::text)
            """,
            [
                .timestamp(milliseconds: change.at), .int(change.version), .text(actor), .text(requestID),
                .text(outcome.action), .text(outcome.kind), .text(outcome.id), Self.json(outcome.before),
                Self.json(outcome.after), .text(channel),
            ]
        )
    }

    private static func json(_ value: JSON?) -> PostgresValue { value.map { .json($0.text) } ?? .null }
}
