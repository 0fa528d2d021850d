// Carries the news of a restart from a part's supervisor to the stack that owns it, which does not exist yet when the
// parts are described.

import Synchronization

/// A callback that is filled in later.
final class Restarted: Sendable {
    private let handler = Mutex<(@Sendable () async -> Void)?>(nil)

    /// What to do at each restart.
    var stack: (@Sendable () async -> Void)? {
        get { handler.withLock { $0 } }
        set { handler.withLock { $0 = newValue } }
    }

    /// Runs it as a task of its own: supervisors do not wait for files.
    func tell() {
        guard let stack else { return }
        Task { await stack() }
    }
}
