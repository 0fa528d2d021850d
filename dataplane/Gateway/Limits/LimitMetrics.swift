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
    /// From a command's turn to its answer's; nil when nothing is measured.
    let roundTrip: Histogram?
    private let errors: [Counter]

    init(_ metrics: MetricRegistry, measures: Bool = false) {
        roundTrip =
            measures
            ? metrics.histogram(
                "weir.redis.roundtrip.duration",
                unit: .nanoseconds,
                help: "of limits' commands, answered or not"
            ) : nil
        checks = metrics.counter("weir.ratelimit.checks", help: "reservations asked of Redis")
        localDecisions = metrics.counter(
            "weir.ratelimit.local.decisions",
            help: "reservations decided by this node's share"
        )
        allowedUnchecked = metrics.counter(
            "weir.ratelimit.allowed.unchecked",
            help: "reservations with a rule that admits all while Redis is out"
        )
        deniedUnchecked = metrics.counter(
            "weir.ratelimit.denied.unchecked",
            help: "reservations refused by a rule that admits nothing while Redis is out"
        )
        lostSettlements = metrics.counter(
            "weir.ratelimit.lost.settlements",
            help: "settlements that will not reach Redis; the estimate stays charged until its window or lease ends"
        )
        lateSettlements = metrics.counter(
            "weir.ratelimit.late.settlements",
            help: "settlements that waited for Redis to come back"
        )
        mergedUses = metrics.counter(
            "weir.ratelimit.merged",
            help: "counters whose local use was added in Redis"
        )
        epochResets = metrics.counter(
            "weir.limits.epoch.resets",
            help: "counters that were lower than what this node had put into them"
        )
        leasesReturned = metrics.counter(
            "weir.limits.leases.returned",
            help: "reservations of dead nodes that were given back"
        )
        connected = metrics.upDownCounter(
            "weir.redis.connections",
            help: "workers whose connection to Redis takes commands"
        )
        errors = RedisFault.allCases.map { fault in
            metrics.counter(
                "weir.redis.errors",
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
