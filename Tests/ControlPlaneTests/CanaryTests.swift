// A policy's change for some nodes first, seen from an admin and from nodes.

import Secrets
import Snapshot
import Stack
import Testing

@testable import ControlPlane

@Suite struct `A canary` {
    private static let strict =
        "{\"name\":\"p\",\"kind\":\"request_size\",\"config\":{\"max_bytes\":10},\"scope\":{\"global\":true}}"
    private static let loose =
        "{\"name\":\"p\",\"kind\":\"request_size\",\"config\":{\"max_bytes\":99},\"scope\":{\"global\":true}}"

    /// The policies that a node enforces, by what the control plane gives it.
    private func policies(_ plane: TestPlane, node: String?) async throws -> [PolicyRecord] {
        let query = node.map { "?node=\($0)" } ?? ""
        let reply = try await plane.sendAsNode("GET", "/internal/v1/snapshot/manifest\(query)")
        var manifest = try SnapshotDecoder.manifest(reply.response.body, verifyingKey: plane.signingKey.verifyingKey)
        if let notice = reply.header(CanaryRoutes.noticeHeader) {
            let canary = try SnapshotCanary(
                try #require(bytes(hex: notice)),
                verifyingKey: plane.signingKey.verifyingKey
            )
            #expect(canary.includes(nodeID: node ?? ""))
            #expect(reply.header("etag") == "\"\(manifest.lineage)-\(manifest.version)-\(canary.id)\"")
            manifest = manifest.applying(canary)
        }
        var chunks: [Digest: [UInt8]] = [:]
        while true {
            let missing = try SnapshotDecoder.missing(manifest) { chunks[$0] }
            guard !missing.isEmpty else { break }
            for chunk in missing {
                let path = "/internal/v1/snapshot/chunks/\(chunk.digest.hex)"
                chunks[chunk.digest] = try await plane.sendAsNode("GET", path).response.body
            }
        }
        return try SnapshotDecoder.content(manifest: manifest) { chunks[$0] }.policies
    }

    /// Reports of ten nodes that enforce the current version; the ids of those in the canary.
    private func reportAll(_ plane: TestPlane, canary: String? = nil) async throws -> [String] {
        let current = try await plane.send("GET", "/v1/snapshots/current").json
        let lineage = try #require(current["lineage"]?.stringValue)
        let version = try #require(current["version"]?.integerValue)
        for number in 0..<10 {
            let id = "node-\(number)"
            let isIn = plane.plane.holder.current?.canary?.includes(nodeID: id) ?? false
            let reply = try await plane.report(
                node: id,
                version: version,
                lineage: lineage,
                canary: isIn ? canary ?? "" : ""
            )
            try #require(reply.status == 200)
        }
        let nodes = try await plane.send("GET", "/v1/snapshots/canary").json["nodes"]?.arrayValue ?? []
        return nodes.compactMap { $0["id"]?.stringValue }
    }

    @Test func `gives the change to a share of the nodes, and to all when it is promoted`() async throws {
        let plane = try await TestPlane.start()
        let made = try await plane.send("POST", "/v1/policies?wait=applied", Self.strict)
        let path = try #require(made.header("location"))
        _ = try await reportAll(plane)
        let opened = try await plane.send("PUT", "\(path)?canary=30%", Self.loose)
        #expect(opened.status == 200)
        let id = try #require(opened.header("weir-canary"))
        let version = try await plane.version()
        try await eventually { try await plane.snapshotVersion() == version }
        let chosen = try await reportAll(plane)
        #expect(chosen.count == 3)
        for number in 0..<10 {
            let isIn = chosen.contains("node-\(number)")
            let program = try await policies(plane, node: "node-\(number)").map(\.program)
            #expect(program == (try await policies(plane, node: isIn ? chosen[0] : nil)).map(\.program))
        }
        #expect(try await policies(plane, node: chosen[0]) != policies(plane, node: nil))
        // The policy itself is what the others enforce.
        #expect(try await plane.send("GET", path).json["config"]?["max_bytes"] == .integer(10))

        let shown = try await plane.send("GET", "/v1/snapshots/canary").json
        #expect(shown["share"]?.stringValue == "30%")
        #expect(shown["version"]?.integerValue == version)
        #expect(shown["policy"]?["config"]?["max_bytes"] == .integer(99))
        #expect(shown["nodes"]?.arrayValue?.contains { $0["applied"] == .bool(true) } == false)
        _ = try await reportAll(plane, canary: id)
        let after = try await plane.send("GET", "/v1/snapshots/canary").json
        #expect(after["nodes"]?.arrayValue?.allSatisfy { $0["applied"] == .bool(true) } == true)

        // A control plane that starts now gives the same node the same.
        let second = try await TestPlane.start(sharing: plane)
        try await eventually { try await second.snapshotVersion() == version }
        #expect(try await policies(second, node: chosen[0]) == policies(plane, node: chosen[0]))
        await second.stop()

        let promoted = try await plane.send("POST", "/v1/snapshots/canary/promote")
        #expect(promoted.status == 200)
        #expect(promoted.header("weir-version") == String(version + 1))
        try await eventually { try await plane.snapshotVersion() == version + 1 }
        #expect(try await plane.send("GET", path).json["config"]?["max_bytes"] == .integer(99))
        #expect(try await policies(plane, node: chosen[0]) == policies(plane, node: nil))
        #expect(try await plane.send("GET", "/v1/snapshots/canary").status == 404)
        #expect(try await plane.send("POST", "/v1/snapshots/canary/promote").status == 404)
        let actions = try await plane.send("GET", "/v1/audit?resource_kind=policy").json["data"]?.arrayValue?
            .compactMap { $0["action"]?.stringValue }
        #expect(actions == ["promote", "canary", "create"])
        await plane.stop()
    }

    @Test func `leaves everything as it was when it is aborted, in a version of its own`() async throws {
        let plane = try await TestPlane.start()
        let made = try await plane.send("POST", "/v1/policies?wait=applied", Self.strict)
        let path = try #require(made.header("location"))
        let before = try await policies(plane, node: nil)
        for (method, body) in [("PUT", Self.loose), ("DELETE", nil), ("PATCH", "{\"enabled\":false}")] {
            let opened = try await plane.send(method, "\(path)?canary=100%", body)
            #expect(opened.status == (method == "DELETE" ? 204 : 200), "\(method): \(opened.json.text)")
            let version = try await plane.version()
            try await eventually { try await plane.snapshotVersion() == version }
            #expect(try await policies(plane, node: "any") != before)
            #expect(try await policies(plane, node: nil) == before)
            let aborted = try await plane.send("POST", "/v1/snapshots/canary/abort")
            #expect(aborted.json["outcome"] == "aborted")
            #expect(aborted.header("weir-version") == String(version + 1))
            try await eventually { try await plane.snapshotVersion() == version + 1 }
            #expect(try await policies(plane, node: "any") == before)
        }
        await plane.stop()
    }

    @Test func `of a new policy has its id, and is disabled for all others until it is promoted`() async throws {
        let plane = try await TestPlane.start()
        for close in ["abort", "promote"] {
            let made = try await plane.send("POST", "/v1/policies?canary=100%25", Self.strict)
            #expect(made.status == 201)
            #expect(made.json["enabled"] == .bool(true))
            let path = try #require(made.header("location"))
            #expect(try await plane.send("GET", path).json["enabled"] == .bool(false))
            let version = try await plane.version()
            try await eventually { try await plane.snapshotVersion() == version }
            #expect(try await policies(plane, node: nil).isEmpty)
            #expect(try await policies(plane, node: "n").count == 1)
            #expect(try await plane.send("POST", "/v1/snapshots/canary/\(close)").status == 200)
            let after = try await plane.send("GET", path)
            #expect(close == "abort" ? after.status == 404 : after.json["enabled"] == .bool(true))
        }
        await plane.stop()
    }

    @Test func `is one at a time, and other changes reach everybody meanwhile`() async throws {
        let plane = try await TestPlane.start()
        let app = try await plane.makeApp()
        let key = try await plane.send("POST", "/v1/apps/\(app)/keys", "{}").string("id")
        let scoped = Self.strict.replacing("{\"global\":true}", with: "{\"app\":\"\(app)\"}")
        let path = try #require(try await plane.send("POST", "/v1/policies", scoped).header("location"))
        #expect(try await plane.send("PUT", "\(path)?canary=100%", Self.loose).status == 200)
        for (method, target) in [
            ("PUT", path), ("PATCH", path), ("DELETE", path), ("PUT", "\(path)?canary=5%"),
            ("POST", "/v1/policies?canary=5%"),
        ] {
            let body = method == "DELETE" ? nil : method == "PATCH" ? "{\"mode\":\"shadow\"}" : Self.loose
            let reply = try await plane.send(method, target, body)
            #expect(reply.status == 409, "\(method) \(target)")
            #expect(reply.json["type"] == "urn:weir:problem:canary-open", "\(method) \(target)")
        }
        #expect(try await plane.send("DELETE", "/v1/apps/\(app)/keys/\(key)").status == 204)
        let other = Self.strict.replacing("\"p\"", with: "\"q\"")
        #expect(try await plane.send("POST", "/v1/policies", other).status == 201)
        let version = try await plane.version()
        try await eventually { try await plane.snapshotVersion() == version }
        #expect(try await policies(plane, node: nil).count == 2)
        #expect(try await policies(plane, node: "n").count == 2)
        // Its app goes, and the policy with it: there is nothing left to decide.
        #expect(try await plane.send("DELETE", "/v1/apps/\(app)").status == 204)
        #expect(try await plane.send("GET", "/v1/snapshots/canary").status == 404)
        try await eventually { try await plane.snapshotVersion() == version + 1 }
        #expect(try await policies(plane, node: "n") == policies(plane, node: nil))
        await plane.stop()
    }

    @Test func `is waited for on its own nodes only, and says why one refuses`() async throws {
        let plane = try await TestPlane.start()
        let path = try #require(
            try await plane.send("POST", "/v1/policies?wait=applied", Self.strict).header("location")
        )
        _ = try await reportAll(plane)
        async let write = plane.send("PUT", "\(path)?canary=10%&wait=applied&timeout=10", Self.loose)
        try await eventually { plane.plane.holder.current?.canary != nil }
        let canary = try #require(plane.plane.holder.current?.canary)
        let chosen = try #require((0..<10).map { "node-\($0)" }.first { canary.includes(nodeID: $0) })
        let lineage = try #require(plane.plane.holder.current?.lineage)
        let version = try await plane.version()
        _ = try await plane.report(node: chosen, version: version, lineage: lineage, canary: canary.id)
        #expect(try await write.status == 200)
        _ = try await plane.report(
            node: chosen,
            version: version,
            lineage: lineage,
            status: "nack\",\"reason\":\"canary x: too strict"
        )
        let nodes = try await plane.send("GET", "/v1/snapshots/canary").json["nodes"]?.arrayValue
        #expect(nodes?.first?["status"] == "nack")
        #expect(nodes?.first?["reason"] == "canary x: too strict")
        await plane.stop()
    }

    @Test(
        arguments: [
            ("10%", 1000), ("0.5%", 50), ("0.05%", 5), ("100%", 10_000), ("33.33%", 3333), ("0%", nil),
            ("100.01%", nil),
            ("10", nil), ("%", nil), ("-1%", nil), ("1.234%", nil), ("1.%", nil), ("+1%", nil), ("1e1%", nil),
            ("", nil),
            (" 1%", nil), ("9999999999%", nil),
        ] as [(String, Int64?)]
    )
    func `is asked for as a percentage`(text: String, share: Int64?) {
        do throws(Problem) {
            #expect(try CanaryRoutes.share(text) == share)
        } catch {
            #expect(share == nil && error.status == 400)
        }
    }

    @Test(arguments: [(1, 1), (1000, 1), (2500, 2), (5000, 4), (9999, 7), (10_000, 8)] as [(Int64, Int)])
    func `has at least one node, and no more than its share`(share: Int64, count: Int) {
        let nodes = (0..<8).map { "gateway-\($0)" }
        for number in 0..<50 {
            let id = SHA256.digest([UInt8(number)]).hex.prefix(32)
            let threshold = Canary.threshold(share: share, id: String(id), liveNodes: nodes)
            #expect(nodes.count { SnapshotCanary.rank(of: $0, id: String(id)) <= threshold } == count)
        }
    }

    @Test func `takes in about its share of nodes that are not known yet`() {
        let threshold = Canary.threshold(share: 1000, id: "c", liveNodes: [])
        let count = (0..<2000).count { SnapshotCanary.rank(of: "n\($0)", id: "c") <= threshold }
        #expect((140...260).contains(count))
    }
}
