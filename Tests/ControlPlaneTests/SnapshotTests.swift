// From a write to what nodes read: over HTTP, over Redis, and the write that waits for them.

import Policy
import Postgres
import Reactor
import Secrets
import Snapshot
import Stack
import Synchronization
import Testing

@testable import ControlPlane

@Suite struct `A change` {
    /// The snapshot that the control plane gives nodes over HTTP, verified and decoded as a node does.
    private func fetch(_ plane: TestPlane) async throws -> (Manifest, SnapshotContent) {
        let reply = try await plane.sendAsNode("GET", "/internal/v1/snapshot/manifest")
        let manifest = try SnapshotDecoder.manifest(reply.response.body, verifyingKey: plane.signingKey.verifyingKey)
        #expect(reply.header("etag") == "\"\(manifest.lineage)-\(manifest.version)\"")
        var chunks: [Digest: [UInt8]] = [:]
        while true {
            let missing = try SnapshotDecoder.missing(manifest) { chunks[$0] }
            guard !missing.isEmpty else { break }
            for chunk in missing {
                let reply = try await plane.sendAsNode("GET", "/internal/v1/snapshot/chunks/\(chunk.digest.hex)")
                chunks[chunk.digest] = reply.response.body
            }
        }
        return (manifest, try SnapshotDecoder.content(manifest: manifest) { chunks[$0] })
    }

    @Test func `reaches nodes as a signed snapshot that they can enforce`() async throws {
        let plane = try await TestPlane.start()
        let app = try await plane.makeApp()
        let key = try await plane.send("POST", "/v1/apps/\(app)/keys", "{\"name\":\"k\"}").string("key")
        let provider = """
            {"name":"p","kind":"openai_compatible","base_url":"http://127.0.0.1:9/v1","credential":"sk-x"}
            """
        let providerID = try await plane.send("POST", "/v1/providers", provider).string("id")
        let model = "{\"name\":\"m\",\"routes\":[{\"provider\":\"p\",\"upstream_model\":\"u\"}]}"
        _ = try await plane.send("POST", "/v1/models", model)
        let policies = [
            "{\"kind\":\"rate_limit\",\"config\":{\"limit\":5,\"window\":\"1m\"},\"scope\":{\"app\":\"\(app)\"}}",
            "{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1000},\"scope\":{\"global\":true}}",
            "{\"kind\":\"model_allowlist\",\"config\":{\"allow\":[\"m*\",\"u\"]},\"scope\":{\"global\":true},\"mode\":\"shadow\"}",
            "{\"kind\":\"token_limit\",\"config\":{\"max_prompt_tokens\":9},\"scope\":{\"global\":true},\"enabled\":false}",
        ]
        for policy in policies {
            #expect(try await plane.send("POST", "/v1/policies?wait=applied", policy).status == 201)
        }
        let (manifest, content) = try await fetch(plane)
        #expect(try await Int64(manifest.version) == plane.version())
        #expect(content.policies.count == 3)
        let snapshot = try EnforcedSnapshot(
            version: manifest.version,
            lineage: manifest.lineage,
            createdAt: manifest.createdAt,
            content: content
        )
        let parts = key.split(separator: "_")
        let keyID = try #require(KeyID(String(parts[1])))
        let enforced = try #require(snapshot.key(keyID))
        #expect(enforced.digest == SHA256.digest(Array(parts[2].utf8)))
        #expect(enforced.maxBodyBytes == 1000)
        #expect(enforced.rules.count == 3)
        let sealed = try #require(content.providers.first?.sealedCredential)
        let fleet = try SealingKey(bytes: plane.fleetKey)
        #expect(try fleet.open(sealed, context: Array(providerID.utf8)) == Array("sk-x".utf8))
        await plane.stop()
    }

    @Test func `gives equal bytes on every control plane`() async throws {
        let first = try await TestPlane.start()
        let second = try await TestPlane.start(sharing: first)
        _ = try await first.send("POST", "/v1/apps?wait=applied", "{\"name\":\"a\"}")
        let body =
            "{\"name\":\"p\",\"kind\":\"openai\",\"base_url\":\"https://api.openai.com/v1\",\"credential\":\"sk\"}"
        _ = try await second.send("POST", "/v1/providers?wait=applied", body)
        let wanted = try await first.version()
        var manifests: [[UInt8]] = []
        for plane in [first, second] {
            try await eventually { try await plane.snapshotVersion() == wanted }
            manifests.append(try await plane.sendAsNode("GET", "/internal/v1/snapshot/manifest").response.body)
        }
        #expect(manifests[0] == manifests[1])
        await first.stop()
        await second.stop()
    }

    @Test func `ends a long poll at once, and no change ends it with 304`() async throws {
        let plane = try await TestPlane.start()
        let reply = try await plane.sendAsNode("GET", "/internal/v1/snapshot/manifest")
        let etag = try #require(reply.header("etag"))
        let headers = [
            (name: "Authorization", value: "Bearer \(TestPlane.fleetToken)"), (name: "If-None-Match", value: etag),
        ]
        let idle = try await plane.raw("GET", "/internal/v1/snapshot/manifest?wait=1", [], headers: headers)
        #expect(idle.status == 304)
        let clock = ContinuousClock()
        let start = clock.now
        async let poll = plane.raw("GET", "/internal/v1/snapshot/manifest?wait=25", [], headers: headers)
        _ = try await plane.makeApp()
        #expect(try await poll.status == 200)
        #expect(clock.now - start < .seconds(15))
        await plane.stop()
    }

    @Test func `waits for live nodes when asked, and names the one that lags`() async throws {
        let plane = try await TestPlane.start()
        let current = try await plane.send("GET", "/v1/snapshots/current").json
        let lineage = try #require(current["lineage"]?.stringValue)
        let version = try #require(current["version"]?.integerValue)
        #expect(
            try await plane.report(node: "n1", version: version, lineage: lineage).json["live_nodes"] == .integer(1)
        )
        #expect(
            try await plane.report(node: "n2", version: version, lineage: lineage).json["live_nodes"] == .integer(2)
        )
        async let write = plane.send("POST", "/v1/apps?wait=applied&timeout=5", "{\"name\":\"a\"}")
        try await eventually { try await plane.snapshotVersion() == version + 1 }
        _ = try await plane.report(node: "n1", version: version + 1, lineage: lineage)
        _ = try await plane.report(node: "n2", version: version + 1, lineage: lineage)
        #expect(try await write.status == 201)
        _ = try await plane.report(node: "n1", version: version + 1, lineage: lineage)
        let late = try await plane.send("POST", "/v1/apps?wait=applied&timeout=1", "{\"name\":\"b\"}")
        #expect(late.status == 504)
        #expect(try late.string("detail").contains("n1"))
        #expect(late.header("weir-version") == String(version + 2))
        #expect(try await plane.version() == version + 2)
        let nodes = try await plane.send("GET", "/v1/nodes")
        #expect(nodes.json["data"]?.arrayValue?.count == 2)
        #expect(try await plane.send("POST", "/v1/apps?wait=soon", "{\"name\":\"c\"}").status == 400)
        await plane.stop()
    }

    @Test func `is in Redis at once, with all its chunks, and comes back after FLUSHALL and a restart`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-control-redis")
        let server = try await PrivateRedis.start(directory: directory.path)
        let plane = try await TestPlane.start(redisPort: server.port)
        let redis = try RedisClient(RedisConfiguration(port: server.port, commandDeadline: .seconds(1)))
        let heard = Mutex<Set<String>>([])
        let listening = Task {
            for await event in redis.subscribe(to: RedisNames.channel) {
                if case .message(let bytes) = event {
                    _ = heard.withLock { $0.insert(String(decoding: bytes, as: UTF8.self)) }
                }
            }
        }
        try await eventually { try await headVersion(redis, plane) == 1 }
        _ = try await plane.makeApp()
        try await eventually { try await headVersion(redis, plane) == 2 }
        try await eventually { heard.withLock { $0.contains { $0.hasSuffix(" 2") } } }
        listening.cancel()
        try await eventually {
            try await TestPlane.rows("SELECT 1 FROM outbox", plane.connectionString).isEmpty
        }
        _ = try await redis.command("FLUSHALL")
        try await eventually { try await headVersion(redis, plane) == 2 }
        await server.process.stop()
        _ = try await plane.makeApp("meanwhile")
        try await server.process.start()
        try await eventually { try await headVersion(redis, plane) == 3 }
        await plane.stop()
        redis.close()
        await server.stop()
    }

    @Test func `never moves the head in Redis back`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-control-redis")
        let server = try await PrivateRedis.start(directory: directory.path)
        let redis = try RedisClient(RedisConfiguration(port: server.port, commandDeadline: .seconds(1)))
        try await eventually { redis.isReady }
        let keys = [RedisNames.head, RedisNames.position, RedisNames.canary, RedisNames.fence]
        func move(
            _ lineage: String,
            _ version: String,
            seen: String,
            fence: String = "7",
            canary: String = ""
        ) async throws -> RedisReply {
            let texts = [lineage, version, seen, "weir:head", fence, "300", canary].map { Array($0.utf8) }
            return try await redis.evaluate(RedisNames.publish, keys: keys, arguments: [[1]] + texts)
        }
        func announce(_ position: String, fence: String) async throws -> RedisReply {
            let texts = [position, "weir:head", fence, "300"].map { Array($0.utf8) }
            return try await redis.evaluate(RedisNames.announce, keys: keys, arguments: texts)
        }
        #expect(try await move("aa", "9", seen: "") == .integer(1))
        #expect(try await move("aa", "10", seen: "aa 9") == .integer(1))
        #expect(try await move("aa", "10", seen: "aa 9") == .integer(2))
        #expect(try await move("aa", "9", seen: "aa 10") == .integer(0))
        #expect(try await move("bb", "1", seen: "aa 9") == .integer(0))
        #expect(try await move("bb", "1", seen: "aa 10") == .integer(1))
        #expect(try await move("aa", "11", seen: "aa 10") == .integer(0))
        // Whoever was the publisher before is refused, whatever it saw and however high its version.
        #expect(try await move("bb", "2", seen: "bb 1", fence: "10", canary: "c") == .integer(1))
        #expect(try await redis.command([Array("GET".utf8), RedisNames.canary]) == .bulk(Array("c".utf8)))
        #expect(try await move("bb", "3", seen: "bb 2", fence: "9") == .integer(-1))
        #expect(try await announce("bb 2", fence: "9") == .integer(-1))
        #expect(try await announce("bb 1", fence: "10") == .integer(0))
        #expect(try await announce("bb 2", fence: "10") == .integer(1))
        #expect(try await move("bb", "3", seen: "bb 2", fence: "11") == .integer(1))
        #expect(try await redis.command([Array("GET".utf8), RedisNames.canary]) == .null)
        redis.close()
        await server.stop()
    }

    /// The version of the head in Redis once all its chunks are there; nil before.
    private func headVersion(_ redis: RedisClient, _ plane: TestPlane) async throws -> UInt64? {
        do {
            guard case .bulk(let bytes) = try await redis.command([Array("GET".utf8), RedisNames.head]) else {
                return nil
            }
            let manifest = try SnapshotDecoder.manifest(bytes, verifyingKey: plane.signingKey.verifyingKey)
            var chunks: [Digest: [UInt8]] = [:]
            while true {
                let missing = try SnapshotDecoder.missing(manifest) { chunks[$0] }
                guard !missing.isEmpty else { break }
                for chunk in missing {
                    let reply = try await redis.command([Array("GET".utf8), RedisNames.chunk(chunk.digest)])
                    guard case .bulk(let bytes) = reply else { return nil }
                    chunks[chunk.digest] = bytes
                }
            }
            _ = try SnapshotDecoder.content(manifest: manifest) { chunks[$0] }
            return manifest.version
        } catch is RedisFailure {
            return nil
        }
    }
}

extension TestPlane {
    /// The version of the snapshot compiled here.
    func snapshotVersion() async throws -> Int64? {
        try await send("GET", "/v1/snapshots/current").json["version"]?.integerValue
    }
}

/// Waits for a condition, at most half a minute.
func eventually(_ condition: () async throws -> Bool) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(30)
    while try await !condition() {
        guard clock.now < deadline else {
            Issue.record("the condition did not come true in time")
            return
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}
