// A PostgreSQL of our own: its own data directory, port and password, never the system's cluster. PostgreSQL does not
// run as root, so for root it is run as Debian's user `postgres`, who must be able to enter the directory.

private import Foundation
private import Glibc
private import Secrets

/// A private PostgreSQL on 127.0.0.1.
public final class PrivatePostgres: Sendable {
    /// Where it listens.
    public let port: Int
    /// Holds `data`, `password`, `postgres.log` and the Unix socket.
    public let directory: String
    /// For libpq: host, port, user, password and database of the superuser `weir`.
    public var connectionString: String { connectionString(port: port) }
    private let password: String
    /// Its process; `process.stop()` and `process.start()` are legal at any time.
    public let process: SupervisedProcess

    private static let user = "postgres"
    private static let superuser = "weir"

    /// Makes the data directory when there is none; the server is not started yet.
    ///
    /// - Parameters:
    ///   - directory: made when missing; must be open to user `postgres` when we are root.
    ///   - port: where to listen.
    ///   - isDurable: false switches fsync off, for tests that do not cut the power.
    ///   - restarts: nil leaves a dead server dead.
    ///   - onEvent: told of deaths and restarts.
    /// - Returns: a server ready to start.
    /// - Throws: what made it fail.
    public static func prepare(
        directory: String,
        port: Int,
        isDurable: Bool = true,
        restarts: Restarts? = nil,
        onEvent: @escaping @Sendable (SupervisedProcess.Event) -> Void = { _ in }
    ) async throws(StackError) -> PrivatePostgres {
        if getuid() == 0, let obstacle = Directory.obstacle(onTheWayTo: directory) {
            throw .notTraversable(path: obstacle, user: user)
        }
        try Directory.make(directory, permissions: 0o700)
        try Directory.give(directory, to: user)
        let password = try password(in: directory)
        try await initialise(directory)
        return try PrivatePostgres(directory, port, password, isDurable: isDurable, restarts, onEvent)
    }

    /// Starts one and waits until it answers.
    ///
    /// - Parameters:
    ///   - directory: see ``prepare(directory:port:isDurable:restarts:onEvent:)``.
    ///   - port: where to listen; nil claims a free one.
    ///   - isDurable: false switches fsync off, as tests want it.
    /// - Returns: the running server; it dies with this object.
    /// - Throws: what made it fail.
    public static func start(
        directory: String,
        port: Int? = nil,
        isDurable: Bool = false
    ) async throws(StackError) -> PrivatePostgres {
        let chosen = if let port { port } else { try FreePort.claim() }
        let postgres = try await prepare(directory: directory, port: chosen, isDurable: isDurable)
        try await postgres.process.start()
        return postgres
    }

    /// A directory that the server's user may enter: the preferred one, else one under /var/lib/weir.
    ///
    /// - Parameters:
    ///   - preferred: an absolute path.
    ///   - identity: names the deployment; with other keys the old database is of no use and not found again.
    /// - Returns: the same path, or another that is the same each time.
    public static func usableDirectory(preferring preferred: String, identity: String = "") -> String {
        guard getuid() == 0, Directory.obstacle(onTheWayTo: preferred) != nil else { return preferred }
        // FNV-1a: a short, stable name; Swift's own hashes differ from run to run.
        let hash = "\(preferred) \(identity)".utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return "/var/lib/weir/postgres-\(String(hash, radix: 16))"
    }

    private init(
        _ directory: String,
        _ port: Int,
        _ password: String,
        isDurable: Bool,
        _ restarts: Restarts?,
        _ onEvent: @escaping @Sendable (SupervisedProcess.Event) -> Void
    ) throws(StackError) {
        self.directory = directory
        self.port = port
        self.password = password
        let data = Self.dataDirectory(directory)
        // A socket's path is at most 107 bytes; without room for it there is only TCP.
        let sockets = directory.utf8.count + "/.s.PGSQL.65535.lock".utf8.count < 107 ? directory : ""
        var settings = [
            "port=\(port)", "listen_addresses=127.0.0.1", "unix_socket_directories=\(sockets)",
            "max_connections=100", "logging_collector=off", "log_destination=stderr",
        ]
        // Not synchronous_commit=off: that loses acknowledged commits when the process is killed (seen in the test),
        // while fsync=off loses them only with the machine.
        if !isDurable { settings += ["fsync=off", "full_page_writes=off"] }
        let specification = ProcessSpecification(
            name: "postgres",
            executable: try Program.postgres("postgres"),
            arguments: ["-D", data] + settings.flatMap { ["-c", $0] },
            workingDirectory: data,
            logFile: "\(directory)/postgres.log",
            user: Self.user,
            stopSignal: .interrupt,
            deathSignal: .interrupt
        )
        process = SupervisedProcess(
            specification,
            restarts: restarts,
            readyDeadline: .seconds(60),
            probe: { child in Self.isReady(child, data) },
            onEvent: onEvent
        )
    }

    /// The connection string by way of another port, where something that passes the bytes on listens.
    ///
    /// - Parameter port: where to connect.
    /// - Returns: for libpq.
    public func connectionString(port: Int) -> String {
        "host=127.0.0.1 port=\(port) user=\(Self.superuser) password=\(password) dbname=postgres"
    }

    /// Stops it; sessions are cut.
    public func stop() async { await process.stop() }

    private static func dataDirectory(_ directory: String) -> String { "\(directory)/data" }

    /// As pg_ctl tells it: the pid file's first line is the server's pid, its eighth becomes "ready".
    private static func isReady(_ child: ChildProcess, _ data: String) -> Bool {
        guard let bytes = FileManager.default.contents(atPath: "\(data)/postmaster.pid") else { return false }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 8, Int32(lines[0]) == child.pid else { return false }
        return lines[7].trimmingCharacters(in: .whitespaces) == "ready"
    }

    private static func password(in directory: String) throws(StackError) -> String {
        let file = "\(directory)/password"
        if let bytes = FileManager.default.contents(atPath: file), !bytes.isEmpty {
            return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let password = SecureRandom.string(length: 32, alphabet: .base62)
        try PrivateFile.write(Array(password.utf8), to: file)
        try Directory.give(file, to: user)
        return password
    }

    /// A directory that initdb finished is moved into place, so that half of one is never taken for whole.
    private static func initialise(_ directory: String) async throws(StackError) {
        let data = dataDirectory(directory)
        if FileManager.default.fileExists(atPath: "\(data)/PG_VERSION") { return }
        let partial = "\(directory)/data.partial"
        let log = "\(directory)/initdb.log"
        do {
            if FileManager.default.fileExists(atPath: partial) { try FileManager.default.removeItem(atPath: partial) }
        } catch {
            throw .other("cannot remove \(partial): \(error)")
        }
        let specification = ProcessSpecification(
            name: "initdb",
            executable: try Program.postgres("initdb"),
            arguments: [
                "--pgdata", partial, "--username", superuser, "--pwfile", "\(directory)/password",
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
            ],
            workingDirectory: directory,
            logFile: log,
            user: user
        )
        let status = await (try ChildProcess.start(specification)).exit()
        guard status == .code(0) else {
            throw .exitedEarly(name: "initdb", status: "\(status)", logTail: specification.logTail)
        }
        do {
            try FileManager.default.moveItem(atPath: partial, toPath: data)
        } catch {
            throw .other("cannot move \(partial) into place: \(error)")
        }
    }
}
