// Scripts, which are what migrations are: many statements, one transaction, no settings left behind.

import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A script` {
    @Test func `is many statements in one transaction, and leaves no settings behind`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.runScript(
            "CREATE TABLE scripted (n int); SET search_path = nowhere; INSERT INTO public.scripted VALUES (1)"
        )
        #expect(try await pool.query("SELECT FROM scripted").count == 1)
        let error = await postgresError {
            try await pool.runScript("DELETE FROM scripted; SELECT 1/0; DROP TABLE scripted")
        }
        #expect(error?.sqlState == "22012")
        #expect(try await pool.query("SELECT FROM scripted").count == 1)
    }

    @Test func `may run longer than a statement, also inside a transaction`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1, statementTimeout: .milliseconds(100))
        try await pool.runScript("SELECT pg_sleep(0.6)")
        try await pool.transaction { connection in
            try await connection.runScript("CREATE TABLE scripted_inside (n int); SELECT pg_sleep(0.6)")
            try await connection.execute("INSERT INTO scripted_inside VALUES ($1)", [1])
        }
        #expect(try await pool.query("SELECT FROM scripted_inside").count == 1)
    }
}
