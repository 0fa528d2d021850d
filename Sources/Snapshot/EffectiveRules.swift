// Which rules apply to a key, in order: worked out when the snapshot is built, so that a request walks one array, and
// again only for those whom a changed policy is about.

import Policy
internal import Secrets

/// An ordered list of rules and what follows from it; apps and keys without policies of their own share one.
final class EffectiveRules: Sendable {
    let rules: [Rule]
    let maxBodyBytes: Int?

    /// Orders the rules.
    fileprivate init(_ ordered: [LoadedPolicy]) {
        rules = ordered.sorted { $0.precedes($1) }.map(\.rule)
        maxBodyBytes = rules.lazy.filter { $0.mode == .enforce }.compactMap(\.program.maxBodyBytes).min()
    }
}

/// A policy whose program was loaded: a rule, with what orders it and says whom it is for.
struct LoadedPolicy: Sendable, LoadedRecord {
    let rule: Rule
    let id: String
    let scope: PolicyScope
    let sequence: UInt64
    let digest: Digest

    /// Loads the program, that of an unknown app or key too: a policy that can't be loaded is a bad snapshot, whomever
    /// it is for.
    init(_ policy: PolicyRecord, digest: Digest, _ registry: PolicyRegistry) throws(SnapshotError) {
        guard let kind = registry.kind(named: policy.kind) else {
            throw .unknownKind(policy: policy.id, kind: policy.kind)
        }
        let program: RuleProgram
        do throws(ProgramError) {
            program = try kind.load(policy.program)
        } catch {
            let reason = "program: \(error.reason) at byte \(error.offset)"
            throw .invalidProgram(policy: policy.id, reason: reason)
        }
        rule = Rule(
            policyID: Array(policy.id.utf8),
            kind: policy.kind,
            mode: policy.mode,
            onError: policy.onError,
            program: program,
            priority: policy.priority,
            createdAt: policy.createdAt
        )
        id = policy.id
        scope = policy.scope
        sequence = policy.sequence
        self.digest = digest
    }

    /// Explicit priorities first, the lowest before all; then by time, then by the running number.
    fileprivate func precedes(_ other: LoadedPolicy) -> Bool {
        // Wider than a priority, so that having none comes after having the greatest.
        let own = rule.priority.map(Int64.init) ?? .max
        let others = other.rule.priority.map(Int64.init) ?? .max
        guard own == others else { return own < others }
        guard rule.createdAt == other.rule.createdAt else { return rule.createdAt < other.rule.createdAt }
        guard sequence == other.sequence else { return sequence < other.sequence }
        return rule.policyID.lexicographicallyPrecedes(other.rule.policyID)
    }
}

/// The loaded policies by scope; a value that goes from version to version.
struct RuleBook: Sendable {
    private var global: [LoadedPolicy] = []
    private var byApp: [String: [LoadedPolicy]] = [:]
    private var byKey: [KeyID: [LoadedPolicy]] = [:]
    /// What applies to whom no policy names.
    private(set) var shared = EffectiveRules([])

    /// Whose lists are other ones after an update.
    struct Affected {
        var apps: Set<String> = []
        var keys: Set<KeyID> = []
    }

    /// Takes policies out and in.
    mutating func update(removed: some Sequence<LoadedPolicy>, added: [LoadedPolicy]) -> Affected {
        var affected = Affected()
        var isGlobal = false
        for policy in removed {
            switch policy.scope {
            case .global:
                isGlobal = true
                global.removeAll { $0.id == policy.id }
            case .app(let id):
                affected.apps.insert(id)
                byApp[id]?.removeAll { $0.id == policy.id }
                if byApp[id]?.isEmpty == true { byApp[id] = nil }
            case .key(let id):
                affected.keys.insert(id)
                byKey[id]?.removeAll { $0.id == policy.id }
                if byKey[id]?.isEmpty == true { byKey[id] = nil }
            }
        }
        for policy in added {
            switch policy.scope {
            case .global:
                isGlobal = true
                global.append(policy)
            case .app(let id):
                affected.apps.insert(id)
                byApp[id, default: []].append(policy)
            case .key(let id):
                affected.keys.insert(id)
                byKey[id, default: []].append(policy)
            }
        }
        if isGlobal {
            // Everyone without a policy of their own has the shared list: one change for all of them.
            shared = EffectiveRules(global)
            affected.apps.formUnion(byApp.keys)
            affected.keys.formUnion(byKey.keys)
        }
        return affected
    }

    /// The slots of an app's keys; those without a policy of their own share the app's list.
    func slots(of app: LoadedApp) -> [KeySlot] {
        let own = byApp[app.id] ?? []
        let inherited = own.isEmpty ? nil : EffectiveRules(global + own)
        guard !byKey.isEmpty else { return app.keys.map { KeySlot(entry: $0, rules: inherited) } }
        return app.keys.map { entry in
            let rules = byKey[entry.keyID].map { EffectiveRules(global + own + $0) }
            return KeySlot(entry: entry, rules: rules ?? inherited)
        }
    }
}
