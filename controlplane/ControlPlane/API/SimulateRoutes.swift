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

    private func simulate(_ call: Call) async throws -> Answer {
        let question = try SimulateQuestion(call, registry)
        guard let compiled = holder.current else { throw Problem.unavailable }
        guard bench.enter(max: Self.maxConcurrent) else {
            throw Problem.conflict("\(Self.maxConcurrent) simulations run already; try again.")
        }
        defer { bench.leave() }
        let snapshot = try await bench.snapshot(of: compiled)
        guard let key = find(question, in: snapshot) else {
            throw Problem.badRequest("No key of that app or with that id is in the snapshot.")
        }
        var answer = SimulateAnswer(version: snapshot.version, keyID: key.id, isUsable: key.isUsable(at: Timestamp.now))
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

    private func find(_ question: SimulateQuestion, in snapshot: EnforcedSnapshot) -> EnforcedKey? {
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

/// What simulations share: the snapshot as nodes hold it, and how many run. An actor, so that those who wait for a large
/// snapshot to be made hold none of the threads that answer everybody else.
private actor Bench {
    static let script = RedisScript(source: LimitScript.reserveAny.source)

    private let registry: PolicyRegistry
    private let lineage: LineageKeeper
    private let running = Mutex(0)
    private var enforced: EnforcedSnapshot?

    init(registry: PolicyRegistry, lineage: LineageKeeper) {
        self.registry = registry
        self.lineage = lineage
    }

    nonisolated func enter(max: Int) -> Bool {
        running.withLock { running in
            guard running < max else { return false }
            running += 1
            return true
        }
    }

    nonisolated func leave() { running.withLock { $0 -= 1 } }

    /// The compiled snapshot as a node enforces it; made from the one before, as nodes do.
    func snapshot(of compiled: CompiledSnapshot) throws -> EnforcedSnapshot {
        if let enforced, enforced.version == compiled.version, enforced.lineage == compiled.lineage { return enforced }
        let manifest = try lineage.verified(compiled.encoded.manifest)
        let chunks = compiled.encoded.chunks
        let made = try EnforcedSnapshot(manifest: manifest, replacing: enforced, registry: registry) { chunks[$0] }
        enforced = made
        return made
    }
}
