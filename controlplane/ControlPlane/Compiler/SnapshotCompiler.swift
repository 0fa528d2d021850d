// From rows to a signed snapshot. All rows are read in one repeatable-read transaction, so a snapshot is exactly the
// configuration of its version; equal rows give equal bytes on every control plane, and in whichever of the two ways
// they were compiled: all of them, or those that changed since the version before.

import Policy
import Postgres
import Secrets
import Snapshot
import Synchronization

/// Compiles; keeps the programs of policies whose config did not change.
final class SnapshotCompiler: Sendable {
    struct CachedProgram {
        let version: Int64
        let program: [UInt8]
    }

    private enum Rows: Sendable {
        case all(ConfigurationRows)
        case changed(ChangedRows)
    }

    let store: Store
    private let signingKey: SigningKey
    let programs = Mutex<[String: CachedProgram]>([:])

    init(store: Store, signingKey: SigningKey) {
        self.store = store
        self.signingKey = signingKey
    }

    /// Reads and compiles the configuration as it is now.
    ///
    /// After an earlier version it costs what changed since, as the audit log has it: some five queries, and the leaves
    /// around the changed records. Without one, or when anything about the difference is in doubt, it costs time linear
    /// in the rows.
    func compile(after previous: CompiledSnapshot? = nil) async throws -> CompiledSnapshot {
        let clock = ContinuousClock()
        let start = clock.now
        let (head, rows) = try await store.pool.transaction(isolation: .repeatableRead) { session in
            let head = try await ConfigurationHead.read(session)
            if let previous, let changed = try await ChangedRows.read(session, from: previous, to: head) {
                return (head, Rows.changed(changed))
            }
            return (head, Rows.all(try await ConfigurationRows.read(session)))
        }
        // Versions of another lineage may carry the numbers of those that were lost.
        if let previous, previous.lineage != head.lineage { programs.withLock { $0.removeAll() } }
        let parts: Parts
        switch (rows, previous) {
        case (.changed(let rows), let previous?):
            do {
                parts = try apply(rows, to: previous)
            } catch is SnapshotError {
                // What was compiled before may be at fault as well as what is new.
                return try await compile()
            }
        case (.all(let rows), _): parts = try compileAll(rows)
        case (.changed, nil): preconditionFailure("changes are read only after a version")
        }
        return CompiledSnapshot(
            lineage: head.lineage,
            version: head.version,
            createdAt: head.changedAt,
            encoded: parts.image.signed(
                lineage: head.lineage,
                version: head.version,
                createdAt: head.changedAt,
                signingKey: signingKey
            ),
            canary: try head.canary.map { try canary($0, of: parts.image, head) },
            isLineageConfirmed: head.isLineageConfirmed,
            image: parts.image,
            scopes: parts.scopes,
            counts: parts.counts,
            compileMicroseconds: Int64((clock.now - start) / .microseconds(1)),
            isIncremental: parts.isIncremental
        )
    }

    /// The canary's side of a version: the same but for one policy.
    private func canary(
        _ canary: Canary,
        of image: SnapshotImage,
        _ head: ConfigurationHead
    ) throws -> CompiledCanary {
        let isThere = canary.action != .delete && canary.policy.isEnabled
        return CompiledCanary(
            id: canary.id,
            threshold: canary.threshold,
            encoded: try image.canary(
                id: canary.id,
                threshold: canary.threshold,
                changing: canary.policy.id,
                to: isThere ? try record(canary.policy, program: try compile(canary.policy)) : nil,
                lineage: head.lineage,
                version: head.version,
                signingKey: signingKey
            )
        )
    }

    private struct Parts {
        var image: SnapshotImage
        var scopes: [String: PolicyScope]
        var counts: CompiledSnapshot.Counts
        let isIncremental: Bool
    }

    private func compileAll(_ rows: ConfigurationRows) throws -> Parts {
        let content = SnapshotContent(
            apps: try apps(rows.apps, keys: rows.keys),
            policies: try policies(rows.policies),
            providers: try providers(rows.routes),
            models: try models(rows.routes)
        )
        var scopes: [String: PolicyScope] = [:]
        for policy in content.policies where policy.scope != .global { scopes[policy.id] = policy.scope }
        return Parts(
            image: try SnapshotEncoder.check(content),
            scopes: scopes,
            counts: CompiledSnapshot.Counts(
                apps: content.apps.count,
                keys: rows.keys.count,
                policies: content.policies.count,
                providers: content.providers.count,
                models: content.models.count
            ),
            isIncremental: false
        )
    }

    private func apply(_ rows: ChangedRows, to previous: CompiledSnapshot) throws -> Parts {
        var parts = Parts(
            image: previous.image,
            scopes: previous.scopes,
            counts: previous.counts,
            isIncremental: true
        )
        var apps = [String: AppRecord?](uniqueKeysWithValues: rows.appIDs.map { ($0, nil) })
        for app in try self.apps(rows.apps, keys: rows.keys) { apps[app.id] = .some(app) }
        var policies = [String: PolicyRecord?](uniqueKeysWithValues: rows.policyIDs.map { ($0, nil) })
        for policy in try self.policies(rows.policies) { policies[policy.id] = .some(policy) }

        for (id, app) in apps {
            let old = try previous.image.app(id)
            parts.counts.keys += (app?.keys.count ?? 0) - (old?.keys.count ?? 0)
            guard app == nil, let old else { continue }
            // Its policies and those of its keys went with it, without an entry of their own.
            let gone = Set(old.keys.map { PolicyScope.key($0.id) } + [.app(id)])
            for (policy, scope) in previous.scopes where gone.contains(scope) && policies[policy] == nil {
                policies[policy] = .some(nil)
            }
        }
        for (id, policy) in policies {
            parts.scopes[id] = policy.flatMap { $0.scope == .global ? nil : $0.scope }
        }
        try parts.image.replaceApps(apps)
        try parts.image.replacePolicies(policies)
        if let rows = rows.routes {
            let (providers, models) = (try providers(rows), try models(rows))
            try parts.image.replaceRoutes(providers, models)
            parts.counts.providers = providers.count
            parts.counts.models = models.count
        }
        parts.counts.apps = parts.image.appCount
        parts.counts.policies = parts.image.policyCount
        return parts
    }
}
