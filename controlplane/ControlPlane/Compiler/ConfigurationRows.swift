// What the compiler reads of the database: everything, or what changed since a version. The audit log has a row for
// each version, written in its transaction, so it says what changed, deletions included; if it does not have all of
// them, everything is read.

import Postgres
import Secrets
import Snapshot

/// The configuration's one row.
struct ConfigurationHead: Sendable {
    let version: UInt64
    let lineage: String
    let changedAt: Int64
    let isLineageConfirmed: Bool
    /// The open canary; nil when there is none.
    let canary: Canary?

    static func read(_ session: PostgresConnection) async throws -> ConfigurationHead {
        let rows = try await session.query(
            "SELECT version, lineage, changed_at, lineage_confirmed FROM configuration"
        )
        guard let row = rows.first else {
            throw CompileError(resource: "configuration", id: "", reason: "its row is missing")
        }
        return ConfigurationHead(
            version: UInt64(try row.int("version")),
            lineage: hex(try row.bytes("lineage")),
            changedAt: try row.milliseconds("changed_at"),
            isLineageConfirmed: try row.bool("lineage_confirmed"),
            canary: try await Canary.find(in: session)
        )
    }
}

/// Providers, models and their routes, which lie in one chunk.
struct RouteRows: Sendable {
    let providers: [PostgresRow]
    let models: [PostgresRow]
    let routes: [PostgresRow]

    static func read(_ session: PostgresConnection) async throws -> RouteRows {
        RouteRows(
            providers: try await session.query(
                "SELECT \(Provider.columns), fleet_sealed, fleet_key_id FROM providers"
            ),
            models: try await session.query("SELECT id, name, max_output_tokens, encoding FROM models"),
            routes: try await session.query(
                "SELECT model_id, provider_id, upstream_model, weight FROM routes ORDER BY model_id, position"
            )
        )
    }
}

/// All rows of one version.
struct ConfigurationRows: Sendable {
    /// Rows that one statement reads: each stays far below the statement timeout, whatever there is in all.
    private static let pageRows = 20_000
    static let selectKeys = """
        SELECT id, app_id, name, digest, tags, created_at, expires_at, revoked_at FROM keys
        """

    let apps: [PostgresRow]
    let keys: [PostgresRow]
    let policies: [PostgresRow]
    let routes: RouteRows

    static func read(_ session: PostgresConnection) async throws -> ConfigurationRows {
        ConfigurationRows(
            apps: try await all("\(App.select) WHERE id > $1", session),
            keys: try await all("\(selectKeys) WHERE id > $1", session),
            policies: try await all("\(PolicyRow.select) WHERE enabled AND id > $1", session),
            routes: try await RouteRows.read(session)
        )
    }

    private static func all(_ select: String, _ session: PostgresConnection) async throws -> [PostgresRow] {
        var rows: [PostgresRow] = []
        while true {
            let last = try rows.last?.string("id") ?? ""
            let page = try await session.query("\(select) ORDER BY id LIMIT \(pageRows)", [.text(last)])
            rows += page
            if page.count < pageRows { return rows }
        }
    }
}

/// The rows that changed between two versions of one lineage, as they are in the later one.
struct ChangedRows: Sendable {
    /// More changes than this are read as everything.
    static let maxChanges: UInt64 = 2000

    /// Apps that changed themselves or in a key; those without a row are gone, with their keys and policies.
    let appIDs: Set<String>
    let apps: [PostgresRow]
    let keys: [PostgresRow]
    /// Policies that changed; those without a row are gone or disabled.
    let policyIDs: Set<String>
    let policies: [PostgresRow]
    /// Nil when none of them changed.
    let routes: RouteRows?

    /// Reads what changed.
    ///
    /// - Returns: nil when the audit log cannot tell.
    static func read(
        _ session: PostgresConnection,
        from old: CompiledSnapshot,
        to head: ConfigurationHead
    ) async throws -> ChangedRows? {
        guard old.lineage == head.lineage, old.version < head.version, head.version - old.version <= maxChanges else {
            return nil
        }
        let log = try await session.query(
            "SELECT resource_kind, resource_id FROM audit_log WHERE version > $1 AND version <= $2",
            [.int(Int64(old.version)), .int(Int64(head.version))]
        )
        guard UInt64(log.count) == head.version - old.version else { return nil }
        var appIDs: Set<String> = []
        var keyIDs: Set<String> = []
        var policyIDs: Set<String> = []
        var hasRoutes = false
        for row in log {
            let id = try row.string("resource_id")
            switch try row.string("resource_kind") {
            case App.kind: appIDs.insert(id)
            case Key.kind: keyIDs.insert(id)
            case PolicyRow.kind: policyIDs.insert(id)
            case Provider.kind, Model.kind, FleetKey.kind: hasRoutes = true
            case LineageKeeper.auditKind: break  // it is in the head
            case LogLevelKeeper.auditKind: break  // nodes hear of it with their reports
            default: return nil
            }
        }
        if !keyIDs.isEmpty {
            let rows = try await session.query(
                "SELECT app_id FROM keys WHERE id = ANY($1)",
                [.textArray(Array(keyIDs))]
            )
            // A key without a row went with its app, whose own entry is in the log.
            for row in rows { appIDs.insert(try row.string("app_id")) }
        }
        let ids: [PostgresValue] = [.textArray(Array(appIDs))]
        return ChangedRows(
            appIDs: appIDs,
            apps: appIDs.isEmpty ? [] : try await session.query("\(App.select) WHERE id = ANY($1)", ids),
            keys: appIDs.isEmpty
                ? [] : try await session.query("\(ConfigurationRows.selectKeys) WHERE app_id = ANY($1)", ids),
            policyIDs: policyIDs,
            policies: policyIDs.isEmpty
                ? []
                : try await session.query(
                    "\(PolicyRow.select) WHERE enabled AND id = ANY($1)",
                    [.textArray(Array(policyIDs))]
                ),
            routes: hasRoutes ? try await RouteRows.read(session) : nil
        )
    }
}
