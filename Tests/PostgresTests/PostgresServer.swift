// A private PostgreSQL for the tests: own directory, own port, own socket, gone when the test process is.

import Glibc
import Postgres
import Synchronization

/// One server under a temporary directory; any thread.
final class PostgresServer: Sendable {
    struct Failure: Error { let text: String }

    /// The server of the suites that do it no harm.
    static let shared = Task { try await PostgresServer.start() }

    /// Runs as the user `postgres` when we are root, whom PostgreSQL refuses.
    private static let prelude = """
        as=; if [ "$(id -u)" = 0 ]; then as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
        bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
        cd "$0"

        """

    let directory: String
    private let port = Mutex(0)
    private let postmaster = Mutex<pid_t>(0)

    private init(directory: String) {
        self.directory = directory
    }

    static func start() async throws -> PostgresServer {
        var template = Array("/tmp/weir-postgres.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw Failure(text: "mkdtemp: errno \(errno)") }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let server = PostgresServer(directory: path)
        try server.employJanitor()
        try await server.run(
            """
            [ -z "$as" ] || chown postgres:postgres .
            $as "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1
            """
        )
        try await server.startPostmaster()
        return server
    }

    /// Over the socket; `extra` is appended.
    func conninfo(_ extra: String = "") -> String {
        "host=\(directory) port=\(port.withLock { $0 }) user=postgres dbname=postgres \(extra)"
    }

    /// Over TCP.
    var tcpConninfo: String { "postgresql://postgres@127.0.0.1:\(port.withLock { $0 })/postgres" }

    func startPostmaster() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let number = try port.withLock { port in
                if port == 0 { port = try Self.freePort() }
                return port
            }
            let pid = try spawn(
                """
                exec $as "$bin/postgres" -D data -k "$0" -h 127.0.0.1 -p \(number) -F -c full_page_writes=off \
                    -c shared_buffers=16MB -c max_connections=100 -c deadlock_timeout=50ms >>log 2>&1
                """
            )
            postmaster.withLock { $0 = pid }
            while Self.status(of: pid) == nil {
                let probe = try PostgresPool(PostgresConfiguration(conninfo: conninfo(), maxConnections: 1))
                let error = await postgresError { _ = try await probe.query("SELECT 1") }
                await probe.close()
                if error == nil { return }
                guard ContinuousClock.now < deadline else { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            port.withLock { $0 = 0 }  // somebody else may have taken it
        }
        throw Failure(text: "PostgreSQL did not start; see \(directory)/log")
    }

    /// kill -9 for the server and all its processes.
    func crash() async throws {
        try await signal("KILL")
        let pid = postmaster.withLock { $0 }
        guard await eventually({ Self.status(of: pid) != nil }) else { throw Failure(text: "\(pid) lives on") }
        try await run("rm -f data/postmaster.pid .s.PGSQL.*")
    }

    /// Stops every process of the server without ending it: connections stay, nobody answers.
    func pause() async throws { try await signal("STOP") }

    func resume() async throws { try await signal("CONT") }

    private func signal(_ name: String) async throws {
        let pid = postmaster.withLock { $0 }
        try await run(
            """
            children=$(cat /proc/\(pid)/task/\(pid)/children)
            kill -\(name) \(pid)
            for child in $children; do kill -\(name) $child || :; done  # one may have ended meanwhile
            """
        )
    }

    /// A process that waits for our end (its pipe closes then, however we die) and clears up after us.
    private func employJanitor() throws {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe(&ends) == 0 else { throw Failure(text: "pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = try spawn(
            """
            cat >/dev/null
            exec 2>/dev/null
            if pid=$(head -n 1 data/postmaster.pid); then
                kill -CONT $pid $(cat /proc/$pid/task/$pid/children)
                kill -QUIT $pid
                for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid && sleep 0.1; done
            fi
            cd / && rm -rf "$0"
            """,
            input: ends[0]
        )
        close(ends[0])  // the other end stays open as long as we live
    }

    private func run(_ script: String) async throws {
        let pid = try spawn(script)
        var status: Int32?
        _ = await eventually(within: .seconds(60)) {
            status = Self.status(of: pid)
            return status != nil
        }
        guard status == 0 else { throw Failure(text: "status \(status ?? -1) of \(script)") }
    }

    private func spawn(_ script: String, input: Int32? = nil) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        if let input {
            unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        // A group of its own, so that a signal to ours (Ctrl-C, a timeout) leaves the janitor to do its work.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        let words = ["/bin/sh", "-ec", Self.prelude + script, directory]
        let arguments = unsafe words.map { unsafe strdup($0) }
        defer {
            for index in 0..<words.count { unsafe free(arguments[index]) }
        }
        var pid = pid_t()
        let code = unsafe posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments + [nil], environ)
        guard code == 0 else { throw Failure(text: "posix_spawn: errno \(code)") }
        return pid
    }

    /// The wait status of a child that has ended; nil while it runs.
    private static func status(of pid: pid_t) -> Int32? {
        var status: Int32 = 0
        return unsafe waitpid(pid, &status, WNOHANG) == 0 ? nil : status
    }

    /// A TCP port that was free a moment ago.
    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var count = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafeMutableBytes(of: &address) { bytes in
            guard let base = unsafe bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return unsafe bind(descriptor, base, count) == 0 && getsockname(descriptor, base, &count) == 0
        }
        guard isBound else { throw Failure(text: "no free port: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

extension PostgresPool {
    /// A pool on the server that all suites share.
    static func onSharedServer(
        maxConnections: Int = 8,
        acquireTimeout: Duration = .seconds(20),
        statementTimeout: Duration = .seconds(20),
        options: String = ""
    ) async throws -> PostgresPool {
        let server = try await PostgresServer.shared.value
        return try PostgresPool(
            PostgresConfiguration(
                conninfo: server.conninfo(options),
                maxConnections: maxConnections,
                connectTimeout: .seconds(20),
                acquireTimeout: acquireTimeout,
                statementTimeout: statementTimeout
            )
        )
    }
}

/// Waits until the condition holds; false after the deadline.
func eventually(within bound: Duration = .seconds(20), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let deadline = ContinuousClock.now + bound
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        do { try await Task.sleep(for: .milliseconds(10)) } catch { return false }
    }
    return false
}

/// Runs the body and gives the ``PostgresError`` it threw; nil for none or another.
func postgresError(_ body: () async throws -> Void) async -> PostgresError? {
    do { try await body() } catch { return error as? PostgresError }
    return nil
}

/// A number that many tasks change.
final class Tally: Sendable {
    private let value = Mutex(0)

    var count: Int { value.withLock { $0 } }

    func add() { value.withLock { $0 += 1 } }

    func raise(to other: Int) { value.withLock { $0 = max($0, other) } }
}
