// LISTEN: what is heard, from when, and when the connection for it goes.

import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A listener` {
    @Test func `hears what is said on its channel, from when it is told to look`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let channel = "Odd \"channel\"; --"
        var odd = pool.listen(channel).makeAsyncIterator()
        var other = pool.listen("other").makeAsyncIterator()
        #expect(await odd.next() == "")
        #expect(await other.next() == "")
        for payload in ["one", "", "drei ü"] {
            try await pool.execute("SELECT pg_notify($1, $2)", [.text(channel), .text(payload)])
            #expect(await odd.next() == payload)
        }
        try await pool.execute("SELECT pg_notify('other', 'x')")
        #expect(await other.next() == "x")
        // A second reader of the channel shares the connection.
        var second = pool.listen(channel).makeAsyncIterator()
        #expect(await second.next() == "")
        try await pool.execute("SELECT pg_notify($1, 'both')", [.text(channel)])
        #expect(await odd.next() == "both")
        #expect(await second.next() == "both")
        let listeners = try await pool.query("SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN \"Odd%'")
        #expect(listeners.count <= 1)
        await pool.close()
        #expect(await odd.next() == nil)
        #expect(await second.next() == nil)
    }

    @Test func `ends with its pool`() async throws {
        var pool: PostgresPool? = try await PostgresPool.onSharedServer(maxConnections: 1)
        var stream = try #require(pool?.listen("ended")).makeAsyncIterator()
        #expect(await stream.next() == "")
        pool = nil
        #expect(await stream.next() == nil)
    }

    @Test func `gives its connection up with its last reader`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1, options: "application_name=leaver")
        let sessions = {
            try await pool.query("SELECT FROM pg_stat_activity WHERE application_name = 'leaver'").count
        }
        let task = Task { for await _ in pool.listen("left") {} }
        #expect(try await eventually { try await sessions() == 2 })
        task.cancel()
        #expect(try await eventually { try await sessions() == 1 })
    }
}
