// The pool when its server is killed, restarted or stopped: everything ends in bounded time, and mends itself.

import Postgres
import Synchronization
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) struct `A pool whose server` {
    private static let server = Task { try await PostgresServer.start() }

    private func makePool(
        _ server: PostgresServer,
        maxConnections: Int = 4,
        onStatement: (@Sendable (UInt64, PostgresError.Kind?) -> Void)? = nil
    ) throws -> PostgresPool {
        var configuration = PostgresConfiguration(
            conninfo: server.conninfo(),
            maxConnections: maxConnections,
            connectTimeout: .seconds(1),
            acquireTimeout: .seconds(1),
            statementTimeout: .seconds(1)
        )
        configuration.onStatement = onStatement
        return try PostgresPool(configuration)
    }

    @Test func `was killed and started again replaces its connections and hears notifications again`() async throws {
        let server = try await Self.server.value
        let ends = Mutex<[PostgresError.Kind?]>([])
        let pool = try makePool(server) { _, failure in ends.withLock { $0.append(failure) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { try await pool.execute("SELECT pg_sleep(0.05)") } }
            try await group.waitForAll()
        }
        var notifications = pool.listen("events").makeAsyncIterator()
        #expect(await notifications.next() == "")
        let patient = try PostgresPool(
            PostgresConfiguration(conninfo: server.conninfo(), statementTimeout: .seconds(60))
        )
        let underWay = Task { await postgresError { try await patient.execute("SELECT pg_sleep(59)") } }
        let isUnderWay = try await eventually {
            try await pool.query(
                "SELECT FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(59)'"
            ).count == 1
        }
        #expect(isUnderWay)

        try await server.crash()
        #expect(await underWay.value?.kind == .connection)
        for _ in 0..<10 {
            let begin = ContinuousClock.now
            let error = await postgresError { _ = try await pool.query("SELECT 1") }
            #expect(error?.kind == .connection)
            #expect(ContinuousClock.now - begin < .seconds(15))
        }

        // A statement that finds no server is one that failed: that is what wakes an operator.
        #expect(ends.withLock { $0.count { $0 == .connection } } >= 10)
        #expect(ends.withLock { $0.count { $0 == nil } } >= 4)

        try await server.startPostmaster()
        // Not one caller sees a connection of the old server.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { try await pool.execute("SELECT 1") } }
            try await group.waitForAll()
        }
        #expect(await notifications.next() == "")
        try await pool.execute("SELECT pg_notify('events', 'again')")
        #expect(await notifications.next() == "again")
        await pool.close()
    }

    @Test func `ends a connection in mid-transaction gives an error and takes another one`() async throws {
        let server = try await Self.server.value
        let pool = try makePool(server, maxConnections: 2)
        let error = await postgresError {
            try await pool.transaction { connection in
                let pid = try await connection.query("SELECT pg_backend_pid() AS pid").first?.int("pid") ?? 0
                try await pool.execute("SELECT pg_terminate_backend($1)", [.int(pid)])
                try await connection.execute("SELECT 1")
            }
        }
        #expect(error?.kind == .connection)
        for _ in 0..<4 { #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1) }
        await pool.close()
    }

    @Test func `was stopped gives a timeout in bounded time, and never the late answer`() async throws {
        let server = try await Self.server.value
        let pool = try makePool(server, maxConnections: 2)
        let pids = try await withThrowingTaskGroup(of: Int64?.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    try await pool.query("SELECT pg_backend_pid() AS pid, pg_sleep(0.1)").first?.int("pid")
                }
            }
            return try await group.reduce(into: Set<Int64>()) { pids, pid in if let pid { pids.insert(pid) } }
        }
        #expect(pids.count == 2)

        try await server.pause()
        let begin = ContinuousClock.now
        // Two find a connection that does not answer, the others none; then a new one, which does not answer either.
        await withTaskGroup(of: PostgresError?.self) { group in
            for _ in 0..<6 { group.addTask { await postgresError { _ = try await pool.query("SELECT 1") } } }
            for await error in group { #expect(error?.kind == .timeout || error?.kind == .poolExhausted) }
        }
        // 1.25 s on an idle machine; the rest is for one that many share.
        #expect(ContinuousClock.now - begin < .seconds(15))
        let lone = ContinuousClock.now
        #expect(await postgresError { _ = try await pool.query("SELECT 2") }?.kind == .timeout)
        #expect(ContinuousClock.now - lone < .seconds(15))

        try await server.resume()
        #expect(
            await eventually(within: .seconds(15)) { await postgresError { try await pool.execute("SELECT") } == nil }
        )
        for number in 0..<20 {
            let row = try #require(
                await pool.query("SELECT $1::bigint AS n, pg_backend_pid() AS pid", [.int(Int64(number))]).first
            )
            #expect(try row.int("n") == Int64(number))
            #expect(try !pids.contains(row.int("pid")))
        }
        await pool.close()
    }

    @Test func `was stopped in mid-COPY gives a timeout`() async throws {
        let server = try await Self.server.value
        let pool = try makePool(server, maxConnections: 1)
        try await pool.runScript("DROP TABLE IF EXISTS stopped; CREATE TABLE stopped (n text)")
        let rows = [[PostgresValue]](repeating: [.text(String(repeating: "x", count: 1000))], count: 50_000)
        let error = await postgresError {
            try await pool.withConnection { connection in
                _ = try await connection.query("SELECT 1")
                try await server.pause()
                _ = try await connection.copyIn("COPY stopped FROM STDIN", rows: rows)
            }
        }
        #expect(error?.kind == .timeout)
        try await server.resume()
        #expect(await eventually { await postgresError { try await pool.execute("SELECT") } == nil })
        #expect(try await eventually { try await pool.query("SELECT FROM stopped").isEmpty })
        await pool.close()
    }

    @Test func `was stopped and went on is listened to again`() async throws {
        let server = try await Self.server.value
        let pool = try makePool(server)
        var notifications = pool.listen("paused").makeAsyncIterator()
        #expect(await notifications.next() == "")
        try await server.pause()
        // The listener finds out by itself: its probe, every 5 s, is not answered within the statement's bound.
        try await Task.sleep(for: .seconds(7))
        try await server.resume()
        #expect(await notifications.next() == "")
        try await pool.execute("SELECT pg_notify('paused', 'heard')")
        #expect(await notifications.next() == "heard")
        await pool.close()
    }
}
