// Transactions: all or nothing, run again when the server asks for it, never taken for committed by mistake.

import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A transaction` {
    @Test func `is committed as a whole or not at all`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 2)
        try await pool.execute("CREATE TABLE whole (n int)")
        let returned = try await pool.transaction { connection in
            try await connection.execute("INSERT INTO whole VALUES (1)")
            #expect(try await pool.query("SELECT FROM whole").isEmpty)
            try await connection.execute("INSERT INTO whole VALUES (2)")
            return "done"
        }
        #expect(returned == "done")
        #expect(try await pool.query("SELECT FROM whole").count == 2)
        struct Expected: Error {}
        await #expect(throws: Expected.self) {
            try await pool.transaction { connection in
                try await connection.execute("INSERT INTO whole VALUES (3)")
                throw Expected()
            }
        }
        #expect(try await pool.query("SELECT FROM whole").count == 2)
    }

    @Test func `does not pass for committed when the body hid a failure`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.execute("CREATE TABLE hidden (n int PRIMARY KEY)")
        let error = await postgresError {
            try await pool.transaction { connection in
                try await connection.execute("INSERT INTO hidden VALUES (1)")
                _ = await postgresError { try await connection.execute("INSERT INTO hidden VALUES (1)") }
            }
        }
        #expect(error?.kind == .uniqueViolation)
        #expect(try await pool.query("SELECT FROM hidden").isEmpty)
    }

    @Test func `is rolled back when its task is cancelled, on a connection that stays`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.execute("CREATE TABLE abandoned (n int)")
        let pid = try await pool.query("SELECT pg_backend_pid() AS pid").first?.int("pid")
        let (began, continuation) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await pool.transaction { connection in
                try await connection.execute("INSERT INTO abandoned VALUES (1)")
                continuation.finish()
                try await Task.sleep(for: .seconds(60))
            }
        }
        for await _ in began {}
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await pool.query("SELECT FROM abandoned").isEmpty)
        #expect(try await pool.query("SELECT pg_backend_pid() AS pid").first?.int("pid") == pid)
    }

    @Test func `is run again after a deadlock`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 3)
        try await pool.runScript(
            "CREATE TABLE dead (id int PRIMARY KEY, n int); INSERT INTO dead VALUES (1, 0), (2, 0)"
        )
        let runs = Tally()
        let locked = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (first, second) in [(1, 2), (2, 1)] {
                group.addTask {
                    try await pool.transaction { connection in
                        runs.add()
                        try await connection.execute("UPDATE dead SET n = n + 1 WHERE id = $1", [.int(Int64(first))])
                        locked.add()
                        // Both hold their first row before either wants its second.
                        #expect(await eventually { locked.count >= 2 })
                        try await connection.execute("UPDATE dead SET n = n + 1 WHERE id = $1", [.int(Int64(second))])
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(runs.count >= 3)
        #expect(try await pool.query("SELECT n FROM dead").map { row in try row.int("n") } == [2, 2])
    }

    @Test func `is run four times at most`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let runs = Tally()
        let error = await postgresError {
            try await pool.transaction { connection in
                runs.add()
                try await connection.execute(
                    "DO $$ BEGIN RAISE EXCEPTION 'always' USING ERRCODE = '40001'; END $$"
                )
            }
        }
        #expect(error?.kind == .serialization)
        #expect(runs.count == 4)
    }

    @Test func `is run again when the body wrapped the failure, and never for another`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        struct Wrapped: Error {}
        for (sqlState, expected) in [("40001", 4), ("23505", 1)] {
            let runs = Tally()
            await #expect(throws: Wrapped.self) {
                try await pool.transaction { connection in
                    runs.add()
                    let sql = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '\(sqlState)'; END $$"
                    if await postgresError({ try await connection.execute(sql) }) != nil { throw Wrapped() }
                }
            }
            #expect(runs.count == expected)
        }
    }

    @Test func `loses no increment when all are serializable`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 4)
        try await pool.runScript("CREATE TABLE serial (n int); INSERT INTO serial VALUES (0)")
        let done = Tally()
        let failed = Tally()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<12 {
                group.addTask {
                    let error = await postgresError {
                        try await pool.transaction(isolation: .serializable) { connection in
                            let n = try await connection.query("SELECT n FROM serial").first?.int("n") ?? -1
                            try await connection.execute("UPDATE serial SET n = $1", [.int(n + 1)])
                        }
                    }
                    if error == nil {
                        done.add()
                    } else {
                        failed.add()
                    }
                    if let error { #expect(error.kind == .serialization) }
                }
            }
        }
        let n = try await pool.query("SELECT n FROM serial").first?.int("n")
        #expect(n == Int64(done.count))
        #expect(done.count + failed.count == 12)
        #expect(done.count > 0)
    }
}
