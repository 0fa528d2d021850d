// The breakers of a node in one place, so that metrics and `/readyz?verbose` show them all and two workers that use one
// dependency share its breaker.

private import Synchronization

/// The breakers of a node by the dependency's name; any thread.
public final class BreakerBoard: Sendable {
    /// The most breakers of a board; further dependencies get breakers that work and are not shown.
    public static let maxBreakers = 512

    private struct State {
        var breakers: [String: SharedBreaker] = [:]
    }

    private let state = Mutex(State())
    private let onNew: @Sendable (SharedBreaker) -> Void

    /// Makes an empty board.
    ///
    /// - Parameter onNew: called once for each breaker, on the thread that made it: the place to show it as metrics.
    public init(onNew: @escaping @Sendable (SharedBreaker) -> Void = { _ in }) {
        self.onNew = onNew
    }

    /// The breaker of a dependency; made at the first call, whose configuration stays.
    ///
    /// For set-up and configuration changes: it takes a lock, so keep the breaker rather than ask for it per request.
    ///
    /// - Parameters:
    ///   - dependency: its name, from configuration.
    ///   - configuration: how it trips and recovers.
    /// - Returns: the one breaker of that name.
    public func breaker(for dependency: String, _ configuration: BreakerConfiguration) -> SharedBreaker {
        let (breaker, isNew) = state.withLock { state in
            if let breaker = state.breakers[dependency] { return (breaker, false) }
            let breaker = SharedBreaker(dependency, configuration)
            guard state.breakers.count < Self.maxBreakers else { return (breaker, false) }
            state.breakers[dependency] = breaker
            return (breaker, true)
        }
        if isNew { onNew(breaker) }
        return breaker
    }

    /// All breakers, by name.
    public var all: [SharedBreaker] {
        state.withLock { Array($0.breakers.values) }.sorted { $0.dependency < $1.dependency }
    }
}
