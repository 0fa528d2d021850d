// Keeps second attempts from becoming the load that keeps a struggling provider down: they are a tenth of the traffic,
// as gRPC and Envoy have it, and a few where there is little traffic.

import Reactor

/// What one worker may try again of what failed at one provider; confined to its loop.
struct RetryBudget {
    /// What each first attempt earns.
    static let share = 0.1
    /// Retries that may come at once without any traffic before them; refilled at one a second.
    static let minimum = 10.0
    /// The most that traffic can earn ahead: a provider's sudden end catches all requests in flight.
    static let maximum = 100.0

    private var tokens = Self.minimum
    private var lastSpend: MonotonicTime?

    /// A first attempt is made.
    mutating func earn() { tokens = min(tokens + Self.share, Self.maximum) }

    /// Takes one retry out of the budget.
    ///
    /// - Returns: false when there is none left.
    mutating func spend(now: MonotonicTime) -> Bool {
        if let lastSpend, tokens < Self.minimum {
            let seconds = Double(now.nanoseconds - lastSpend.nanoseconds) / 1e9
            tokens = min(tokens + max(seconds, 0), Self.minimum)
        }
        lastSpend = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
