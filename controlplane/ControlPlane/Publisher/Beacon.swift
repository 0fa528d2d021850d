// A bell that many may wait for: rings wake everyone who had not yet heard this ring. Rings between two waits are
// heard as one, which is what coalesces a burst of commits into one compile.

import Synchronization

/// Counts rings and wakes who waits; any thread.
final class Beacon: Sendable {
    private struct State {
        var rings: UInt64 = 0
        var nextID: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Waits that have not returned.
        var pending: Set<UInt64> = []
        /// Waits that ended before they began to wait.
        var gone: Set<UInt64> = []
    }

    private let state = Mutex(State())

    /// How often it rang so far; read it before looking at what it announces.
    var rings: UInt64 { state.withLock { $0.rings } }

    /// Wakes all who wait.
    func notify() {
        let waiters = state.withLock { state in
            state.rings += 1
            let waiters = Array(state.waiters.values)
            state.waiters.removeAll()
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when it has rung since `seen`, when the time is over, or when the task is cancelled.
    func wait(past seen: UInt64, atMost limit: Duration) async {
        let id = state.withLock { state in
            state.nextID += 1
            state.pending.insert(state.nextID)
            return state.nextID
        }
        let timer = Task {
            // Sleep throws only when the timer is taken back, and then there is nobody left to wake.
            do { try await Task.sleep(for: limit) } catch { return }
            self.wake(id)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.gone.remove(id) != nil || state.rings != seen { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.wake(id)
        }
        timer.cancel()
        state.withLock { state in
            state.pending.remove(id)
            state.gone.remove(id)
        }
    }

    private func wake(_ id: UInt64) {
        let waiter = state.withLock { state in
            if let waiter = state.waiters.removeValue(forKey: id) { return Optional(waiter) }
            if state.pending.contains(id) { state.gone.insert(id) }
            return nil
        }
        waiter?.resume()
    }
}
