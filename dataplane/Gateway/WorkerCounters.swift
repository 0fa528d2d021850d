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
    let limitViolations: Counter
    private let refusals: [RefusalReason: Counter]
    private let outcomes: [UsageRecord.Outcome: Counter]

    init(_ metrics: MetricRegistry) {
        func counter(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Counter {
            metrics.counter("weir.\(name)", help: help, labels: labels)
        }
        let memory = [MetricLabel("tier", "memory")]
        freshRequests = counter(
            "policy.cache.hits",
            "configuration found in a tier, confirmed in time",
            memory
        )
        staleRequests = counter("policy.cache.misses", "configuration not found in a tier, or stale there", memory)
        unauthorized = counter("unauthorized", "requests without a valid key")
        malformed = counter("malformed.requests", "connections ended for bad HTTP")
        unscannable = counter("unreadable.bodies", "bodies that are not the JSON their endpoint takes")
        refusedConnections = counter("refused.connections", "connections beyond the bound")
        timedOut = counter("timed.out.connections", "connections closed at a deadline")
        shadowed = counter("shadow.refusals", "what rules in shadow mode would have refused")
        failedRules = counter("failed.rules", "rules that could not be evaluated and were allowed by their policy")
        violations = counter("post.check.violations", "answers that used more than a rule allows")
        limitViolations = counter("ratelimit.violations", "requests refused by a limit that is counted")
        refusedRetries = counter("upstream.retries.refused", "attempts that the retry budget did not allow")
        refusals = Dictionary(
            uniqueKeysWithValues: RefusalReason.allCases.map { reason in
                let label = MetricLabel("reason", "\(reason.name)")
                return (reason, counter("policy.violations", "refusals by policies", [label]))
            }
        )
        outcomes = Dictionary(
            uniqueKeysWithValues: UsageRecord.Outcome.allCases.map { outcome in
                (outcome, counter("requests", "metered requests by their end", [MetricLabel("outcome", outcome.name)]))
            }
        )
    }

    func refused(_ reason: RefusalReason) { refusals[reason]?.add() }

    func finished(_ outcome: UsageRecord.Outcome) { outcomes[outcome]?.add() }

    /// What has ended so far; any thread.
    var totals: RequestTotals {
        var totals = RequestTotals()
        for (outcome, counter) in outcomes { totals.add(counter.value, of: outcome) }
        return totals
    }
}
