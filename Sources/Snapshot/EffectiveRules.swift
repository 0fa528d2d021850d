// Which rules apply to a key, in order: worked out when the snapshot is built, so that a request walks one array.

import Policy

/// An ordered list of rules and what follows from it; apps and keys without policies of their own share one.
struct EffectiveRules: Sendable {
    let rules: [Rule]
    let maxBodyBytes: Int?

    /// Orders the rules.
    fileprivate init(_ ordered: [OrderedRule]) {
        rules = ordered.sorted { $0.precedes($1) }.map(\.rule)
        maxBodyBytes = rules.lazy.filter { $0.mode == .enforce }.compactMap(\.program.maxBodyBytes).min()
    }
}

/// A rule with what orders it.
private struct OrderedRule {
    let rule: Rule
    let sequence: UInt64

    /// Explicit priorities first, the lowest before all; then by time, then by the running number.
    func precedes(_ other: OrderedRule) -> Bool {
        // Wider than a priority, so that having none comes after having the greatest.
        let own = rule.priority.map(Int64.init) ?? .max
        let others = other.rule.priority.map(Int64.init) ?? .max
        guard own == others else { return own < others }
        guard rule.createdAt == other.rule.createdAt else { return rule.createdAt < other.rule.createdAt }
        guard sequence == other.sequence else { return sequence < other.sequence }
        return rule.policyID.lexicographicallyPrecedes(other.rule.policyID)
    }
}

/// The loaded policies by scope, while a snapshot is built.
struct RuleBook {
    private var global: [OrderedRule] = []
    private var byApp: [String: [OrderedRule]] = [:]
    private var byKey: [KeyID: [OrderedRule]] = [:]
    private let shared: EffectiveRules
    /// Rules in all.
    let count: Int

    /// Loads every policy's program, those of unknown apps and keys too: a policy that can't be loaded is a bad
    /// snapshot, whomever it is for.
    init(_ policies: [PolicyRecord], _ registry: PolicyRegistry) throws(SnapshotError) {
        for policy in policies {
            let rule = OrderedRule(rule: try Self.load(policy, registry), sequence: policy.sequence)
            switch policy.scope {
            case .global: global.append(rule)
            case .app(let id): byApp[id, default: []].append(rule)
            case .key(let id): byKey[id, default: []].append(rule)
            }
        }
        shared = EffectiveRules(global)
        count = policies.count
    }

    /// What applies to an app's keys that have no policy of their own.
    func rules(forApp id: String) -> EffectiveRules {
        guard let own = byApp[id] else { return shared }
        return EffectiveRules(global + own)
    }

    /// What applies to a key, given what applies to its app.
    func rules(forKey id: KeyID, app: String, inherited: EffectiveRules) -> EffectiveRules {
        guard !byKey.isEmpty, let own = byKey[id] else { return inherited }
        return EffectiveRules(global + (byApp[app] ?? []) + own)
    }

    private static func load(_ policy: PolicyRecord, _ registry: PolicyRegistry) throws(SnapshotError) -> Rule {
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
        return Rule(
            policyID: Array(policy.id.utf8),
            kind: policy.kind,
            mode: policy.mode,
            onError: policy.onError,
            program: program,
            priority: policy.priority,
            createdAt: policy.createdAt
        )
    }
}
