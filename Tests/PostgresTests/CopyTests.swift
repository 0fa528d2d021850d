// COPY: many rows while others are served, and what is left after it failed.

import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A copy` {
    @Test func `takes 100,000 rows while others are served`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 2)
        try await pool.execute("CREATE TABLE copied (n bigint, t text, y bytea, z timestamptz, x text)")
        let rows: [[PostgresValue]] = (0..<100_000).map { number in
            [
                .int(number), .text("row \(number)\t\\N\n'\""), .bytes([0, UInt8(number & 255), 255]),
                .timestamp(milliseconds: number * 1000), number.isMultiple(of: 2) ? .null : "\\.",
            ]
        }
        async let copied = pool.withConnection { connection in
            try await connection.copyIn("COPY copied FROM STDIN", rows: rows)
        }
        for _ in 0..<100 { #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1) }
        #expect(try await copied == 100_000)
        let sum = try await pool.query(
            """
            SELECT count(*) AS rows, sum(n) AS n, count(x) AS x,
                bool_and(t = 'row ' || n || E'\\t\\\\N\\n\\'"') AS t, bool_and(y = '\\x00' || set_byte('\\x00', 0, (n & 255)::int)
                || '\\xff') AS y, bool_and(extract(epoch FROM z) = n) AS z, bool_and(x = '\\.') AS dot FROM copied
            """
        )
        let row = try #require(sum.first)
        #expect(try row.int("rows") == 100_000)
        #expect(try row.int("n") == 4_999_950_000)
        #expect(try row.int("x") == 50_000)
        for column in ["t", "y", "z", "dot"] { #expect(try row.bool(column)) }
    }

    @Test func `that fails leaves no row, and a connection that works`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.execute("CREATE TABLE half (n int PRIMARY KEY, pad text)")
        let pad = PostgresValue.text(String(repeating: "x", count: 100))
        let rows: [[PostgresValue]] = (0..<50_000).map { [.int($0 % 40_000), pad] }
        try await pool.withConnection { (connection) async throws -> Void in
            let error = await postgresError { _ = try await connection.copyIn("COPY half FROM STDIN", rows: rows) }
            #expect(error?.kind == .uniqueViolation)
            #expect(try await connection.query("SELECT FROM half").isEmpty)
            #expect(try await connection.copyIn("COPY half FROM STDIN", rows: [[1, "a"], [2, .null]]) == 2)
            #expect(try await connection.copyIn("COPY half FROM STDIN", rows: []) == 0)
            let other = await postgresError { _ = try await connection.copyIn("COPY nowhere FROM STDIN", rows: [[1]]) }
            #expect(other?.sqlState == "42P01")
        }
        #expect(try await pool.query("SELECT FROM half").count == 2)
    }
}
