// What a simulation says, in the words that explanations of real requests have.

import LLMWire
import Limits
import Policy
import Snapshot

/// The answer as it grows.
struct SimulateAnswer {
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
        let cause = refusing?.refusal?.reason ?? limited.map { RefusalReason(limitOn: $0.unit) }
        let routes = (model?.routes ?? []).map { route -> JSON in
            [
                "provider": .string(route.provider.name), "upstream_model": .string(route.upstreamModelText),
                "weight": .integer(Int64(route.weight)),
            ]
        }
        return [
            "decision": .string(isRefused ? "refuse" : "allow"),
            "reason": .optional(reason ?? cause.map { "\($0.name)" }),
            "status": .optional(status ?? cause.map { Int64($0.clientError.status) }),
            "policy": .optional(policy.map { String(decoding: $0, as: UTF8.self) }),
            "snapshot_version": .integer(Int64(clamping: version)), "key": .string(keyID),
            "model": .optional(model?.name), "routes": .array(routes),
            "rules": parsed["rules"] ?? .array([]), "limits": parsed["limits"] ?? .array([]),
            // Without Redis a node would decide by its share, which only the node knows.
            "counters": .string(!isRedisAsked ? "not_asked" : isRedisThere ? "redis" : "unknown"),
        ]
    }
}
