// The rules that all operations share, each tried on one that has it.

import Postgres
import Stack
import Testing

@testable import ControlPlane

@Suite struct `The admin API` {
    @Test(arguments: ["", "Bearer", "Bearer wrong-token-of-the-tests", "Basic YTpi", "Bearer \(TestPlane.fleetToken)"])
    func `refuses every token but the admin's`(value: String) async throws {
        let plane = try await TestPlane.start()
        for path in ["/v1/apps", "/v1/nothing", "/v1/openapi.yaml"] {
            let reply = try await plane.raw("GET", path, [], headers: [(name: "Authorization", value: value)])
            #expect(reply.status == 401)
            #expect(reply.header("www-authenticate") == "Bearer")
            #expect(try reply.string("type") == "urn:weir:problem:unauthorized")
        }
        let node = try await plane.send("GET", "/internal/v1/snapshot/manifest")
        #expect(node.status == 401)
        await plane.stop()
    }

    @Test func `refuses what cannot be a request of it`() async throws {
        let plane = try await TestPlane.start()
        let form = [(name: "Content-Type", value: "application/x-www-form-urlencoded")]
        #expect(try await plane.send("POST", "/v1/apps", "name=a", headers: form).status == 415)
        #expect(try await plane.send("POST", "/v1/apps", "{\"name\":\"a\"").status == 400)
        #expect(try await plane.send("POST", "/v1/apps", "[1]").status == 400)
        #expect(try await plane.send("POST", "/v1/apps", "{\"name\":\"a\",\"name\":\"b\"}").status == 400)
        let large = "{\"name\":\"\(String(repeating: "a", count: 1 << 20))\"}"
        #expect(try await plane.send("POST", "/v1/apps", large).status == 413)
        #expect(try await plane.send("GET", "/v1/nothing").status == 404)
        #expect(try await plane.send("GET", "/v1/apps/").status == 404)
        #expect(try await plane.send("GET", "/v1//apps").status == 404)
        let wrongMethod = try await plane.send("DELETE", "/v1/apps")
        #expect(wrongMethod.status == 405)
        #expect(wrongMethod.header("allow") == "GET, POST")
        for query in [
            "?limit=0", "?limit=201", "?limit=x", "?cursor=x", "?unknown=1", "?limit=1&limit=2", "?limit=%zz",
        ] {
            #expect(try await plane.send("GET", "/v1/apps\(query)").status == 400, "\(query)")
        }
        #expect(try await plane.send("GET", "/v1/apps/%00").status == 404)
        await plane.stop()
    }

    @Test func `names every fault with its path`() async throws {
        let plane = try await TestPlane.start()
        let reply = try await plane.send("POST", "/v1/apps", "{\"tier\":1,\"tags\":[\"a\",2],\"x/y\":1}")
        #expect(reply.status == 422)
        #expect(reply.header("content-type") == "application/problem+json")
        #expect(reply.faults == ["/name", "/tier", "/tags/1", "/x~1y"])
        #expect(try reply.string("request_id") == reply.header("x-request-id"))
        await plane.stop()
    }

    @Test func `keeps a well-formed request id and replaces another`() async throws {
        let plane = try await TestPlane.start()
        let good = try await plane.send("GET", "/v1/apps", headers: [(name: "X-Request-Id", value: "trace-7")])
        #expect(good.header("x-request-id") == "trace-7")
        let bad = try await plane.send("GET", "/v1/apps", headers: [(name: "X-Request-Id", value: "a b\"c")])
        #expect(bad.header("x-request-id")?.hasPrefix("req_") == true)
        await plane.stop()
    }

    @Test func `pages through a list once, in order`() async throws {
        let plane = try await TestPlane.start()
        for index in 0..<5 { _ = try await plane.makeApp("app-\(index)") }
        var names: [String] = []
        var cursor = ""
        for _ in 0..<3 {
            let reply = try await plane.send("GET", "/v1/apps?limit=2\(cursor)")
            names += (reply.json["data"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
            guard let next = reply.json["next_cursor"]?.stringValue else { break }
            cursor = "&cursor=\(next)"
        }
        #expect(names == (0..<5).map { "app-\($0)" })
        await plane.stop()
    }

    @Test func `guards a write by the version it read`() async throws {
        let plane = try await TestPlane.start()
        let id = try await plane.makeApp()
        let read = try await plane.send("GET", "/v1/apps/\(id)")
        let etag = try #require(read.header("etag"))
        let current = try await plane.send("GET", "/v1/apps/\(id)", headers: [(name: "If-None-Match", value: etag)])
        #expect(current.status == 304)
        let match = [(name: "If-Match", value: etag)]
        #expect(try await plane.send("PATCH", "/v1/apps/\(id)", "{\"tier\":\"b\"}", headers: match).status == 200)
        #expect(try await plane.send("PATCH", "/v1/apps/\(id)", "{\"tier\":\"c\"}", headers: match).status == 412)
        #expect(try await plane.send("DELETE", "/v1/apps/\(id)", headers: match).status == 412)
        #expect(try await plane.send("PUT", "/v1/apps/\(id)", "{\"name\":\"x\"}", headers: match).status == 412)
        #expect(try await plane.send("PATCH", "/v1/apps/\(id)", "{\"tier\":\"d\"}").status == 200)
        await plane.stop()
    }

    @Test func `answers a repeated create with its first answer, and stores no secret in clear`() async throws {
        let plane = try await TestPlane.start()
        let id = try await plane.makeApp()
        let key = [(name: "Idempotency-Key", value: "once")]
        let first = try await plane.send("POST", "/v1/apps/\(id)/keys", "{\"name\":\"k\"}", headers: key)
        let version = try await plane.version()
        let second = try await plane.send("POST", "/v1/apps/\(id)/keys", "{\"name\":\"k\"}", headers: key)
        #expect(first.status == 201 && second.status == 201)
        #expect(first.json == second.json)
        #expect(second.header("idempotency-replayed") == "true")
        #expect(try await plane.version() == version)
        let other = try await plane.send("POST", "/v1/apps/\(id)/keys", "{\"name\":\"l\"}", headers: key)
        #expect(other.status == 422)
        let list = try await plane.send("GET", "/v1/apps/\(id)/keys")
        #expect(list.json["data"]?.arrayValue?.count == 1)
        let secret = try #require(try first.string("key").split(separator: "_").last)
        #expect(try await !plane.databaseContains(String(secret)))
        await plane.stop()
    }

    @Test func `takes a canary's write for another than the same one for all`() async throws {
        let plane = try await TestPlane.start()
        let key = [(name: "Idempotency-Key", value: "once")]
        let body = #"{"name":"p","kind":"request_size","scope":{"global":true},"config":{"max_bytes":9}}"#
        let canary = try await plane.send("POST", "/v1/policies?canary=10%", body, headers: key)
        #expect(canary.status == 201)
        let again = try await plane.send("POST", "/v1/policies?canary=10%&wait=applied", body, headers: key)
        #expect(again.header("idempotency-replayed") == "true")
        #expect(try again.string("id") == canary.string("id"))
        let all = try await plane.send("POST", "/v1/policies", body, headers: key)
        #expect(all.header("idempotency-replayed") == nil)
        await plane.stop()
    }

    @Test func `makes one of many concurrent creates with one idempotency key`() async throws {
        let plane = try await TestPlane.start()
        let key = [(name: "Idempotency-Key", value: "race")]
        let ids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await plane.send("POST", "/v1/apps", "{\"name\":\"a\"}", headers: key).string("id")
                }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(ids.count == 1)
        await plane.stop()
    }

    @Test func `makes gapless versions under concurrent writers, each audited and in the outbox`() async throws {
        let plane = try await TestPlane.start()
        let writers = 6
        let each = 10
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask { try await makeApps(each, by: writer, on: plane) }
            }
            try await group.waitForAll()
        }
        let count = Int64(writers * each)
        #expect(try await plane.version() == 1 + count)
        let audited = try await TestPlane.rows(
            "SELECT count(*) AS n, min(version) AS low, max(version) AS high FROM audit_log",
            plane.connectionString
        )
        let row = try #require(audited.first)
        #expect(try row.int("n") == count && row.int("low") == 2 && row.int("high") == 1 + count)
        let outbox = try await TestPlane.rows("SELECT count(*) AS n FROM outbox", plane.connectionString)
        #expect(try outbox.first?.int("n") == 1 + count)
        let audit = try await plane.send("GET", "/v1/audit?limit=1&resource_kind=app")
        let entry = try #require(audit.json["data"]?.arrayValue?.first)
        #expect(entry["version"] == .integer(1 + count))
        #expect(entry["action"] == "create")
        await plane.stop()
    }

    private func makeApps(_ count: Int, by writer: Int, on plane: TestPlane) async throws {
        for index in 0..<count {
            let body = "{\"name\":\"w\(writer)-\(index)\"}"
            #expect(try await plane.send("POST", "/v1/apps", body).status == 201)
            // A refused change must not use a version up.
            #expect(try await plane.send("POST", "/v1/apps", body).status == 409)
        }
    }
}

extension TestPlane {
    /// Whether any text, JSON or bytes of any table hold this text.
    func databaseContains(_ text: String) async throws -> Bool {
        let tables = ["apps", "keys", "policies", "providers", "audit_log", "outbox", "idempotency_keys"]
        for table in tables {
            let rows = try await Self.rows(
                """
                SELECT 1 FROM \(table) AS t
                WHERE t::text LIKE '%\(text)%' OR t::text LIKE '%' || encode('\(text)'::bytea, 'hex') || '%'
                """,
                connectionString
            )
            if !rows.isEmpty { return true }
        }
        return false
    }
}
