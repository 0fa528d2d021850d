// One breaker for all threads of a node: the first that sees a dependency fail spares the others the wait.
//
// While it is closed and nothing failed lately, asking it and reporting success cost one atomic load each; the lock is
// taken when something failed, and held for the state machine's step alone.

private import Synchronization

/// A breaker that every thread may use, with what an operator wants to know of it.
///
/// Time is passed in, from any origin that does not go back and is the same for all threads.
public final class SharedBreaker: Sendable {
    /// Where a breaker stands, and why.
    public struct Standing: Sendable, Equatable {
        /// As of the last event.
        public let state: Breaker.State
        /// The class of the failure that opened it; stays after it closed, nil when it never opened.
        public let reason: String?
        /// When it last came into use or out of it; nil when it never did.
        public let since: Duration?
        /// How often it went from closed to open.
        public let opened: UInt64
        /// How often it closed again.
        public let closed: UInt64
    }

    private struct State {
        var breaker: Breaker
        var reason: String?
        var since: Duration?
        var opened: UInt64 = 0
        var closed: UInt64 = 0
        var observers: [@Sendable (Breaker.Action) -> Void] = []
    }

    /// Names the dependency in metrics and `/readyz?verbose`: from configuration, never from a client.
    public let dependency: String

    private let state: Mutex<State>
    /// The generation plus 1 while it is closed, else 0.
    private let closedGeneration = Atomic<UInt64>(1)
    private let hasFailures = Atomic<Bool>(false)

    /// Makes a closed breaker.
    ///
    /// - Parameters:
    ///   - dependency: its name.
    ///   - configuration: how it trips and recovers.
    ///   - seed: chooses the jitter; different on each node.
    public init(
        _ dependency: String,
        _ configuration: BreakerConfiguration,
        seed: UInt64 = .random(in: .min ... .max)
    ) {
        self.dependency = dependency
        state = Mutex(State(breaker: Breaker(configuration, seed: seed)))
    }

    /// Whether calls pass; one atomic load.
    public var isClosed: Bool { closedGeneration.load(ordering: .acquiring) != 0 }

    /// A look at it.
    public var standing: Standing {
        state.withLock { state in
            Standing(
                state: state.breaker.state,
                reason: state.reason,
                since: state.since,
                opened: state.opened,
                closed: state.closed
            )
        }
    }

    /// The generation to report a call with, nil unless it is closed; one atomic load.
    ///
    /// For callers that leave the probes to another, as the workers of a node do: unlike `admits` it never takes the
    /// probe away from the one that would make it.
    public var closedCallGeneration: UInt64? {
        let closed = closedGeneration.load(ordering: .acquiring)
        return closed == 0 ? nil : closed - 1
    }

    /// Asks for a call; when the backoff is over, the answer is the probe, and the caller must make it.
    public func admits(now: Duration) -> Breaker.Admission {
        if let generation = closedCallGeneration { return .admitted(generation: generation) }
        return state.withLock { state in
            let admission = state.breaker.admits(now: now)
            publish(state)
            return admission
        }
    }

    /// A call of the generation ended well.
    @discardableResult
    public func succeeded(generation: UInt64, now: Duration) -> Breaker.Action {
        if closedGeneration.load(ordering: .acquiring) == generation + 1, !hasFailures.load(ordering: .relaxed) {
            return .none
        }
        return change { state in
            let action = state.breaker.succeeded(generation: generation, now: now)
            noteSuccess(action, &state, now: now)
            return action
        }
    }

    /// A probe ended well, be it one that had been given up.
    @discardableResult
    public func probeSucceeded(now: Duration) -> Breaker.Action {
        change { state in
            let action = state.breaker.probeSucceeded(now: now)
            noteSuccess(action, &state, now: now)
            return action
        }
    }

    /// A probe was not made, or says nothing of the dependency: the next call may be one.
    public func abandoned(generation: UInt64, now: Duration) {
        state.withLock { state in
            state.breaker.abandoned(generation: generation, now: now)
            publish(state)
        }
    }

    /// Closes it, as new: the dependency is not used any more.
    public func forget(now: Duration) {
        _ = change { state in
            let action = state.breaker.forget()
            noteSuccess(action, &state, now: now)
            return action
        }
    }

    private func noteSuccess(_ action: Breaker.Action, _ state: inout State, now: Duration) {
        guard case .resume = action else { return }
        state.closed += 1
        state.since = now
    }

    /// A call of the generation failed in a way that tells against the dependency.
    ///
    /// - Parameters:
    ///   - generation: what admitted the call.
    ///   - now: the time.
    ///   - reason: the failure's class, from a fixed set.
    /// - Returns: what it changed; the observers are told as well.
    @discardableResult
    public func failed(generation: UInt64, now: Duration, reason: String) -> Breaker.Action {
        change { state in
            let wasClosed = state.breaker.isClosed
            let action = state.breaker.failed(generation: generation, now: now)
            if case .stopUsing = action {
                state.reason = reason
                if wasClosed {
                    state.opened += 1
                    state.since = now
                }
            }
            return action
        }
    }

    /// Calls `observer` after each change that is not `none`, on the thread that caused it.
    ///
    /// Two changes by two threads may be told in either order, so an observer asks `isClosed` for what holds.
    public func observe(_ observer: @escaping @Sendable (Breaker.Action) -> Void) {
        state.withLock { $0.observers.append(observer) }
    }

    private func change(_ step: (inout State) -> Breaker.Action) -> Breaker.Action {
        let (action, observers) = state.withLock { state in
            let action = step(&state)
            publish(state)
            return (action, action == .none ? [] : state.observers)
        }
        for observer in observers { observer(action) }
        return action
    }

    private func publish(_ state: borrowing State) {
        hasFailures.store(state.breaker.failuresInARow > 0, ordering: .relaxed)
        closedGeneration.store(state.breaker.isClosed ? state.breaker.generation + 1 : 0, ordering: .releasing)
    }
}
