// Notices that the database was set back to an older state, and begins a new history then: a version that a node
// enforces already would otherwise be given out again for another configuration. Evidence is a head in Redis with our
// own signature, the report of a node, or what was compiled here: of a version that the database has not reached, or
// that it made at another time.

import Logging
import Postgres
import Secrets
import Snapshot
import Synchronization
import Telemetry

/// Begins lineages; any thread.
final class LineageKeeper: Sendable {
    /// What the audit log calls it.
    static let auditKind = "lineage"

    /// Somebody has seen a version of a lineage.
    struct Evidence: Sendable {
        let lineage: String
        let version: UInt64
        /// When that version was made, in milliseconds since the Unix epoch; nil when the witness cannot tell.
        let createdAt: Int64?
        /// For the log.
        let witness: String
    }

    private let store: Store
    private let verifyingKey: VerifyingKey
    private let logger: Logger
    private let changes: Counter
    private let suspicion = Mutex<Evidence?>(nil)
    private let suspected = Beacon()

    init(store: Store, verifyingKey: VerifyingKey, metrics: MetricRegistry, logger: Logger) {
        self.store = store
        self.verifyingKey = verifyingKey
        self.logger = logger
        changes = metrics.counter(
            "weir.lineage.changes",
            help: "lineages begun because the database was set back"
        )
    }

    /// A manifest that this deployment signed.
    func verified(_ manifest: [UInt8]) throws(SnapshotError) -> Manifest {
        try SnapshotDecoder.manifest(manifest, verifyingKey: verifyingKey)
    }

    /// Has the evidence looked into; returns at once, and costs one comparison in the database.
    func suspect(_ evidence: Evidence) {
        suspicion.withLock { current in
            if let current, current.lineage == evidence.lineage, current.version >= evidence.version { return }
            current = evidence
        }
        suspected.notify()
    }

    /// Looks into evidence until cancelled.
    func run() async {
        while !Task.isCancelled {
            let rings = suspected.rings
            if let evidence = suspicion.withLock({ $0.take() }) {
                do {
                    try await judge(evidence)
                } catch {
                    // The next report or refusal brings it up again.
                    logger.debug("evidence not looked into", metadata: ["reason": "\(error)"])
                }
            }
            await suspected.wait(past: rings, atMost: .seconds(60))
        }
    }

    private func judge(_ evidence: Evidence) async throws {
        let rows = try await store.pool.query("SELECT version FROM configuration")
        guard let version = try rows.first?.int("version") else { return }
        let begun = try await store.pool.transaction { session in
            try await Self.begin(session, because: evidence)
        }
        guard let begun else { return }
        changes.add()
        logger.error(
            "the database was set back: a new lineage begins; nodes hold on to revocations until it is confirmed",
            metadata: [
                "witness": "\(evidence.witness)", "seen_version": "\(evidence.version)",
                "database_version": "\(version)", "lineage": "\(begun)",
            ]
        )
        store.committed.notify()
    }

    /// - Returns: the new lineage; nil when the evidence, looked at under the row's lock, proves nothing.
    private static func begin(_ session: PostgresConnection, because evidence: Evidence) async throws -> String? {
        let lineage = SecureRandom.bytes(16)
        // Nodes take another lineage only when it was made later than what they enforce.
        let rows = try await session.query(
            """
            UPDATE configuration
            SET version = version + 1, lineage = $1, previous_lineage = lineage, lineage_confirmed = false,
                changed_at = greatest(changed_at, $4, date_trunc('milliseconds', clock_timestamp())),
                lineage_since = date_trunc('milliseconds', clock_timestamp())
            WHERE lineage = decode($2, 'hex')
                AND (version < $3 OR EXISTS (SELECT 1 FROM audit_log WHERE audit_log.version = $3 AND at <> $5))
            RETURNING version, changed_at
            """,
            [
                .bytes(lineage), .text(evidence.lineage), .int(Int64(clamping: evidence.version)),
                .timestamp(milliseconds: (evidence.createdAt ?? -1) + 1),
                evidence.createdAt.map { .timestamp(milliseconds: $0) } ?? .null,
            ]
        )
        guard let row = rows.first else { return nil }
        let change = Change(
            session: session,
            version: try row.int("version"),
            at: try row.milliseconds("changed_at")
        )
        let outcome = Outcome(
            answer: .noContent,
            action: "begin",
            kind: Self.auditKind,
            id: hex(lineage),
            before: nil,
            after: ["witness": .string(evidence.witness), "seen_version": .integer(Int64(clamping: evidence.version))]
        )
        try await Store.record(outcome, of: change, actor: "system", requestID: "")
        return hex(lineage)
    }
}

extension LineageKeeper.Evidence {
    init(_ snapshot: CompiledSnapshot, witness: String) {
        self.init(
            lineage: snapshot.lineage,
            version: snapshot.version,
            createdAt: snapshot.createdAt,
            witness: witness
        )
    }

    init(_ manifest: Manifest, witness: String) {
        self.init(
            lineage: manifest.lineage,
            version: manifest.version,
            createdAt: manifest.createdAt,
            witness: witness
        )
    }
}
