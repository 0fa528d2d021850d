// Where finished spans wait for the exporter. Whoever finishes one never waits: a full queue drops it and says so.

private import Synchronization

/// A bounded queue of spans; any thread.
public final class SpanQueue: Sendable {
    private struct State {
        var spans: [TraceSpan] = []
        var bytes = 0
        var kept: Double
        var keptAt: UInt64 = 0
    }

    /// Spans that are recorded only because of a refusal or an error: so many a second, and as many at once.
    ///
    /// A flood of refused requests is the time when a collector needs no flood of spans.
    public static let exceptionalPerSecond = 100.0

    private let capacity: Int
    private let maxBytes: Int
    private let state: Mutex<State>
    private let droppedCount = Atomic<UInt64>(0)
    private let passedOverCount = Atomic<UInt64>(0)

    /// Makes an empty queue.
    ///
    /// - Parameters:
    ///   - capacity: the most spans.
    ///   - maxBytes: the most bytes that they take, roughly.
    public init(capacity: Int = 2_048, maxBytes: Int = 8 << 20) {
        self.capacity = capacity
        self.maxBytes = maxBytes
        state = Mutex(State(kept: Self.exceptionalPerSecond))
    }

    /// Spans that found the queue full.
    public var dropped: UInt64 { droppedCount.load(ordering: .relaxed) }

    /// Refusals and errors that were not recorded because there were too many of them.
    public var passedOver: UInt64 { passedOverCount.load(ordering: .relaxed) }

    /// Spans that wait.
    public var count: Int { state.withLock { $0.spans.count } }

    /// Queues finished spans, all of one request or none.
    ///
    /// - Returns: false when they were dropped.
    @discardableResult
    public func offer(_ spans: [TraceSpan]) -> Bool {
        let cost = spans.reduce(0) { $0 + $1.cost }
        let isTaken = state.withLock { state in
            guard state.spans.count + spans.count <= capacity, state.bytes + cost <= maxBytes else { return false }
            state.spans += spans
            state.bytes += cost
            return true
        }
        if !isTaken { droppedCount.wrappingAdd(UInt64(spans.count), ordering: .relaxed) }
        return isTaken
    }

    /// Whether one more request may be recorded only because it was refused or failed.
    ///
    /// - Parameter now: nanoseconds of a clock that does not go back.
    /// - Returns: false when there were too many of late.
    public func admitsException(now: UInt64) -> Bool {
        let isAdmitted = state.withLock { state in
            // Threads read the clock before they come here, so it may seem to go back a little.
            if now > state.keptAt {
                let earned = Double(now - state.keptAt) / 1e9 * Self.exceptionalPerSecond
                state.kept = min(state.kept + earned, Self.exceptionalPerSecond)
                state.keptAt = now
            }
            guard state.kept >= 1 else { return false }
            state.kept -= 1
            return true
        }
        if !isAdmitted { passedOverCount.wrappingAdd(1, ordering: .relaxed) }
        return isAdmitted
    }

    /// Takes the oldest spans out.
    public func take(max count: Int) -> [TraceSpan] {
        state.withLock { state in
            let taken = Array(state.spans.prefix(count))
            state.spans.removeFirst(taken.count)
            state.bytes = state.spans.isEmpty ? 0 : state.bytes - taken.reduce(0) { $0 + $1.cost }
            return taken
        }
    }
}
