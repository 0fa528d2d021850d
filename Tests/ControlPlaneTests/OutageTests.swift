// PostgreSQL away: bounded 503s, nodes served on, all of it healing without hands.

import Postgres
import Stack
import Testing

@testable import ControlPlane

@Suite struct `Without PostgreSQL` {
    @Test func `writes are 503 within five seconds, snapshots are served, and it heals`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-control-outage")
        let path = PrivatePostgres.usableDirectory(preferring: "\(directory.path)/postgres")
        let server = try await PrivatePostgres.start(directory: path)
        let plane = try await TestPlane.start(postgres: server)
        _ = try await plane.makeApp("before")
        let version = try await plane.version()
        try await eventually { try await plane.snapshotVersion() == version }

        await server.process.stop()
        let clock = ContinuousClock()
        for (method, path, body) in [
            ("POST", "/v1/apps", "{\"name\":\"during\"}"), ("GET", "/v1/apps", nil), ("GET", "/v1/usage", nil),
        ] as [(String, String, String?)] {
            let start = clock.now
            let reply = try await plane.send(method, path, body)
            #expect(reply.status == 503, "\(method) \(path): \(reply.json.text)")
            #expect(try reply.string("type") == "urn:weir:problem:unavailable")
            #expect(clock.now - start < .seconds(15))
        }
        #expect(try await plane.sendAsNode("GET", "/internal/v1/snapshot/manifest").status == 200)
        let lineage = String(repeating: "0", count: 32)
        #expect(try await plane.report(node: "n", version: 1, lineage: lineage).status == 200)
        #expect(try await plane.send("GET", "/readyz").status == 200)

        try await server.process.start()
        try await eventually { try await plane.send("POST", "/v1/apps", "{\"name\":\"after\"}").status == 201 }
        #expect(try await plane.version() == version + 1)
        try await eventually { try await plane.snapshotVersion() == version + 1 }
        await plane.stop()
        await server.stop()
    }

    @Test func `a database that only reads answers reads and refuses writes`() async throws {
        let plane = try await TestPlane.start()
        _ = try await plane.makeApp("before")
        let name = try #require(plane.connectionString.split(separator: "dbname=").last)
        try await sql("ALTER DATABASE \(name) SET default_transaction_read_only = on", plane.connectionString)
        let other = try await TestPlane.start(sharing: plane)
        #expect(try await other.send("POST", "/v1/apps", "{\"name\":\"during\"}").status == 503)
        #expect(try await other.send("GET", "/v1/apps").status == 200)
        await other.stop()
        await plane.stop()
    }
}
