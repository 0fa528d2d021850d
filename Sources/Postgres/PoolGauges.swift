// How a pool stands, for whoever watches: written by its thread, read by any.

internal import Synchronization

/// A pool's connections and its queue.
public final class PoolGauges: Sendable {
    private let open = Atomic(0)
    private let idle = Atomic(0)
    private let waiting = Atomic(0)

    init() {}

    /// Connections that are open or being opened.
    public var openCount: Int { open.load(ordering: .relaxed) }
    /// Connections that nobody uses.
    public var idleCount: Int { idle.load(ordering: .relaxed) }
    /// Callers that wait for a connection.
    public var waitingCount: Int { waiting.load(ordering: .relaxed) }

    func set(open: Int) { self.open.store(open, ordering: .relaxed) }
    func set(idle: Int) { self.idle.store(idle, ordering: .relaxed) }
    func set(waiting: Int) { self.waiting.store(waiting, ordering: .relaxed) }
}
