// What a node would say to a request, without one being sent: the same scan, rules and counters' script, on the snapshot
// that is compiled here. Nothing is counted, stored or logged of it.

import LLMWire
import Limits
import Policy
import Reactor
import Secrets
import Snapshot
import Synchronization
import Tokens

/// `POST /v1/simulate`.
struct SimulateRoutes: Sendable {
    /// Simulations at once: each may count a long prompt.
    private static let maxConcurrent = 4
    /// Policies to try besides those in force.
    private static let maxTrials = 16

    private let holder: SnapshotHolder
    private let redis: RedisClient
    private let registry: PolicyRegistry
    private let bench: Bench

    init(holder: SnapshotHolder, redis: RedisClient, registry: PolicyRegistry, lineage: LineageKeeper) {
        self.holder = holder
        self.redis = redis
        self.registry = registry
        bench = Bench(registry: registry, lineage: lineage)
    }

    var routes: [Route] { [Route("POST", "/v1/simulate", body: .json, simulate)] }

    // MARK: What is asked

    /// A call's fields, checked.
    private struct Question {
        let keyID: String?
        let appID: String?
        let endpoint: Endpoint
        let body: [UInt8]
        let headers: GivenHeaders
        let trials: [Rule]
    }

    private func question(_ call: Call) throws -> Question {
        try call.query.allowOnly([])
        var reader = ObjectReader(try call.object())
        let keyID = reader.optionalText("key", maxBytes: 64)
        let appID = reader.optionalText("app", maxBytes: 64)
        if (keyID == nil) == (appID == nil) { reader.refuse("key", "is needed, or app; not both") }
        let paths = Endpoint.allCases.map { "\($0.path)" }
        let path = reader.word("endpoint", of: paths, default: "\(Endpoint.chatCompletions.path)")
        let body = reader.take("body")
        if case .object? = body {} else { reader.refuse("body", "must be the request's body, an object") }
        var headers: [(name: [UInt8], value: [UInt8])] = []
        switch reader.take("headers") {
        case nil: break
        case .object(let members)? where members.count <= 100:
            for member in members {
                guard let value = member.value.stringValue, value.utf8.count <= 8_192, member.name.utf8.count <= 256
                else {
                    reader.refuse("headers", "must be texts of at most 8,192 bytes")
                    break
                }
                headers.append((Array(member.name.lowercased().utf8), Array(value.utf8)))
            }
        default: reader.refuse("headers", "must be an object of at most 100 texts")
        }
        let trials = try trials(reader.take("policies"), &reader)
        try reader.finish()
        return Question(
            keyID: keyID,
            appID: appID,
            endpoint: Endpoint.allCases[paths.firstIndex(of: path) ?? 0],
            body: body?.bytes ?? [],
            headers: GivenHeaders(fields: headers),
            trials: trials
        )
    }

    /// Policies that are tried without being stored; each gets an id that no stored one has.
    private func trials(_ value: JSON?, _ reader: inout ObjectReader) throws -> [Rule] {
        guard let value else { return [] }
        guard let policies = value.arrayValue, policies.count <= Self.maxTrials else {
            reader.refuse("policies", "must be at most \(Self.maxTrials) policies")
            return []
        }
        var rules: [Rule] = []
        for (index, policy) in policies.enumerated() {
            guard case .object(let members) = policy else {
                reader.refuse("policies", "must be objects")
                return []
            }
            var draft = ObjectReader(members)
            let kindName = draft.text("kind", maxBytes: 64, required: true) ?? ""
            let config = draft.take("config") ?? .null
            let mode = draft.word("mode", of: ["enforce", "shadow"], default: "enforce")
            let onError = draft.word("on_error", of: ["deny", "allow"], default: "deny")
            _ = draft.take("name")
            _ = draft.take("scope")
            try draft.finish()
            guard let kind = registry.kind(named: kindName) else {
                reader.refuse("policies", "\(index): there is no kind \(kindName.prefix(64))")
                return []
            }
            do throws(ConfigProblems) {
                let program = try kind.compile(ConfigValue(config))
                rules.append(
                    Rule(
                        policyID: Array("trial-\(index + 1)".utf8),
                        kind: kind.name,
                        mode: mode == "shadow" ? .shadow : .enforce,
                        onError: onError == "allow" ? .allow : .deny,
                        program: try load(kind, program),
                        priority: nil,
                        createdAt: .max
                    )
                )
            } catch {
                reader.refuse(
                    "policies",
                    "\(index): \(error.problems.map { "\($0.path) \($0.reason)" }.joined(separator: "; "))"
                )
                return []
            }
        }
        return rules
    }

    private func load(_ kind: any PolicyKind, _ program: [UInt8]) throws(ConfigProblems) -> RuleProgram {
        do throws(ProgramError) {
            return try kind.load(program)
        } catch {
            preconditionFailure("a program that was compiled here is one: \(error.reason)")
        }
    }

    // MARK: What a node would say

    private func simulate(_ call: Call) async throws -> Answer {
        let question = try question(call)
        guard let compiled = holder.current else { throw Problem.unavailable }
        guard bench.enter(max: Self.maxConcurrent) else {
            throw Problem.conflict("\(Self.maxConcurrent) simulations run already; try again.")
        }
        defer { bench.leave() }
        let snapshot = try bench.snapshot(of: compiled)
        guard let key = find(question, in: snapshot) else {
            throw Problem.badRequest("No key of that app or with that id is in the snapshot.")
        }
        var answer = Simulated(version: snapshot.version, keyID: key.id, isUsable: key.isUsable(at: Timestamp.now))
        guard answer.isUsable else { return .json(try answer.json(refusing: "key_not_usable", status: 401)) }
        let parsed: ParsedRequest
        do throws(ScanError) {
            parsed = try ParsedRequest.scan(question.body.span, endpoint: question.endpoint)
        } catch {
            return .json(try answer.json(refusing: "unreadable_body", status: 400))
        }
        guard !parsed.isBackground, !parsed.usesServerState else {
            return .json(try answer.json(refusing: "stored_responses", status: 400))
        }
        let name = parsed.model?.decoded(in: question.body.span) ?? []
        // Of the routes whose providers have the call.
        guard let model = snapshot.model(named: name.span),
            let route = model.routes.filter({ $0.provider.kind.serves(question.endpoint) })
                .max(by: { $0.weight < $1.weight })
        else { return .json(try answer.json(refusing: "model_not_found", status: 404)) }
        answer.note(model)
        let request = PolicyRequest(
            endpoint: question.endpoint,
            model: name,
            upstreamModels: model.upstreamModels,
            bodyBytes: question.body.count,
            parsed: parsed,
            body: question.body,
            prompt: PromptTokens(parsed, body: question.body, profile: route.tokens, meter: PromptMeter()),
            maxOutputTokens: model.maxOutputTokens,
            app: key.app.subject,
            key: key.subject,
            provider: route.provider.nameBytes,
            nowMilliseconds: Timestamp.now,
            headers: question.headers
        )
        let rules = key.rules + question.trials
        answer.explanation = Explanation(of: rules, asking: request)
        var claims: [LimitClaim] = []
        for (index, rule) in rules.enumerated() { rule.claims(request, rule: index, into: &claims) }
        if !claims.isEmpty { await answer.note(claims, peek(claims, of: key), rules) }
        return .json(try answer.json())
    }

    private func find(_ question: Question, in snapshot: EnforcedSnapshot) -> EnforcedKey? {
        if let id = question.keyID { return KeyID(id).flatMap { snapshot.key($0) } }
        guard let appID = question.appID else { return nil }
        var found: EnforcedKey?
        snapshot.forEachKey { key in
            // A key that works says more than one that does not.
            guard key.app.id.utf8.elementsEqual(appID.utf8) else { return }
            if found == nil || (!key.isRevoked && found?.isRevoked == true) { found = key }
        }
        return found
    }

    /// Where the counters stand; nil when Redis does not say.
    private func peek(_ claims: [LimitClaim], of key: EnforcedKey) async -> [LimitState]? {
        let call = PeekScript.call(app: key.app.subject.id, claims: claims)
        do {
            let reply = try await redis.evaluate(Bench.script, keys: call.keys, arguments: call.arguments)
            guard let integers = reply.integers else { return nil }
            return try PeekScript.states(of: integers, claims: claims)
        } catch {
            return nil
        }
    }
}

/// What simulations share: the snapshot as nodes hold it, and how many run.
private final class Bench: Sendable {
    static let script = RedisScript(source: LimitScript.reserveAny.source)

    private let registry: PolicyRegistry
    private let lineage: LineageKeeper
    private let running = Mutex(0)
    private let enforced = Mutex<EnforcedSnapshot?>(nil)

    init(registry: PolicyRegistry, lineage: LineageKeeper) {
        self.registry = registry
        self.lineage = lineage
    }

    func enter(max: Int) -> Bool {
        running.withLock { running in
            guard running < max else { return false }
            running += 1
            return true
        }
    }

    func leave() { running.withLock { $0 -= 1 } }

    /// The compiled snapshot as a node enforces it; made from the one before, as nodes do.
    func snapshot(of compiled: CompiledSnapshot) throws -> EnforcedSnapshot {
        try enforced.withLock { enforced in
            if let enforced, enforced.version == compiled.version, enforced.lineage == compiled.lineage {
                return enforced
            }
            let manifest = try lineage.verified(compiled.encoded.manifest)
            let chunks = compiled.encoded.chunks
            let made = try EnforcedSnapshot(manifest: manifest, replacing: enforced, registry: registry) { chunks[$0] }
            enforced = made
            return made
        }
    }
}

/// The header fields that a simulation is given.
private final class GivenHeaders: RequestHeaders {
    private let fields: [(name: [UInt8], value: [UInt8])]

    init(fields: [(name: [UInt8], value: [UInt8])]) { self.fields = fields }

    func value(of name: [UInt8]) -> [UInt8]? { fields.first { $0.name == name }?.value }

    func visit(_ show: (_ name: [UInt8], _ value: [UInt8]) -> Void) {
        for field in fields { show(field.name, field.value) }
    }
}

/// The answer as it grows.
private struct Simulated {
    let version: UInt64
    let keyID: String
    let isUsable: Bool
    var explanation: Explanation?
    private var model: EnforcedModel?
    private var isRedisAsked = false
    private var isRedisThere = true

    init(version: UInt64, keyID: String, isUsable: Bool) {
        self.version = version
        self.keyID = keyID
        self.isUsable = isUsable
    }

    mutating func note(_ model: EnforcedModel) { self.model = model }

    mutating func note(_ claims: [LimitClaim], _ states: [LimitState]?, _ rules: [Rule]) {
        isRedisAsked = true
        guard let states else {
            isRedisThere = false
            return
        }
        explanation?.limits = zip(claims, states).map { LimitVerdict($0, $1, rule: rules[$0.rule]) }
    }

    func json(refusing reason: String? = nil, status: Int64? = nil) throws -> JSON {
        let parsed = try JSONParser.parse(Array((explanation?.text(maxBytes: .max) ?? "{}").utf8))
        let refusing = explanation?.rules.first { $0.outcome == .refuse }
        let limited = explanation?.limits.first { $0.outcome == .refuse }
        let policy = refusing?.policyID ?? limited?.policyID
        let isRefused = reason != nil || policy != nil
        let why = reason ?? refusing?.refusal.map { "\($0.reason.name)" } ?? limited.map { _ in "limit_reached" }
        let routes = (model?.routes ?? []).map { route -> JSON in
            [
                "provider": .string(route.provider.name), "upstream_model": .string(route.upstreamModelText),
                "weight": .integer(Int64(route.weight)),
            ]
        }
        return [
            "decision": .string(isRefused ? "refuse" : "allow"),
            "reason": .optional(why), "status": .optional(status),
            "policy": .optional(policy.map { String(decoding: $0, as: UTF8.self) }),
            "snapshot_version": .integer(Int64(clamping: version)), "key": .string(keyID),
            "model": .optional(model?.name), "routes": .array(routes),
            "rules": parsed["rules"] ?? .array([]), "limits": parsed["limits"] ?? .array([]),
            // Without Redis a node would decide by its share, which only the node knows.
            "counters": .string(!isRedisAsked ? "not_asked" : isRedisThere ? "redis" : "unknown"),
        ]
    }
}
