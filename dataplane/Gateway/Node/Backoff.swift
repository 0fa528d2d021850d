// How long a node waits for the control plane after a failure, so that many nodes do not return at one moment.

/// Waits that double, with jitter, so that nodes which failed together do not return together.
struct Backoff: Sendable {
    private let least: Duration
    private let most: Duration
    private var failures = 0

    init(least: Duration, most: Duration) {
        self.least = least
        self.most = most
    }

    /// The wait after one more failure: a random time between a half and the whole of least × 2ⁿ, n the failures before.
    mutating func failed<Source: RandomNumberGenerator>(random: inout Source) -> Duration {
        let full = min(most, least * (1 << min(failures, 16)))
        failures += 1
        return full * Double.random(in: 0.5...1, using: &random)
    }

    mutating func succeeded() { failures = 0 }
}
