// When to try again: decided by a pure struct, so that its test needs no process and no clock.

/// Spaces the restarts of a server that keeps dying.
public struct Restarts: Sendable {
    /// The pause after the first death.
    public let first: Duration
    /// The longest pause.
    public let longest: Duration
    /// A run this long counts as healthy and makes the next death a first one again.
    public let healthyAfter: Duration
    private var failures = 0

    /// Pauses double from `first` to `longest`.
    ///
    /// - Parameters:
    ///   - first: the pause after the first death.
    ///   - longest: no pause is longer.
    ///   - healthyAfter: a run this long forgets the deaths before it.
    public init(
        first: Duration = .milliseconds(100),
        longest: Duration = .seconds(10),
        healthyAfter: Duration = .seconds(30)
    ) {
        self.first = first
        self.longest = longest
        self.healthyAfter = healthyAfter
    }

    /// Notes a death.
    ///
    /// - Parameter lived: how long the process had been ready.
    /// - Returns: how long to wait before the next start.
    public mutating func died(after lived: Duration) -> Duration {
        failures = lived >= healthyAfter ? 1 : failures + 1
        // 2²⁰ times any sensible first pause is over the longest; more doublings could overflow.
        let doubled = first * (1 << min(failures - 1, 20))
        return min(doubled, longest)
    }
}
