// The bounds of the pool, who waits for how long, and what a cancelled caller leaves behind.

import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A pool of connections` {
    @Test func `serves 200 tasks with 8 connections`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 8, options: "application_name=eight")
        let most = Tally()
        let sum = try await withThrowingTaskGroup(of: Int64.self) { group in
            for task in 0..<200 {
                group.addTask {
                    var sum: Int64 = 0
                    for round in 0..<10 {
                        let rows = try await pool.query(
                            """
                            SELECT $1::bigint AS n, (SELECT count(*) FROM pg_stat_activity
                                WHERE application_name = 'eight') AS sessions
                            """,
                            [.int(Int64(task * 10 + round))]
                        )
                        let row = try #require(rows.first)
                        // Each caller gets the answer to its own question.
                        let number = try row.int("n")
                        #expect(number == Int64(task * 10 + round))
                        sum += number
                        let sessions = try row.int("sessions")
                        most.raise(to: Int(sessions))
                    }
                    return sum
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == (0..<2000).reduce(0, +))
        #expect(most.count == 8)
        await pool.close()
    }

    @Test func `lets callers wait in order, but not for ever`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1, acquireTimeout: .seconds(2))
        try await pool.withConnection { _ in
            let begin = ContinuousClock.now
            let error = await postgresError { _ = try await pool.query("SELECT 1") }
            #expect(error?.kind == .poolExhausted)
            #expect(ContinuousClock.now - begin < .seconds(15))
        }
        #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1)
    }

    @Test func `refuses at once when too many wait`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1, acquireTimeout: .seconds(100))
        try await pool.withConnection { _ in
            let refused = Tally()
            let tasks = (0..<4196).map { _ in
                Task {
                    let error = await postgresError { _ = try await pool.query("SELECT 1") }
                    if error?.kind == .poolExhausted { refused.add() }
                    return error
                }
            }
            #expect(await eventually { refused.count == 100 })
            for task in tasks { task.cancel() }
            var cancelledCount = 0
            for task in tasks where await task.value?.kind == .cancelled { cancelledCount += 1 }
            #expect(cancelledCount == 4096)
            #expect(refused.count == 100)
        }
        #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1)
    }

    @Test func `leaves the queue when its task is cancelled`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.withConnection { _ in
            for _ in 0..<50 {
                let task = Task { try await pool.query("SELECT 1") }
                if Bool.random() { await Task.yield() }
                task.cancel()
                #expect(await postgresError { _ = try await task.value }?.kind == .cancelled)
            }
        }
        #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1)
    }

    @Test func `keeps its connections whole when callers are cancelled at any moment`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 4, options: "application_name=cancelled")
        let pids = { @Sendable in
            try await pool.query(
                "SELECT array_agg(pid ORDER BY pid) AS pids FROM pg_stat_activity WHERE application_name = 'cancelled'"
            ).first?.intArray("pids")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { try await pool.execute("SELECT pg_sleep(0.5)") } }
            try await group.waitForAll()
        }
        let before = try await pids()
        #expect(before?.count == 4)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<400 {
                let task = Task {
                    try await pool.query("SELECT $1::bigint AS n, pg_sleep(0.002)", [.int(Int64(number))])
                }
                group.addTask {
                    try await Task.sleep(for: .microseconds(Int.random(in: 0...40_000)))
                    task.cancel()
                    do {
                        #expect(try await task.value.first?.int("n") == Int64(number))
                    } catch let error as PostgresError {
                        #expect(error.kind == .cancelled)
                    }
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<20 {
            #expect(
                try await pool.query("SELECT $1::bigint AS n", [.int(Int64(number))]).first?.int("n") == Int64(number)
            )
        }
        #expect(try await pids() == before)
    }

    @Test func `refuses what a closed connection is asked`() async throws {
        let pool = try await PostgresPool.onSharedServer()
        let stolen = try await pool.withConnection { connection in connection }
        #expect(await postgresError { _ = try await stolen.query("SELECT 1") }?.kind == .other)
        await pool.close()
        #expect(await postgresError { _ = try await pool.query("SELECT 1") }?.kind == .connection)
        await pool.close()
    }

    @Test func `closes after what is under way has finished`() async throws {
        let pool = try await PostgresPool.onSharedServer()
        let other = try await PostgresPool.onSharedServer()
        let isClosed = Tally()
        let (slow, closing) = try await other.transaction { holder in
            try await holder.execute("SELECT pg_advisory_xact_lock(4712)")
            let slow = Task { try await pool.query("SELECT 1 AS n FROM pg_advisory_xact_lock(4712)") }
            let isUnderWay = try await eventually {
                try await other.query("SELECT FROM pg_locks WHERE objid = 4712 AND NOT granted").count == 1
            }
            #expect(isUnderWay)
            let closing = Task {
                await pool.close()
                isClosed.add()
            }
            let refusesNew = await eventually {
                await postgresError { _ = try await pool.query("SELECT 1") }?.kind == .connection
            }
            #expect(refusesNew)
            #expect(isClosed.count == 0)
            return (slow, closing)
        }
        #expect(try await slow.value.first?.int("n") == 1)
        await closing.value
    }

    @Test func `does not lend a connection on with what a failed body left on it`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        struct Expected: Error {}
        await #expect(throws: Expected.self) {
            try await pool.withConnection { connection in
                _ = try await connection.query("SELECT pg_advisory_lock(4711)")
                throw Expected()
            }
        }
        let isFree = try await eventually {
            try await pool.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711").isEmpty
        }
        #expect(isFree)
        // A transaction that is left open is ended as well.
        try await pool.execute("CREATE TABLE left_open (n int)")
        try await pool.withConnection { connection in
            try await connection.execute("BEGIN")
            try await connection.execute("INSERT INTO left_open VALUES (1)")
        }
        #expect(try await pool.query("SELECT FROM left_open").isEmpty)
        try await pool.execute("INSERT INTO left_open VALUES (2)")
        let other = try await PostgresPool.onSharedServer()
        #expect(try await other.query("SELECT n FROM left_open").map { row in try row.int("n") } == [2])
    }

    @Test func `lives with fewer connections than it may have`() async throws {
        let admin = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await admin.runScript("CREATE ROLE two LOGIN CONNECTION LIMIT 2; CREATE ROLE zero LOGIN CONNECTION LIMIT 0")
        let pool = try await PostgresPool.onSharedServer(maxConnections: 6, options: "user=two")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<30 { group.addTask { try await pool.execute("SELECT pg_sleep(0.02)") } }
            try await group.waitForAll()
        }
        let refused = try await PostgresPool.onSharedServer(options: "user=zero")
        let error = await postgresError { _ = try await refused.query("SELECT 1") }
        #expect(error?.kind == .tooManyConnections)
        #expect(error?.sqlState == "53300")
    }

    @Test func `says so when there is nobody to talk to`() async throws {
        let pool = try PostgresPool(PostgresConfiguration(conninfo: "host=/nonexistent user=nobody"))
        await withTaskGroup(of: PostgresError?.self) { group in
            for _ in 0..<50 { group.addTask { await postgresError { _ = try await pool.query("SELECT 1") } } }
            for await error in group { #expect(error?.kind == .connection) }
        }
    }
}
