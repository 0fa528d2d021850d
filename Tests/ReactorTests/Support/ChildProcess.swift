// Starts the servers that tests talk to. Not Foundation's Process: 6.3.1 reads past the end of a directory entry when
// it looks for the highest open descriptor (AddressSanitizer shows it; with a thousand open it crashed one run in 25).

import Glibc

/// A child process without input or output, killed when it is let go and when this process dies, however it does.
final class ChildProcess: @unchecked Sendable {  // used by one test, one call at a time
    struct StartFailure: Error {
        let code: Int32
    }

    let id: pid_t
    /// A shell that waits for a line from us; when the pipe ends without one, we are gone and it kills the child.
    private let guardian: pid_t
    private let pipeToGuardian: Int32
    private var hasEnded = false

    init(_ path: String, _ arguments: [String]) throws {
        id = try Self.start(path, arguments, input: nil)
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw StartFailure(code: errno) }
        defer { close(ends[0]) }
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        pipeToGuardian = ends[1]
        guardian = try Self.start("/bin/sh", ["-c", "read line || kill -KILL \(id)"], input: ends[0])
    }

    private static func start(_ path: String, _ arguments: [String], input: Int32?) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for descriptor: Int32 in 0...2 {
            unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        if let input { unsafe posix_spawn_file_actions_adddup2(&actions, input, 0) }
        // An inherited connection would stay open as long as the child lives. Closing what is not open is no error here.
        for descriptor: Int32 in 3..<4096 { unsafe posix_spawn_file_actions_addclose(&actions, descriptor) }
        var list: [UnsafeMutablePointer<CChar>?] = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe list.indices { unsafe free(list[index]) } }
        var id: pid_t = 0
        let code = unsafe posix_spawn(&id, path, &actions, nil, &list, environ)
        guard code == 0 else { throw StartFailure(code: code) }
        return id
    }

    deinit {
        send(SIGKILL)
        waitForEnd()
    }

    func send(_ signal: Int32) {
        if !hasEnded { kill(id, signal) }
    }

    func waitForEnd() {
        guard !hasEnded else { return }
        hasEnded = true
        Self.reap(id)
        var line = UInt8(ascii: "\n")
        _ = unsafe write(pipeToGuardian, &line, 1)
        close(pipeToGuardian)
        Self.reap(guardian)
    }

    private static func reap(_ id: pid_t) {
        var status: Int32 = 0
        while unsafe waitpid(id, &status, 0) < 0, errno == EINTR {}
    }
}
