// What the limits count: one set of cells per thread that counts, so that no two write one line.

import Reactor
import Telemetry

/// A thread's cells of the limits' metrics.
struct LimitMetrics: Sendable {
    /// Reservations asked of Redis.
    let checks: Counter
    /// Reservations decided by this node's share.
    let localDecisions: Counter
    /// Reservations admitted although Redis is out, because their policies say so.
    let allowedUnchecked: Counter
    /// Reservations refused because Redis is out, as their policies say.
    let deniedUnchecked: Counter
    let lostSettlements: Counter
    let lateSettlements: Counter
    let mergedUses: Counter
    let epochResets: Counter
    let leasesReturned: Counter
    /// 1 while this worker's connection takes commands.
    let connected: Gauge
    private let errors: [Counter]

    init(_ counters: Counters) {
        checks = counters.counter("weir_ratelimit_checks_total", help: "reservations asked of Redis")
        localDecisions = counters.counter(
            "weir_ratelimit_local_decisions_total",
            help: "reservations decided by this node's share"
        )
        allowedUnchecked = counters.counter(
            "weir_ratelimit_allowed_unchecked_total",
            help: "reservations with a rule that admits all while Redis is out"
        )
        deniedUnchecked = counters.counter(
            "weir_ratelimit_denied_unchecked_total",
            help: "reservations refused by a rule that admits nothing while Redis is out"
        )
        lostSettlements = counters.counter(
            "weir_ratelimit_lost_settlements_total",
            help: "settlements that will not reach Redis; the estimate stays charged until its window or lease ends"
        )
        lateSettlements = counters.counter(
            "weir_ratelimit_late_settlements_total",
            help: "settlements that waited for Redis to come back"
        )
        mergedUses = counters.counter(
            "weir_ratelimit_merged_total",
            help: "counters whose local use was added in Redis"
        )
        epochResets = counters.counter(
            "weir_limits_epoch_resets_total",
            help: "counters that were lower than what this node had put into them"
        )
        leasesReturned = counters.counter(
            "weir_limits_leases_returned_total",
            help: "reservations of dead nodes that were given back"
        )
        connected = counters.gauge("weir_redis_connections", help: "workers whose connection to Redis takes commands")
        errors = RedisFault.allCases.map { fault in
            counters.counter(
                "weir_redis_errors_total",
                help: "commands that Redis did not answer well, by class",
                labels: [MetricLabel("class", fault.rawValue)]
            )
        }
    }

    /// Counts a failure by its class.
    func count(_ fault: RedisFault) {
        guard let index = RedisFault.allCases.firstIndex(of: fault) else { return }
        errors[index].add()
    }
}
