// One stack per data directory: a second one would fight over the same database.

import Glibc
import Stack

/// A lock on a data directory, held until this process ends.
final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// - Throws: when another process holds it.
    init(_ directory: String) throws(StackError) {
        try Directory.make(directory)
        let path = "\(directory)/lock"
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(call: "open", errno: errno, about: path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw .other("another weir dev uses \(directory): stop it, or choose another --data and --port-base")
        }
    }

    deinit { close(descriptor) }
}
