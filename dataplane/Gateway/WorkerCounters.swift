// What a worker counts; its cells are its own, so counting never waits for another core.

import Ledger
import Policy
import Telemetry

/// One worker's cells of the node's metrics.
struct WorkerCounters {
    let freshRequests: Counter
    let staleRequests: Counter
    let unauthorized: Counter
    let malformed: Counter
    let unscannable: Counter
    let refusedConnections: Counter
    let timedOut: Counter
    let shadowed: Counter
    let failedRules: Counter
    let violations: Counter
    let refusedRetries: Counter
    private let refusals: [RefusalReason: Counter]
    private let outcomes: [UsageRecord.Outcome: Counter]

    init(_ counters: Counters) {
        func counter(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Counter {
            counters.counter("weir_\(name)_total", help: help, labels: labels)
        }
        let memory = [MetricLabel("tier", "memory")]
        freshRequests = counter(
            "policy_cache_hits",
            "configuration found in a tier, confirmed in time",
            memory
        )
        staleRequests = counter("policy_cache_misses", "configuration not found in a tier, or stale there", memory)
        unauthorized = counter("unauthorized", "requests without a valid key")
        malformed = counter("malformed_requests", "connections ended for bad HTTP")
        unscannable = counter("unreadable_bodies", "bodies that are not the JSON their endpoint takes")
        refusedConnections = counter("refused_connections", "connections beyond the bound")
        timedOut = counter("timed_out_connections", "connections closed at a deadline")
        shadowed = counter("shadow_refusals", "what rules in shadow mode would have refused")
        failedRules = counter("failed_rules", "rules that could not be evaluated and were allowed by their policy")
        violations = counter("post_check_violations", "answers that used more than a rule allows")
        refusedRetries = counter("upstream_retries_refused", "attempts that the retry budget did not allow")
        refusals = Dictionary(
            uniqueKeysWithValues: RefusalReason.allCases.map { reason in
                (reason, counter("policy_violations", "refusals by policies", [MetricLabel("reason", "\(reason)")]))
            }
        )
        outcomes = Dictionary(
            uniqueKeysWithValues: UsageRecord.Outcome.allCases.map { outcome in
                (outcome, counter("requests", "metered requests by their end", [MetricLabel("outcome", "\(outcome)")]))
            }
        )
    }

    func refused(_ reason: RefusalReason) { refusals[reason]?.add() }

    func finished(_ outcome: UsageRecord.Outcome) { outcomes[outcome]?.add() }
}
