// Brings the database to the schema of this build: forward only, each file once, recorded with its digest, one control
// plane at a time. A file that changed after it was run stops the start instead of being half believed.

import Logging
import Postgres
import Secrets

/// The numbered files of schemas/postgres.
enum Migrations {
    /// "weir" in ASCII and a number, beside the publisher's lock.
    static let lockID: Int64 = 0x7765_6972_0000_0002

    private static let files: [(name: String, sql: [UInt8])] = [
        ("0001_foundation", PackageResources.migration_0001_sql),
        ("0002_model_tokens", PackageResources.migration_0002_sql),
        ("0003_provider_timeouts", PackageResources.migration_0003_sql),
        ("0004_distribution", PackageResources.migration_0004_sql),
        ("0005_log_levels", PackageResources.migration_0005_sql),
        ("0006_explanations", PackageResources.migration_0006_sql),
        ("0007_node_load", PackageResources.migration_0007_sql),
    ]

    /// Runs what has not been run.
    ///
    /// - Throws: `MigrationError` when the database and this build do not belong together.
    static func run(_ pool: PostgresPool, logger: Logger) async throws {
        // Nothing is written when nothing is missing, so that a read-only database can still be served from.
        let found = try await pool.query("SELECT to_regclass('schema_migrations') IS NOT NULL AS is_there")
        if try found.first?.bool("is_there") != true {
            try await pool.runScript(
                """
                BEGIN;
                SELECT pg_advisory_xact_lock(\(lockID));
                CREATE TABLE IF NOT EXISTS schema_migrations (
                    name text PRIMARY KEY, digest bytea NOT NULL, run_at timestamptz NOT NULL DEFAULT now()
                );
                COMMIT;
                """
            )
        }
        for file in files {
            let digest = SHA256.digest(file.sql)
            // The lock is taken inside the script's own transaction and ends with it; whoever comes second finds the
            // row and its script fails on the primary key, which is asked again below.
            if try await isRun(file.name, digest, pool) { continue }
            do throws(PostgresError) {
                try await pool.runScript(
                    """
                    BEGIN;
                    SELECT pg_advisory_xact_lock(\(lockID));
                    INSERT INTO schema_migrations (name, digest) VALUES ('\(file.name)', '\\x\(digest.hex)');
                    \(String(decoding: file.sql, as: UTF8.self))
                    COMMIT;
                    """
                )
                logger.info("database migrated", metadata: ["file": "\(file.name)"])
            } catch {
                guard error.kind == .uniqueViolation, try await isRun(file.name, digest, pool) else { throw error }
            }
        }
        try await refuseUnknown(pool)
    }

    private static func isRun(_ name: String, _ digest: Digest, _ pool: PostgresPool) async throws -> Bool {
        let rows = try await pool.query("SELECT digest FROM schema_migrations WHERE name = $1", [.text(name)])
        guard let row = rows.first else { return false }
        guard try row.bytes("digest") == digest.bytes else { throw MigrationError.changed(name) }
        return true
    }

    private static func refuseUnknown(_ pool: PostgresPool) async throws {
        let known = files.map(\.name)
        let rows = try await pool.query(
            "SELECT name FROM schema_migrations WHERE name <> ALL ($1::text[]) LIMIT 1",
            [.textArray(known)]
        )
        if let row = rows.first { throw MigrationError.fromTheFuture(try row.string("name")) }
    }
}

/// Why the database cannot be used by this build.
enum MigrationError: Error {
    /// The file was edited after it was run.
    case changed(String)
    /// A newer build has migrated this database.
    case fromTheFuture(String)
}
