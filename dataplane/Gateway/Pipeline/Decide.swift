// Stage 4: every rule in force for the key, in order, from memory; the first enforced refusal ends the walk.

import LLMWire
import Limits
import Policy
import Snapshot

/// Walks the effective rules of a key.
///
/// On the way to "allow" nothing is allocated.
enum Decide {
    /// - Returns: false when a rule refused and the client has its answer.
    static func admits(_ request: borrowing PolicyRequest, _ exchange: Exchange) -> Bool {
        var budget = EvaluationBudget()
        for rule in exchange.key.rules {
            guard case .refuse(let refusal) = rule.program.decide(request, &budget) else { continue }
            guard rule.refuses(refusal) else {
                exchange.noteNotRefused(refusal, by: rule)
                continue
            }
            exchange.marks.decided = exchange.worker.measures.stamp()
            exchange.explain()
            exchange.refuse(refusal, by: rule, with: error(for: refusal.reason, by: rule))
            exchange.recordAnsweredHere()
            return false
        }
        return true
    }

    /// Asks the rules again about a request that takes another route than the one they admitted; nothing is told, since
    /// it is the route that is refused, not the request.
    ///
    /// - Returns: whether it may go that way.
    static func permits(_ request: borrowing PolicyRequest, _ exchange: Exchange) -> Bool {
        var budget = EvaluationBudget()
        for rule in exchange.key.rules {
            if case .refuse(let refusal) = rule.program.decide(request, &budget), rule.refuses(refusal) { return false }
        }
        return true
    }

    /// Stage 5's claims: what the rules want counted in shared windows.
    static func claims(_ request: borrowing PolicyRequest, _ exchange: Exchange) -> [LimitClaim] {
        var claims: [LimitClaim] = []
        for (index, rule) in exchange.key.rules.enumerated() {
            rule.claims(request, rule: index, into: &claims)
        }
        return claims
    }

    private static func error(for reason: RefusalReason, by rule: Rule) -> ClientError {
        guard reason == .denied, let message = rule.program.clientMessage else { return reason.clientError }
        return .permission.saying(message)
    }
}
