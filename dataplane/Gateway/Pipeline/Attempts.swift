// What a request has tried so far, and the bounds of trying again.

/// The attempts of one request; confined to its loop.
struct Attempts {
    /// The first and two more: what three routes cannot answer, a fourth seldom can, and the client has its own retries.
    static let maxCount = 3
    /// All waits of a request for a provider that it asks again.
    static let maxWaitMilliseconds = 1_000
    /// The wait before the same provider is asked again when it named none; up to as much again is left to chance.
    static let leastWaitMilliseconds = 50

    /// Attempts that were made.
    private(set) var count = 0
    /// How the last one failed; nil while one is under way.
    private(set) var lastFailure: AttemptFailure?
    private var hasRepeated = false
    /// Whether the last attempt was a breaker's probe.
    private(set) var isProbe = false

    mutating func begin(isProbe: Bool) {
        count += 1
        self.isProbe = isProbe
    }

    /// The attempt that was begun last is not made after all.
    mutating func takeBack() { count -= 1 }

    /// Another attempt is on its way.
    mutating func retry() { lastFailure = nil }

    mutating func fail(_ failure: AttemptFailure) { lastFailure = failure }

    var isExhausted: Bool { count >= Self.maxCount }

    /// How long to wait before the same route is taken again, once per request.
    ///
    /// - Parameters:
    ///   - failure: how the last attempt failed.
    ///   - chance: 0..<1.
    /// - Returns: milliseconds; nil when it must not be, or not so soon.
    mutating func repetition(after failure: AttemptFailure, chance: Double) -> Int? {
        guard !hasRepeated else { return nil }
        switch failure.recourse {
        case .otherProvider: return nil
        case .anyRouteOnHint where failure.waitMilliseconds == nil: return nil
        case .anyRoute, .anyRouteOnHint: break
        }
        let wait = failure.waitMilliseconds ?? 0
        guard wait <= Self.maxWaitMilliseconds else { return nil }
        hasRepeated = true
        return max(wait, Self.leastWaitMilliseconds + Int(chance * Double(Self.leastWaitMilliseconds)))
    }
}
