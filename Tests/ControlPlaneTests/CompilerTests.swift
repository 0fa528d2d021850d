// Two ways to compile, one result: what is made from the changes has the bytes of what is made from all rows.

import Postgres
import Secrets
import Snapshot
import Testing

@testable import ControlPlane

/// An admin at work: changes drawn by lot, through the API.
private struct RandomAdmin {
    let plane: TestPlane
    var random: SplitMix
    private var apps: [String] = []
    private var keys: [(app: String, key: String)] = []
    private var policies: [String] = []
    private var models: [String] = []
    private var number = 0

    init(_ plane: TestPlane, seed: UInt64) async throws {
        self.plane = plane
        random = SplitMix(state: seed)
        let provider = """
            {"name":"p","kind":"openai","base_url":"https://api.openai.com/v1","credential":"sk-x"}
            """
        try await send("POST", "/v1/providers", provider)
    }

    @discardableResult
    private func send(_ method: String, _ path: String, _ body: String? = nil) async throws -> Reply {
        let reply = try await plane.send(method, path, body)
        try #require((200..<300).contains(reply.status), "\(method) \(path): \(reply.json.text)")
        return reply
    }

    private var scope: String {
        mutating get {
            if let key = keys.randomElement(using: &random), Bool.random(using: &random) {
                return #"{"key":"\#(key.key)"}"#
            }
            if let app = apps.randomElement(using: &random), Bool.random(using: &random) {
                return #"{"app":"\#(app)"}"#
            }
            return #"{"global":true}"#
        }
    }

    mutating func step() async throws {
        number += 1
        switch Int.random(in: 0..<12, using: &random) {
        case 0...2:
            apps.append(try await send("POST", "/v1/apps", #"{"name":"app \#(number)","tags":["a"]}"#).string("id"))
        case 3:
            guard let app = apps.randomElement(using: &random) else { return }
            try await send("PATCH", "/v1/apps/\(app)", #"{"tier":"tier \#(number)","enabled":\#(number % 3 > 0)}"#)
        case 4:
            guard let app = apps.randomElement(using: &random) else { return }
            try await send("DELETE", "/v1/apps/\(app)")
            apps.removeAll { $0 == app }
            keys.removeAll { $0.app == app }
            // Policies of the app and of its keys went with it.
            var left: [String] = []
            for policy in policies where try await plane.send("GET", "/v1/policies/\(policy)").status == 200 {
                left.append(policy)
            }
            policies = left
        case 5, 6:
            guard let app = apps.randomElement(using: &random) else { return }
            let key = try await send("POST", "/v1/apps/\(app)/keys", #"{"name":"key \#(number)"}"#).string("id")
            keys.append((app, key))
        case 7:
            guard let key = keys.randomElement(using: &random) else { return }
            let path = "/v1/apps/\(key.app)/keys/\(key.key)"
            if Bool.random(using: &random) {
                try await send("DELETE", path)
            } else {
                try await send("PATCH", path, #"{"name":"renamed \#(number)"}"#)
            }
        case 8, 9:
            let body = #"{"kind":"request_size","config":{"max_bytes":\#(number + 1000)},"scope":\#(scope)}"#
            policies.append(try await send("POST", "/v1/policies", body).string("id"))
        case 10:
            guard let policy = policies.randomElement(using: &random) else { return }
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                try await send("DELETE", "/v1/policies/\(policy)")
                policies.removeAll { $0 == policy }
            case 1: try await send("PATCH", "/v1/policies/\(policy)", #"{"enabled":\#(number % 2 == 0)}"#)
            case 2: try await send("PATCH", "/v1/policies/\(policy)", #"{"scope":\#(scope)}"#)
            default: try await send("PATCH", "/v1/policies/\(policy)", #"{"config":{"max_bytes":\#(number + 1)}}"#)
            }
        default:
            guard models.isEmpty || Bool.random(using: &random), models.count < 5 else {
                try await send("DELETE", "/v1/models/\(models.removeLast())")
                return
            }
            let body = #"{"name":"m\#(number)","routes":[{"provider":"p","upstream_model":"u"}]}"#
            models.append(try await send("POST", "/v1/models", body).string("id"))
        }
    }
}

@Suite struct `The snapshot compiler` {
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `makes the same bytes of the changes as of all rows`(seed: UInt64) async throws {
        let plane = try await TestPlane.start()
        let compiler = SnapshotCompiler(store: plane.plane.store, signingKey: plane.signingKey)
        var current = try await compiler.compile()
        var admin = try await RandomAdmin(plane, seed: seed)
        for round in 0..<25 {
            for _ in 0..<Int.random(in: 1...6, using: &admin.random) { try await admin.step() }
            // A step may find nothing to do; compiling is asked for only after a change.
            guard try await plane.version() > Int64(current.version) else { continue }
            current = try await compiler.compile(after: current)
            let all = try await SnapshotCompiler(store: plane.plane.store, signingKey: plane.signingKey).compile()
            try #require(current.isIncremental && !all.isIncremental)
            try #require(current.encoded == all.encoded, "round \(round)")
            #expect(current.scopes == all.scopes)
            #expect(
                [current, all].map { [$0.counts.apps, $0.counts.keys, $0.counts.policies, $0.counts.models] }
                    .allSatisfy {
                        $0 == [all.counts.apps, all.counts.keys, all.counts.policies, all.counts.models]
                    }
            )
        }
        await plane.stop()
    }

    @Test func `reads everything when the audit log does not have every version`() async throws {
        let plane = try await TestPlane.start()
        let compiler = SnapshotCompiler(store: plane.plane.store, signingKey: plane.signingKey)
        _ = try await plane.makeApp("a")
        let before = try await compiler.compile()
        _ = try await plane.makeApp("b")
        _ = try await plane.makeApp("c")
        _ = try await TestPlane.rows(
            "DELETE FROM audit_log WHERE version = \(before.version + 1)",
            plane.connectionString
        )
        let after = try await compiler.compile(after: before)
        #expect(!after.isIncremental && after.counts.apps == 3)
        await plane.stop()
    }

    @Test func `reads everything when the log names what it does not know, and after a restore`() async throws {
        let plane = try await TestPlane.start()
        let compiler = SnapshotCompiler(store: plane.plane.store, signingKey: plane.signingKey)
        let before = try await compiler.compile()
        _ = try await plane.makeApp("a")
        _ = try await TestPlane.rows("UPDATE audit_log SET resource_kind = 'news'", plane.connectionString)
        let unknown = try await compiler.compile(after: before)
        #expect(!unknown.isIncremental && unknown.counts.apps == 1)
        _ = try await TestPlane.rows("UPDATE audit_log SET resource_kind = 'app'", plane.connectionString)
        #expect(try await compiler.compile(after: before).isIncremental)
        _ = try await TestPlane.rows(
            "UPDATE configuration SET lineage = decode('00112233445566778899aabbccddeeff', 'hex')",
            plane.connectionString
        )
        let restored = try await compiler.compile(after: before)
        #expect(!restored.isIncremental && restored.lineage == "00112233445566778899aabbccddeeff")
        await plane.stop()
    }
}
