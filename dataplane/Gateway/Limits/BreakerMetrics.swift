// Breakers as metrics: whether each dependency is in use, and how often it went out of use and came back.

import Breaker
import Telemetry

/// Shows breakers in `/metrics`.
enum BreakerMetrics {
    /// What a board calls for each breaker; label values are names from configuration.
    static func show(in metrics: MetricRegistry) -> @Sendable (SharedBreaker) -> Void {
        { breaker in
            let dependency = MetricLabel("dependency", breaker.dependency)
            metrics.observe(
                "weir.breaker.state",
                help: "0 closed, 1 half-open, 2 open",
                labels: [dependency]
            ) { breaker.standing.state.level }
            // A failed probe is no transition: the dependency was out of use and stays so.
            metrics.observeTotal(
                "weir.breaker.transitions",
                help: "how often a dependency went out of use or came back",
                labels: [dependency, MetricLabel("to", "open")]
            ) { Int64(clamping: breaker.standing.opened) }
            metrics.observeTotal(
                "weir.breaker.transitions",
                help: "how often a dependency went out of use or came back",
                labels: [dependency, MetricLabel("to", "closed")]
            ) { Int64(clamping: breaker.standing.closed) }
        }
    }
}

extension Breaker.State {
    fileprivate var level: Int64 {
        switch self {
        case .closed: 0
        case .halfOpen: 1
        case .open: 2
        }
    }

    /// The word for it.
    var name: String {
        switch self {
        case .closed: "closed"
        case .halfOpen: "half-open"
        case .open: "open"
        }
    }
}
