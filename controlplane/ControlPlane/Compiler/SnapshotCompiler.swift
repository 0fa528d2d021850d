// From rows to a signed snapshot. All rows are read in one repeatable-read transaction, so a snapshot is exactly the
// configuration of its version; equal rows give equal bytes on every control plane.

import Policy
import Postgres
import Secrets
import Snapshot
import Synchronization

/// A compiled configuration.
struct CompiledSnapshot: Sendable {
    let lineage: String
    let version: UInt64
    /// When its version was made, in milliseconds since the Unix epoch.
    let createdAt: Int64
    let encoded: EncodedSnapshot
    /// What a share of the nodes enforces in place of some of its chunks; nil while no canary is open.
    let canary: CompiledCanary?
    /// false after a restore, until an admin has looked at it.
    let isLineageConfirmed: Bool
    let counts: Counts
    let compileMicroseconds: Int64

    /// How much it holds.
    struct Counts: Sendable {
        let apps: Int
        let keys: Int
        let policies: Int
        let providers: Int
        let models: Int
    }

    /// Its chunks and those of its canary.
    var allChunks: [Digest: [UInt8]] {
        guard let canary else { return encoded.chunks }
        return encoded.chunks.merging(canary.encoded.chunks) { chunk, _ in chunk }
    }

    /// What names it in the `weir:{snapshot}:position` key and on the channel.
    var position: String { "\(lineage) \(version)" }
}

/// Compiles; keeps the programs of policies whose config did not change.
final class SnapshotCompiler: Sendable {
    private struct CachedProgram {
        let version: Int64
        let program: [UInt8]
    }

    private let store: Store
    private let signingKey: SigningKey
    private let programs = Mutex<[String: CachedProgram]>([:])

    init(store: Store, signingKey: SigningKey) {
        self.store = store
        self.signingKey = signingKey
    }

    /// Reads and compiles the configuration as it is now.
    ///
    /// Costs seven queries and time linear in the rows.
    func compile() async throws -> CompiledSnapshot {
        let clock = ContinuousClock()
        let start = clock.now
        let rows = try await store.pool.transaction(isolation: .repeatableRead) { session in
            try await ConfigurationRows.read(session)
        }
        let content = SnapshotContent(
            apps: try apps(rows),
            policies: try policies(rows),
            providers: try providers(rows),
            models: try models(rows)
        )
        try SnapshotEncoder.check(content)
        let encoded = SnapshotEncoder.encode(
            content,
            lineage: rows.lineage,
            version: rows.version,
            createdAt: rows.changedAt,
            signingKey: signingKey
        )
        return CompiledSnapshot(
            lineage: rows.lineage,
            version: rows.version,
            createdAt: rows.changedAt,
            encoded: encoded,
            canary: try rows.canary.map { try canary(Canary($0), content.policies, encoded) },
            isLineageConfirmed: rows.isLineageConfirmed,
            counts: CompiledSnapshot.Counts(
                apps: content.apps.count,
                keys: rows.keys.count,
                policies: content.policies.count,
                providers: content.providers.count,
                models: content.models.count
            ),
            compileMicroseconds: Int64((clock.now - start) / .microseconds(1))
        )
    }

    private func apps(_ rows: ConfigurationRows) throws -> [AppRecord] {
        var keys: [String: [KeyRecord]] = [:]
        for row in rows.keys {
            let text = try row.string("id")
            guard let id = KeyID(text), let digest = Digest(bytes: try row.bytes("digest")) else {
                throw CompileError(resource: "key", id: text, reason: "its id or digest is malformed")
            }
            keys[try row.string("app_id"), default: []].append(
                KeyRecord(
                    id: id,
                    name: try row.string("name"),
                    digest: digest,
                    tags: try row.stringArray("tags"),
                    createdAt: try row.milliseconds("created_at"),
                    expiresAt: try row.optionalMilliseconds("expires_at"),
                    isRevoked: try !row.isNull("revoked_at")
                )
            )
        }
        return try rows.apps.map { row in
            let app = try App(row)
            return AppRecord(
                id: app.id,
                name: app.name,
                organisation: app.organisation,
                tier: app.tier,
                tags: app.tags,
                isEnabled: app.isEnabled,
                keys: keys[app.id] ?? []
            )
        }
    }

    private func policies(_ rows: ConfigurationRows) throws -> [PolicyRecord] {
        try rows.policies.map { row in
            let policy = try PolicyRow(row)
            return try record(policy, program: try program(of: policy))
        }
    }

    private func record(_ policy: PolicyRow, program: [UInt8]) throws -> PolicyRecord {
        let scope: PolicyScope
        switch policy.scope {
        case .global: scope = .global
        case .app(let id): scope = .app(id)
        case .key(let text):
            guard let id = KeyID(text) else {
                throw CompileError(resource: "policy", id: policy.id, reason: "its key's id is malformed")
            }
            scope = .key(id)
        }
        return PolicyRecord(
            id: policy.id,
            name: policy.name,
            kind: policy.policyKind,
            scope: scope,
            mode: policy.mode == "shadow" ? .shadow : .enforce,
            onError: policy.onError == "allow" ? .allow : .deny,
            priority: policy.priority.map { Int32(clamping: $0) },
            createdAt: policy.createdAt,
            sequence: UInt64(policy.sequence),
            program: program
        )
    }

    /// The canary's side of this snapshot: the same policies but for the one that it changes.
    private func canary(
        _ canary: Canary,
        _ stable: [PolicyRecord],
        _ base: EncodedSnapshot
    ) throws -> CompiledCanary {
        var policies = stable.filter { $0.id != canary.policy.id }
        if canary.action != .delete, canary.policy.isEnabled {
            policies.append(try record(canary.policy, program: try compile(canary.policy)))
        }
        let encoded = try SnapshotEncoder.encodeCanary(
            changing: canary.policy.id,
            to: policies,
            base: base,
            id: canary.id,
            threshold: canary.threshold,
            signingKey: signingKey
        )
        return CompiledCanary(id: canary.id, threshold: canary.threshold, encoded: encoded)
    }

    private func program(of policy: PolicyRow) throws -> [UInt8] {
        let cached = programs.withLock { $0[policy.id] }
        if let cached, cached.version == policy.version { return cached.program }
        let program = try compile(policy)
        programs.withLock { programs in
            // A bound, not a policy: forgetting all of them costs one slow compile.
            if programs.count > 100_000 { programs.removeAll() }
            programs[policy.id] = CachedProgram(version: policy.version, program: program)
        }
        return program
    }

    private func compile(_ policy: PolicyRow) throws -> [UInt8] {
        guard let kind = store.registry.kind(named: policy.policyKind) else {
            throw CompileError(resource: "policy", id: policy.id, reason: "its kind is not registered here")
        }
        return try kind.compile(ConfigValue(policy.config))
    }

    private func providers(_ rows: ConfigurationRows) throws -> [ProviderRecord] {
        try rows.providers.map { row in
            let provider = try Provider(row)
            return ProviderRecord(
                id: provider.id,
                name: provider.name,
                kind: try providerKind(provider),
                baseURL: provider.baseURL,
                sealedCredential: try credential(row, provider),
                injectsStreamUsage: provider.injectsStreamUsage
            )
        }
    }

    private func providerKind(_ provider: Provider) throws -> ProviderKind {
        switch provider.providerKind {
        case "openai": .openAI
        case "anthropic": .anthropic
        case "openai_compatible": .openAICompatible
        default: throw CompileError(resource: "provider", id: provider.id, reason: "its kind is unknown")
        }
    }

    private func credential(_ row: PostgresRow, _ provider: Provider) throws -> [UInt8]? {
        guard provider.hasCredential else { return nil }
        // Sealed by another fleet key only for a moment, while the key is rotated: nodes could not open it.
        guard try row.optionalString("fleet_key_id") == store.fleetKey.id else {
            throw CompileError(
                resource: "provider",
                id: provider.id,
                reason: "its credential is under another fleet key"
            )
        }
        return try row.bytes("fleet_sealed")
    }

    private func models(_ rows: ConfigurationRows) throws -> [ModelRecord] {
        var routes: [String: [RouteRecord]] = [:]
        for row in rows.routes {
            routes[try row.string("model_id"), default: []].append(
                RouteRecord(
                    providerID: try row.string("provider_id"),
                    upstreamModel: try row.string("upstream_model"),
                    weight: UInt32(clamping: try row.int("weight"))
                )
            )
        }
        return try rows.models.map { row in
            ModelRecord(
                name: try row.string("name"),
                routes: routes[try row.string("id")] ?? [],
                maxOutputTokens: try row.optionalInt("max_output_tokens"),
                encoding: try row.optionalString("encoding")
            )
        }
    }
}

/// A canary's side of a snapshot.
struct CompiledCanary: Sendable {
    let id: String
    let threshold: UInt64
    let encoded: EncodedCanary

    /// Whether a node enforces it.
    func includes(nodeID: String) -> Bool { SnapshotCanary.rank(of: nodeID, id: id) <= threshold }
}

/// A row that cannot be enforced; the last good snapshot stays.
struct CompileError: Error, Sendable {
    let resource: String
    let id: String
    let reason: String
}

/// All rows of one version.
private struct ConfigurationRows: Sendable {
    let version: UInt64
    let lineage: String
    let changedAt: Int64
    let isLineageConfirmed: Bool
    let canary: PostgresRow?
    let apps: [PostgresRow]
    let keys: [PostgresRow]
    let policies: [PostgresRow]
    let providers: [PostgresRow]
    let models: [PostgresRow]
    let routes: [PostgresRow]

    static func read(_ session: PostgresConnection) async throws -> ConfigurationRows {
        let heads = try await session.query("SELECT version, lineage, changed_at, lineage_confirmed FROM configuration")
        guard let head = heads.first else {
            throw CompileError(resource: "configuration", id: "", reason: "its row is missing")
        }
        return ConfigurationRows(
            version: UInt64(try head.int("version")),
            lineage: hex(try head.bytes("lineage")),
            changedAt: try head.milliseconds("changed_at"),
            isLineageConfirmed: try head.bool("lineage_confirmed"),
            canary: try await session.query(Canary.select).first,
            apps: try await session.query(App.select),
            keys: try await session.query(
                "SELECT id, app_id, name, digest, tags, created_at, expires_at, revoked_at FROM keys ORDER BY sequence"
            ),
            policies: try await session.query("\(PolicyRow.select) WHERE enabled"),
            providers: try await session.query(
                """
                SELECT id, sequence, name, kind, base_url, sealed IS NOT NULL AS has_credential, injects_stream_usage,
                    created_at, updated_at, version, fleet_sealed, fleet_key_id
                FROM providers
                """
            ),
            models: try await session.query("SELECT id, name, max_output_tokens, encoding FROM models"),
            routes: try await session.query(
                "SELECT model_id, provider_id, upstream_model, weight FROM routes ORDER BY model_id, position"
            )
        )
    }
}
