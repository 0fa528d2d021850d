// Where the current snapshot is kept: apart from who compiles it, because the waiters of writes and the nodes'
// endpoints only look at it.

import Secrets
import Snapshot
import Synchronization

/// The current snapshot and a few older ones; any thread.
final class SnapshotHolder: Sendable {
    /// Older snapshots whose chunks are still given out: a node may be reading one.
    static let keptSnapshots = 8

    /// Rings when a new snapshot is current.
    let compiled = Beacon()

    private struct State {
        var current: CompiledSnapshot?
        var older: [CompiledSnapshot] = []
        var isEnding = false
    }

    private let state = Mutex(State())

    /// The newest compiled snapshot; nil before the first.
    var current: CompiledSnapshot? { state.withLock { $0.current } }

    /// Whether the server is stopping: who waits for a change answers now.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    /// Ends all waiting, so that the server can stop without waiting for long polls.
    func end() {
        state.withLock { $0.isEnding = true }
        compiled.notify()
    }

    /// Makes a snapshot the current one and rings, unless it is already.
    func accept(_ snapshot: CompiledSnapshot) {
        let isNew = state.withLock { state in
            if let current = state.current {
                if current.position == snapshot.position { return false }
                state.older.insert(current, at: 0)
                if state.older.count > Self.keptSnapshots { state.older.removeLast() }
            }
            state.current = snapshot
            return true
        }
        if isNew { compiled.notify() }
    }

    /// A chunk of the current snapshot or a recent one.
    func chunk(_ digest: Digest) -> [UInt8]? {
        let snapshots = state.withLock { ($0.current.map { [$0] } ?? []) + $0.older }
        for snapshot in snapshots {
            if let chunk = snapshot.encoded.chunks[digest] ?? snapshot.canary?.encoded.chunks[digest] { return chunk }
        }
        return nil
    }
}
