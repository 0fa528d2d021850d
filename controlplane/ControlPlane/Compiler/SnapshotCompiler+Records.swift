// From rows to the records of a snapshot: equal rows give equal records, in whatever order they come.

import Policy
import Postgres
import Secrets
import Snapshot
import Synchronization

extension SnapshotCompiler {
    func apps(_ rows: [PostgresRow], keys keyRows: [PostgresRow]) throws -> [AppRecord] {
        var keys: [String: [KeyRecord]] = [:]
        for row in keyRows {
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
        return try rows.map { row in
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

    func policies(_ rows: [PostgresRow]) throws -> [PolicyRecord] {
        try rows.map { row in
            let policy = try PolicyRow(row)
            return try record(policy, program: try program(of: policy))
        }
    }

    func record(_ policy: PolicyRow, program: [UInt8]) throws -> PolicyRecord {
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

    func compile(_ policy: PolicyRow) throws -> [UInt8] {
        guard let kind = store.registry.kind(named: policy.policyKind) else {
            throw CompileError(resource: "policy", id: policy.id, reason: "its kind is not registered here")
        }
        return try kind.compile(ConfigValue(policy.config))
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

    func providers(_ rows: RouteRows) throws -> [ProviderRecord] {
        try rows.providers.map { row in
            let provider = try Provider(row)
            return ProviderRecord(
                id: provider.id,
                name: provider.name,
                kind: try providerKind(provider),
                baseURL: provider.baseURL,
                sealedCredential: try credential(row, provider),
                injectsStreamUsage: provider.injectsStreamUsage,
                timeouts: provider.timeouts,
                allowsPrivateAddresses: provider.allowsPrivate
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

    func models(_ rows: RouteRows) throws -> [ModelRecord] {
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
