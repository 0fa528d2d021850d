// GET /v1/models: what this key may use, in the caller's own shape (DESIGN 10).

import LLMWire
import NIOHTTP1
import Policy
import Snapshot
import Telemetry

/// Answers model lists from the snapshot.
enum ModelList {
    static func answer(
        _ path: Substring,
        key: EnforcedKey,
        active: ActiveSnapshot,
        dialect: Dialect,
        requestID: String
    ) -> EarlyAnswer {
        let models = active.policies.models.filter { isAllowed($0, key: key) }
        let headers = RequestHandler.identityHeaders(dialect, requestID: requestID, origin: .gateway)
        let body: [UInt8]
        var status = 200
        if path.utf8.count > "/v1/models/".utf8.count {
            let name = Array(path.utf8.dropFirst("/v1/models/".utf8.count))
            // A model that the key may not use is one that does not exist.
            if let model = models.first(where: { $0.name.utf8.elementsEqual(name) }) {
                body = Array(entry(model, active, dialect).utf8)
            } else {
                status = ClientError.modelNotFound.status
                body = ClientError.modelNotFound.body(dialect, requestID: Array(requestID.utf8))
            }
        } else {
            body = Array(list(models, active, dialect).utf8)
        }
        return EarlyAnswer(status: status, body: .ready(body), contentType: "application/json", headers: headers)
    }

    /// Whether every enforced rule lets the key use the model under both of its names.
    static func isAllowed(_ model: EnforcedModel, key: EnforcedKey) -> Bool {
        for rule in key.rules where rule.mode == .enforce {
            for name in [model.nameBytes] + model.upstreamModels {
                let isPermitted = rule.program.permits(model: name.span)
                guard isPermitted else { return false }
            }
        }
        return true
    }

    private static func list(_ models: [EnforcedModel], _ active: ActiveSnapshot, _ dialect: Dialect) -> String {
        let entries = models.map { entry($0, active, dialect) }.joined(separator: ",")
        guard dialect == .anthropic else { return "{\"object\":\"list\",\"data\":[\(entries)]}" }
        let first = models.first.map { quoted($0.name) } ?? "null"
        let last = models.last.map { quoted($0.name) } ?? "null"
        return "{\"data\":[\(entries)],\"has_more\":false,\"first_id\":\(first),\"last_id\":\(last)}"
    }

    private static func entry(_ model: EnforcedModel, _ active: ActiveSnapshot, _ dialect: Dialect) -> String {
        let name = quoted(model.name)
        let created = active.policies.createdAt
        return switch dialect {
        case .openAI:
            "{\"id\":\(name),\"object\":\"model\",\"created\":\(created / 1_000),\"owned_by\":\"weir\"}"
        case .anthropic:
            "{\"type\":\"model\",\"id\":\(name),\"display_name\":\(name),\"created_at\":\"\(WallClock.rfc3339(created))\"}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        JSONText.append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
