// Several control planes on one database: one publishes, another takes over, and what the first still does is refused.

import Postgres
import Reactor
import Secrets
import Snapshot
import Stack
import Testing

@testable import ControlPlane

@Suite struct `Several control planes` {
    private func positionVersion(_ redis: RedisClient) async throws -> Int64? {
        do {
            guard case .bulk(let bytes) = try await redis.command([Array("GET".utf8), RedisNames.position]) else {
                return nil
            }
            return String(decoding: bytes, as: UTF8.self).split(separator: " ").last.flatMap { Int64($0) }
        } catch {
            return nil
        }
    }

    @Test func `have one publisher, and another within two seconds after it ended`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-control-redis")
        let server = try await PrivateRedis.start(directory: directory.path)
        let redis = try RedisClient(RedisConfiguration(port: server.port, commandDeadline: .seconds(1)))
        let first = try await TestPlane.start(redisPort: server.port)
        try await eventually { try await first.isPublisher() }
        let second = try await TestPlane.start(redisPort: server.port, sharing: first)
        // Any of them takes writes.
        for (number, plane) in [first, second, first, second].enumerated() {
            #expect(try await plane.send("POST", "/v1/apps", "{\"name\":\"a\(number)\"}").status == 201)
        }
        let version = try await first.version()
        try await eventually { try await positionVersion(redis) == version }
        #expect(try await first.isPublisher())
        #expect(try await !second.isPublisher())

        await first.stop()
        let clock = ContinuousClock()
        let start = clock.now
        try await eventually { try await second.isPublisher() }
        #expect(clock.now - start < .seconds(2))
        #expect(try await second.send("POST", "/v1/apps", "{\"name\":\"b\"}").status == 201)
        try await eventually { try await positionVersion(redis) == version + 1 }
        let rows = try await TestPlane.rows(
            "SELECT count(*) AS n, max(version) AS v FROM audit_log",
            second.connectionString
        )
        #expect(try rows.first?.int("n") == 5)
        #expect(try rows.first?.int("v") == version + 1)
        await second.stop()
        redis.close()
        await server.stop()
    }

    @Test func `take over from one that is stopped when its lease runs out, with a higher fence`() async throws {
        let plane = try await TestPlane.start()
        try await eventually { try await plane.isPublisher() }
        let pool = try PostgresPool(PostgresConfiguration(conninfo: plane.connectionString, maxConnections: 2))
        let stopped = PublisherLease()
        #expect(try await stopped.take(pool) == nil)
        // As if the other had taken it and was stopped at once.
        try await sql(
            "UPDATE publisher SET holder = '\(stopped.holder)', expires_at = clock_timestamp() + interval '1.5 s'",
            plane.connectionString
        )
        let fence = try #require(try await stopped.take(pool))
        try await eventually { try await !plane.isPublisher() }
        let clock = ContinuousClock()
        let start = clock.now
        try await eventually { try await plane.isPublisher() }
        #expect(clock.now - start < .seconds(15))
        let rows = try await pool.query("SELECT fence FROM publisher")
        #expect(try #require(try rows.first?.int("fence")) > fence)
        #expect(try await stopped.take(pool) == nil)
        #expect(try await !stopped.raise(above: .max / 2, pool))
        await pool.close()
        await plane.stop()
    }

    @Test func `publish on when the fence in Redis is from the future`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-control-redis")
        let server = try await PrivateRedis.start(directory: directory.path)
        let redis = try RedisClient(RedisConfiguration(port: server.port, commandDeadline: .seconds(1)))
        try await eventually { redis.isReady }
        let plane = try await TestPlane.start(redisPort: server.port)
        for fence in ["99999999999999", "garbage, and longer than any number that was ever a fence"] {
            _ = try await redis.command([Array("SET".utf8), RedisNames.fence, Array(fence.utf8)])
            _ = try await plane.makeApp(String(fence.prefix(7)))
            let version = try await plane.version()
            try await eventually { try await positionVersion(redis) == version }
        }
        await plane.stop()
        redis.close()
        await server.stop()
    }

    @Test func `hear of each other's nodes at once`() async throws {
        let first = try await TestPlane.start()
        let second = try await TestPlane.start(sharing: first)
        let current = try await first.send("GET", "/v1/snapshots/current").json
        let lineage = try #require(current["lineage"]?.stringValue)
        let version = try #require(current["version"]?.integerValue)
        _ = try await second.report(node: "n", version: version, lineage: lineage)
        try await eventually { try await first.send("GET", "/v1/nodes").json["data"]?.arrayValue?.count == 1 }
        for number in 1...5 {
            async let write = first.send("POST", "/v1/apps?wait=applied", "{\"name\":\"a\(number)\"}")
            try await eventually { try await second.snapshotVersion() == version + Int64(number) }
            _ = try await second.report(node: "n", version: version + Int64(number), lineage: lineage)
            #expect(try await write.status == 201)
        }
        await second.stop()
        await first.stop()
    }

    @Test func `tell each other how busy a node is and what it does without`() async throws {
        let first = try await TestPlane.start()
        let second = try await TestPlane.start(sharing: first)
        func node() async throws -> JSON? { try await first.send("GET", "/v1/nodes").json["data"]?.arrayValue?.first }
        let old = try await second.report(node: "n", version: 1, lineage: "x")
        #expect(old.status == 200)
        try await eventually { try await node() != nil }
        let silent = try #require(try await node())
        #expect(silent["requests_per_second"] == .null && silent["breakers"] == .array([]))
        let newer = try await second.report(
            node: "n",
            version: 1,
            lineage: "x",
            more: ",\"requests_per_second\":12.5,\"refusals_per_second\":1,\"errors_per_second\":0.0,"
                + "\"usage_queued\":7,\"of_a_newer_build\":{},\"breakers\":["
                + "{\"dependency\":\"redis\",\"state\":\"open\",\"reason\":\"time\\nout\",\"of\":1}]"
        )
        #expect(newer.status == 200)
        try await eventually { try await node()?["usage_queued"] == .integer(7) }
        let shown = try #require(try await node())
        #expect(shown["requests_per_second"] == .number(12.5) && shown["refusals_per_second"] == .number(1))
        #expect(
            shown["breakers"] == .array([["dependency": "redis", "state": "open", "reason": "time out"]])
        )
        let odd = try await second.report(
            node: "n",
            version: 1,
            lineage: "x",
            more: ",\"requests_per_second\":-1,\"breakers\":[{\"dependency\":\"redis\",\"state\":\"closed\"}]"
        )
        #expect(odd.status == 422)
        await second.stop()
        await first.stop()
    }
}

@Suite struct `A node id` {
    @Test func `used by two processes shows both and an alarm, and a restart does not`() async throws {
        let plane = try await TestPlane.start()
        let lineage = String(repeating: "0", count: 32)
        func shown() async throws -> [(boot: String?, live: JSON?, duplicate: JSON?)] {
            (try await plane.send("GET", "/v1/nodes").json["data"]?.arrayValue ?? []).map {
                ($0["boot_id"]?.stringValue, $0["live"], $0["duplicate"])
            }
        }
        _ = try await plane.report(node: "n", boot: "a", version: 1, lineage: lineage)
        let restarted = try await plane.report(node: "n", boot: "b", version: 1, lineage: lineage)
        #expect(restarted.json["live_nodes"] == .integer(1))
        #expect(restarted.json["duplicate"] == .bool(false))
        #expect(try await shown().map(\.boot) == ["b"])
        // The first one speaks again, and goes on doing so: it was no restart.
        try await eventually {
            _ = try await plane.report(node: "n", boot: "b", version: 1, lineage: lineage)
            return try await plane.report(node: "n", boot: "a", version: 1, lineage: lineage).json["duplicate"]
                == .bool(true)
        }
        #expect(try await shown().map(\.boot) == ["a", "b"])
        #expect(try await shown().allSatisfy { $0.live == .bool(true) && $0.duplicate == .bool(true) })
        let metrics = try await plane.send("GET", "/metrics").response.text
        #expect(metrics.contains("\nweir_duplicate_nodes 2\n"))
        await plane.stop()
    }
}

@Suite struct `A database set back to an older state` {
    /// What a restored backup looks like: the version, and the rows with it, are of an earlier day.
    private func setBack(_ plane: TestPlane, to version: Int64) async throws {
        try await sql(
            """
            BEGIN;
            UPDATE configuration SET version = \(version);
            DELETE FROM audit_log WHERE version > \(version);
            DELETE FROM outbox;
            DELETE FROM apps WHERE version > \(version);
            COMMIT;
            """,
            plane.connectionString
        )
    }

    @Test func `begins a new lineage when Redis has seen more, and is confirmed by an admin`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-control-redis")
        let server = try await PrivateRedis.start(directory: directory.path)
        let redis = try RedisClient(RedisConfiguration(port: server.port, commandDeadline: .seconds(1)))
        let first = try await TestPlane.start(redisPort: server.port)
        for number in 0..<5 { _ = try await first.makeApp("a\(number)") }
        let before = try await first.send("GET", "/v1/snapshots/lineage").json
        #expect(before["confirmed"] == .bool(true))
        let old = try #require(before["lineage"]?.stringValue)
        try await eventually { try await head(redis, first)?.version == 6 }
        let createdAt = try #require(try await head(redis, first)).createdAt
        try await setBack(first, to: 3)
        let second = try await TestPlane.start(redisPort: server.port, sharing: first)
        await first.stop()
        try await eventually { try await head(redis, second)?.lineage != old }
        let restored = try #require(try await head(redis, second))
        #expect(restored.version == 4)
        #expect(restored.createdAt > createdAt)
        let after = try await second.send("GET", "/v1/snapshots/lineage").json
        #expect(after["lineage"]?.stringValue == restored.lineage)
        #expect(after["previous"]?.stringValue == old)
        #expect(after["confirmed"] == .bool(false))
        let report = try await second.report(node: "n", version: 4, lineage: restored.lineage)
        #expect(report.json["confirmed_lineage"] == "")
        let audit = try await second.send("GET", "/v1/audit?resource_kind=lineage").json["data"]?.arrayValue?.first
        #expect(audit?["actor"] == "system")
        #expect(audit?["version"] == .integer(4))

        let confirmed = try await second.send("POST", "/v1/snapshots/lineage/confirm")
        #expect(confirmed.json["confirmed"] == .bool(true))
        #expect(try await second.send("POST", "/v1/snapshots/lineage/confirm").status == 409)
        try await eventually { try await second.snapshotVersion() == 5 }
        let told = try await second.report(node: "n", version: 5, lineage: restored.lineage)
        #expect(told.json["confirmed_lineage"]?.stringValue == restored.lineage)
        await second.stop()
        redis.close()
        await server.stop()
    }

    @Test func `begins a new lineage when a node enforces more, and not for what is merely new`() async throws {
        let plane = try await TestPlane.start()
        for number in 0..<3 { _ = try await plane.makeApp("a\(number)") }
        let old = try #require(try await plane.send("GET", "/v1/snapshots/lineage").json["lineage"]?.stringValue)
        try await eventually { try await plane.snapshotVersion() == 4 }
        // Of the version that is, of another lineage, and of one that this control plane may not have compiled yet.
        _ = try await plane.report(node: "n", version: 4, lineage: old)
        _ = try await plane.report(node: "m", version: 400, lineage: String(repeating: "0", count: 32))
        #expect(try await plane.send("GET", "/v1/snapshots/lineage").json["lineage"]?.stringValue == old)
        try await setBack(plane, to: 2)
        try await eventually {
            _ = try await plane.report(node: "n", version: 4, lineage: old)
            return try await plane.send("GET", "/v1/snapshots/lineage").json["lineage"]?.stringValue != old
        }
        let metrics = try await plane.send("GET", "/metrics").response.text
        #expect(metrics.contains("\nweir_lineage_changes_total 1\n"))
        try await eventually { try await plane.snapshotVersion() == 3 }
        let begun = try await plane.send("POST", "/v1/snapshots/lineage").json
        #expect(begun["version"] == .integer(4))
        #expect(begun["confirmed"] == .bool(false))
        await plane.stop()
    }

    private func head(_ redis: RedisClient, _ plane: TestPlane) async throws -> Manifest? {
        do {
            guard case .bulk(let bytes) = try await redis.command([Array("GET".utf8), RedisNames.head]) else {
                return nil
            }
            return try SnapshotDecoder.manifest(bytes, verifyingKey: plane.signingKey.verifyingKey)
        } catch is RedisFailure {
            return nil
        }
    }
}

extension TestPlane {
    func isPublisher() async throws -> Bool {
        try await send("GET", "/v1/snapshots/current").json["publisher"] == .bool(true)
    }
}
