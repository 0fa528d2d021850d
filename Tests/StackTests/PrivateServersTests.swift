// The servers that every other test stands on, for real: started, killed, started again over the same data.

import Foundation
import Glibc
import Stack
import Testing

@Suite struct `A private Redis` {
    @Test func `answers, dies with kill -9 and comes back on its port`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-redis")
        let redis = try await PrivateRedis.start(directory: "\(directory.path)/redis")
        #expect(!FreePort.isFree(redis.port))
        await redis.process.process?.send(SIGKILL)
        #expect(await wait(upTo: .seconds(5)) { FreePort.isFree(redis.port) })
        try await redis.process.start()
        #expect(!FreePort.isFree(redis.port))
        await redis.stop()
        #expect(FreePort.isFree(redis.port))
    }
}

@Suite struct `A private PostgreSQL` {
    @Test func `keeps its data over a kill -9`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-postgres")
        let postgres = try await PrivatePostgres.start(directory: "\(directory.path)/postgres")
        #expect(try await psql(postgres, "create table t (n int); insert into t values (41), (1)") == "INSERT 0 2")
        // A copy without fsync still survives a killed process; only a lost machine would hurt it.
        await postgres.process.process?.send(SIGKILL)
        #expect(await wait(upTo: .seconds(10)) { await postgres.process.pid == 0 })
        try await postgres.process.start()
        #expect(try await psql(postgres, "select sum(n) from t") == "42")
        await postgres.stop()
        #expect(FreePort.isFree(postgres.port))
        let again = try await PrivatePostgres.start(directory: "\(directory.path)/postgres", port: postgres.port)
        #expect(again.connectionString == postgres.connectionString)
        #expect(try await psql(again, "select sum(n) from t") == "42")
        await again.stop()
    }

    @Test(.enabled(if: getuid() == 0, "only root needs another user"))
    func `refuses a directory that its user cannot enter, and names a usable one`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-closed")
        let closed = "\(directory.path)/closed"
        try Directory.make(closed, permissions: 0o700)
        await #expect(throws: StackError.notTraversable(path: closed, user: "postgres")) {
            _ = try await PrivatePostgres.prepare(directory: "\(closed)/postgres", port: 1)
        }
        let usable = PrivatePostgres.usableDirectory(preferring: "\(closed)/postgres", identity: "a")
        #expect(usable.hasPrefix("/var/lib/weir/postgres-"))
        #expect(usable == PrivatePostgres.usableDirectory(preferring: "\(closed)/postgres", identity: "a"))
        #expect(usable != PrivatePostgres.usableDirectory(preferring: "\(closed)/postgres", identity: "b"))
        let open = "\(directory.path)/postgres"
        #expect(PrivatePostgres.usableDirectory(preferring: open, identity: "a") == open)
    }

    /// The last line that psql prints.
    private func psql(_ postgres: PrivatePostgres, _ sql: String) async throws -> String {
        let log = "\(postgres.directory)/psql-\(UUID().uuidString).log"
        let specification = ProcessSpecification(
            name: "psql",
            executable: "/usr/bin/psql",
            arguments: [postgres.connectionString, "--no-psqlrc", "--tuples-only", "--no-align", "--command", sql],
            logFile: log
        )
        let status = await (try ChildProcess.start(specification)).exit()
        let output = try String(contentsOfFile: log, encoding: .utf8)
        try #require(status == .code(0), "\(output)")
        return output.split(separator: "\n").last.map(String.init) ?? ""
    }
}

@Suite struct `A free port` {
    @Test func `is given once and is free`() throws {
        let ports = try (0..<50).map { _ in try FreePort.claim() }
        #expect(Set(ports).count == 50)
        #expect(ports.allSatisfy { FreePort.isFree($0) })
    }
}
