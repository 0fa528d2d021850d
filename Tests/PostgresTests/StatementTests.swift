// Statements on a real server: values of every type, errors by what can be done, and text that stays data.

import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A statement` {
    @Test func `takes and gives every type, and NULL of each`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let sql = """
            SELECT $1::bool AS b, $2::bigint AS i, $3::float8 AS d, $4::text AS t, $5::bytea AS y, $6::jsonb AS j,
                $7::timestamptz AS z, $8::text[] AS a, $9::bigint[] AS n, $10::numeric AS m, $11::int2 AS s
            """
        let hostile = "ü€😀 '\"\\;--\n\t{},NULL"
        let row = try #require(
            await pool.query(
                sql,
                [
                    true, .int(.min), .double(0.1), .text(hostile), .bytes(Array(UInt8.min...UInt8.max)),
                    .json("{\"a\": [1, null]}"), .timestamp(milliseconds: 1_767_323_045_678),
                    .textArray([hostile, "", "NULL", "{}"]), .intArray([1, -2, .max]), .int(42), 7,
                ]
            ).first
        )
        #expect(row.columns == ["b", "i", "d", "t", "y", "j", "z", "a", "n", "m", "s"])
        #expect(try row.bool("b"))
        #expect(try row.int("i") == .min)
        #expect(try row.double("d") == 0.1)
        #expect(try row.string("t") == hostile)
        #expect(try row.bytes("y") == Array(UInt8.min...UInt8.max))
        #expect(try row.string("j") == "{\"a\": [1, null]}")
        #expect(try row.milliseconds("z") == 1_767_323_045_678)
        #expect(try row.stringArray("a") == [hostile, "", "NULL", "{}"])
        #expect(try row.intArray("n") == [1, -2, .max])
        #expect(try row.int("m") == 42)
        #expect(try row.int("s") == 7)

        let empty = try #require(await pool.query(sql, .init(repeating: .null, count: 11)).first)
        for column in row.columns {
            #expect(try empty.isNull(column))
            #expect(try empty.optionalString(column) == nil)
            #expect(throws: PostgresError.self) { try empty.string(column) }
        }
        #expect(try empty.optionalInt("i") == nil)
        #expect(try empty.optionalDouble("d") == nil)
        #expect(try empty.optionalBool("b") == nil)
        #expect(try empty.optionalBytes("y") == nil)
        #expect(try empty.optionalMilliseconds("z") == nil)
        #expect(try empty.optionalStringArray("a") == nil)
        await pool.close()
    }

    @Test(arguments: [
        Double.nan, .infinity, -.infinity, 0, -0.0, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 1e-7, 1e22, .pi,
    ])
    func `takes every double`(value: Double) async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let row = try #require(await pool.query("SELECT $1::float8 AS d", [.double(value)]).first)
        let back = try row.double("d")
        #expect(back == value || back.isNaN && value.isNaN)
    }

    @Test func `reads the server's own timestamps as the server counts them`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let rows = try await pool.query(
            """
            SELECT t AS z, floor(extract(epoch FROM t) * 1000)::bigint AS ms FROM generate_series(
                '4000-03-01 12:34:56.789 BC'::timestamptz, '12000-01-01'::timestamptz, '411 days 7:08:09.123457') AS t
            """
        )
        #expect(rows.count > 10_000)
        for row in rows { #expect(try row.milliseconds("z") == row.int("ms")) }
        for index in stride(from: 0, to: rows.count, by: 997) {
            let milliseconds = try rows[index].int("ms")
            let back = try await pool.query(
                "SELECT (extract(epoch FROM $1::timestamptz) * 1000)::bigint AS ms",
                [.timestamp(milliseconds: milliseconds)]
            )
            #expect(try back.first?.int("ms") == milliseconds)
        }
    }

    @Test func `never takes a parameter for SQL`() async throws {
        let pool = try await PostgresPool.onSharedServer()
        try await pool.runScript("CREATE TABLE injected (note text)")
        let attacks = [
            "'; DROP TABLE injected; --", "$1", "\\'; DROP TABLE injected; --", "x' OR '1'='1", "E'\\x27'", "/*",
            "\u{2019}",
        ]
        for attack in attacks {
            #expect(try await pool.execute("INSERT INTO injected VALUES ($1)", [.text(attack)]) == 1)
            let found = try await pool.query("SELECT note FROM injected WHERE note = $1", [.text(attack)])
            #expect(try found.map { row in try row.string("note") } == [attack])
        }
        #expect(try await pool.query("SELECT FROM injected").count == attacks.count)
        // And a text that was made from input after all has room for one statement only.
        let error = await postgresError { _ = try await pool.query("SELECT 1; DROP TABLE injected") }
        #expect(error?.sqlState == "42601")
        for text in ["SELECT 1\0; DROP TABLE injected", "\0"] {
            #expect(await postgresError { _ = try await pool.query(text) }?.kind == .other)
            #expect(await postgresError { _ = try await pool.query("SELECT $1", [.text(text)]) }?.kind == .other)
        }
    }

    @Test func `counts the rows it changed`() async throws {
        let pool = try await PostgresPool.onSharedServer()
        try await pool.runScript("CREATE TABLE counted (n int); INSERT INTO counted SELECT generate_series(1, 10)")
        #expect(try await pool.execute("UPDATE counted SET n = n + 1 WHERE n > $1", [4]) == 6)
        #expect(try await pool.execute("DELETE FROM counted WHERE n = 1000") == 0)
        #expect(try await pool.execute("CREATE TABLE counted_no_rows (n int)") == 0)
        #expect(try await pool.query("UPDATE counted SET n = 0").isEmpty)
    }

    @Test func `names the constraint it violates`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.runScript(
            """
            CREATE TABLE parent (id text CONSTRAINT parent_key PRIMARY KEY);
            CREATE TABLE child (id text NOT NULL CONSTRAINT child_parent REFERENCES parent,
                n int CONSTRAINT child_positive CHECK (n > 0));
            INSERT INTO parent VALUES ('a');
            """
        )
        let unique = await postgresError { try await pool.execute("INSERT INTO parent VALUES ($1)", ["a"]) }
        #expect(unique?.kind == .uniqueViolation)
        #expect(unique?.constraint == "parent_key")
        #expect(unique?.sqlState == "23505")
        #expect(unique?.table == "parent")
        let foreign = await postgresError { try await pool.execute("INSERT INTO child VALUES ($1, 1)", ["b"]) }
        #expect(foreign?.kind == .foreignKeyViolation)
        #expect(foreign?.constraint == "child_parent")
        let check = await postgresError { try await pool.execute("INSERT INTO child VALUES ('a', $1)", [0]) }
        #expect(check?.kind == .checkViolation)
        #expect(check?.constraint == "child_positive")
        let missing = await postgresError { try await pool.execute("INSERT INTO child VALUES ($1, 1)", [.null]) }
        #expect(missing?.kind == .notNullViolation)
        #expect(missing?.column == "id")
        // The detail quotes the row; the description does not.
        #expect(unique?.detail?.contains("(a)") == true)
        #expect(unique.map { "\($0)" }?.contains("(a)") == false)
    }

    @Test(arguments: [
        ("25006", PostgresError.Kind.readOnly), ("53100", .diskFull), ("53300", .tooManyConnections),
        ("40001", .serialization), ("40P01", .serialization), ("08006", .connection), ("22012", .other),
    ])
    func `sorts errors by what can be done`(sqlState: String, kind: PostgresError.Kind) async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let sql = "DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '\(sqlState)'; END $$"
        let error = await postgresError { try await pool.execute(sql) }
        #expect(error?.kind == kind)
        #expect(error?.sqlState == sqlState)
        #expect(error?.message == "as asked")
    }

    @Test func `in a read-only transaction says so`() async throws {
        let pool = try await PostgresPool.onSharedServer(options: "options='-c default_transaction_read_only=on'")
        #expect(await postgresError { try await pool.execute("CREATE TABLE refused ()") }?.kind == .readOnly)
    }

    @Test func `tells what is wrong with a column`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        let row = try #require(await pool.query("SELECT 1 AS a, 2 AS b, 3 AS b, 'x' AS t, '{{1}}'::int[] AS m").first)
        for (accessor, text) in [
            ({ _ = try row.int("c") }, "no column \"c\""), ({ _ = try row.int("b") }, "several columns \"b\""),
            ({ _ = try row.int("t") }, "\"t\" is not an integer"),
            ({ _ = try row.bool("a") }, "\"a\" is not a boolean"),
            ({ _ = try row.bytes("t") }, "\"t\" is not bytea"), ({ _ = try row.milliseconds("t") }, "not a finite"),
            ({ _ = try row.stringArray("m") }, "not a one-dimensional"), ({ _ = try row.double("t") }, "not a number"),
        ] as [(() throws -> Void, String)] {
            let error = #expect(throws: PostgresError.self) { try accessor() }
            #expect(error?.kind == .decoding)
            #expect(error?.message.contains(text) == true)
        }
    }

    @Test func `is planned anew after a migration changed its table`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        try await pool.execute("CREATE TABLE migrated (a int)")
        try await pool.execute("INSERT INTO migrated VALUES (1)")
        #expect(try await pool.query("SELECT * FROM migrated").first?.columns == ["a"])
        try await pool.execute("ALTER TABLE migrated ADD b int")
        #expect(try await pool.query("SELECT * FROM migrated").first?.columns == ["a", "b"])
        try await pool.execute("DEALLOCATE ALL")
        #expect(try await pool.query("SELECT * FROM migrated").first?.columns == ["a", "b"])
    }

    @Test func `is one of more texts than are prepared`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        for number in 0..<600 {
            #expect(
                try await pool.query("SELECT $1::bigint + \(number) AS n", [1]).first?.int("n") == Int64(number) + 1
            )
        }
        let prepared = try await pool.query("SELECT count(*) AS n FROM pg_prepared_statements")
        #expect(try prepared.first?.int("n") == 512)
    }

    @Test func `that runs too long is ended by the server, and the connection stays`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1, statementTimeout: .milliseconds(200))
        let pid = try await pool.query("SELECT pg_backend_pid() AS pid").first?.int("pid")
        let error = await postgresError { _ = try await pool.query("SELECT pg_sleep(30)") }
        #expect(error?.kind == .timeout)
        #expect(error?.sqlState == "57014")
        #expect(try await pool.query("SELECT pg_backend_pid() AS pid").first?.int("pid") == pid)
    }

    @Test func `may be a large one`() async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 2)
        let large = [UInt8](repeating: 7, count: 8 << 20)
        let rows = try await pool.query("SELECT $1::bytea AS y, $2::bytea AS empty", [.bytes(large), .bytes([])])
        #expect(try rows.first?.bytes("y") == large)
        #expect(try rows.first?.bytes("empty") == [])
    }

    @Test(arguments: ["COPY (SELECT 1) TO STDOUT", "COPY pg_temp.nowhere FROM STDIN"])
    func `that is a COPY is refused and harms nobody`(sql: String) async throws {
        let pool = try await PostgresPool.onSharedServer(maxConnections: 1)
        #expect(await postgresError { _ = try await pool.query(sql) } != nil)
        #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1)
    }

    @Test func `works over TCP as well`() async throws {
        let server = try await PostgresServer.shared.value
        let pool = try PostgresPool(PostgresConfiguration(conninfo: server.tcpConninfo, connectTimeout: .seconds(20)))
        #expect(try await pool.query("SELECT 1 AS n").first?.int("n") == 1)
    }
}
