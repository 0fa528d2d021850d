// The open canary: one policy's change that a share of the nodes enforces already. The policy's own row stays what the
// other nodes enforce, so promoting writes it and aborting only forgets this.

import Postgres
import Snapshot

/// The row of `canary`, joined with the policy that it changes.
struct Canary: Sendable {
    /// What was done to the policy.
    enum Action: String, Sendable {
        case create, update, delete
    }

    /// A hundredth of a percent: 10 % is 1000.
    static let wholeShare: Int64 = 10_000

    static let select = """
        SELECT canary.id AS canary_id, action, share, threshold, actor, opened_at, canary.version AS opened_version,
            policies.id, sequence, canary.name, canary.kind, canary.config, canary.scope_app, canary.scope_key,
            canary.mode, canary.on_error, canary.priority, canary.enabled, created_at, opened_at AS updated_at,
            policies.version
        FROM canary JOIN policies ON policies.id = canary.policy_id
        """

    /// 32 hex digits.
    let id: String
    let action: Action
    /// The policy as the canary's nodes enforce it.
    let policy: PolicyRow
    let share: Int64
    let threshold: UInt64
    let actor: String
    let openedAt: Int64
    /// The configuration's version that opened it.
    let version: Int64

    init(_ row: PostgresRow) throws {
        id = try row.string("canary_id")
        action = Action(rawValue: try row.string("action")) ?? .update
        policy = try PolicyRow(row)
        share = try row.int("share")
        threshold = try row.bytes("threshold").reduce(0) { $0 << 8 | UInt64($1) }
        actor = try row.string("actor")
        openedAt = try row.milliseconds("opened_at")
        version = try row.int("opened_version")
    }

    /// The open one; nil when there is none.
    static func find(in session: some SQLSession) async throws -> Canary? {
        try await session.query(select, []).first.map(Canary.init)
    }

    /// The least threshold that takes in the share of the live nodes: at least one of them, rounded down.
    ///
    /// Without live nodes it is the share of all that may come.
    static func threshold(share: Int64, id: String, liveNodes: [String]) -> UInt64 {
        let ranks = liveNodes.map { SnapshotCanary.rank(of: $0, id: id) }.sorted()
        guard !ranks.isEmpty else {
            return (UInt64.max / UInt64(wholeShare)).multipliedReportingOverflow(by: UInt64(share)).partialValue
        }
        guard share < wholeShare else { return .max }
        return ranks[max(1, ranks.count * Int(share) / Int(wholeShare)) - 1]
    }

    /// Opens one; the caller has made sure that none is open.
    static func insert(
        _ draft: PolicyRow.Draft,
        of policyID: String,
        _ action: Action,
        id: String,
        share: Int64,
        threshold: UInt64,
        actor: String,
        change: Change
    ) async throws {
        let (app, key) = try await PolicyRow.scopeColumns(draft.scope, change)
        _ = try await change.session.execute(
            """
            INSERT INTO canary (id, policy_id, action, name, kind, config, scope_app, scope_key, mode, on_error,
                priority, enabled, share, threshold, actor, opened_at, version)
            SELECT $1, id, $3, coalesce($4, name), $5, $6::json, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
            FROM policies WHERE id = $2
            """,
            [
                .text(id), .text(policyID), .text(action.rawValue), draft.name.map { .text($0) } ?? .null,
                .text(draft.kind), .json(draft.config.text), app, key, .text(draft.mode), .text(draft.onError),
                draft.priority.map { .int($0) } ?? .null, .bool(draft.isEnabled), .int(share),
                .bytes((0..<8).map { UInt8(truncatingIfNeeded: threshold >> (56 - 8 * UInt64($0))) }),
                .text(actor), .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
    }
}
