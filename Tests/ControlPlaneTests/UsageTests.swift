// Usage goes in once and comes out summed; a request is found again by its id.

import Ledger
import Stack
import Testing

@testable import ControlPlane

@Suite struct `Usage` {
    private static let hour: Int64 = 1_795_518_000_000  // 2026-11-24T11:00:00Z

    private func record(
        _ sequence: UInt64,
        app: String = "app_a",
        key: String = "k1",
        model: String = "m1",
        at: Int64 = hour,
        outcome: UsageRecord.Outcome = .completed
    ) -> UsageRecord {
        UsageRecord(
            sequence: sequence,
            requestID: "req-\(sequence)",
            startedAt: at,
            finishedAt: at + 5,
            organisation: "org_default",
            appID: app,
            keyID: key,
            model: model,
            endpoint: 0,
            status: outcome == .refused ? 429 : 200,
            outcome: outcome,
            promptTokens: outcome == .refused ? 0 : 10,
            completionTokens: outcome == .refused ? 0 : 5,
            totalTokens: outcome == .refused ? 0 : 15,
            source: outcome == .refused ? .none : .provider,
            refusedBy: outcome == .refused ? "pol_x" : nil,
            reason: outcome == .refused ? "rate_limited" : nil,
            snapshotVersion: 3
        )
    }

    private func ship(_ plane: TestPlane, _ records: [UsageRecord], boot: String = "b1") async throws -> Reply {
        let batch = UsageBatch(nodeID: "node-1", bootID: boot, records: records)
        return try await plane.sendAsNode(
            "POST",
            "/internal/v1/usage",
            batch.encode(),
            type: "application/octet-stream"
        )
    }

    @Test func `is counted once however often it is sent`() async throws {
        let plane = try await TestPlane.start()
        let records = (1...100).map { record($0) }
        let first = try await ship(plane, records)
        #expect(first.json == ["accepted": .integer(100), "duplicates": .integer(0)])
        let again = try await ship(plane, records + [record(101)])
        #expect(again.json == ["accepted": .integer(1), "duplicates": .integer(100)])
        // Another boot of the node counts from 1 again: the same numbers are other requests.
        #expect(try await ship(plane, [record(1)], boot: "b2").json["accepted"] == .integer(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 { group.addTask { _ = try await ship(plane, (200...260).map { record($0) }) } }
            try await group.waitForAll()
        }
        let usage = try await plane.send("GET", "/v1/usage")
        let row = try #require(usage.json["data"]?.arrayValue?.first)
        #expect(row["requests"] == .integer(163) && row["total_tokens"] == .integer(163 * 15))
        await plane.stop()
    }

    @Test func `is summed by app, key, model and hour, over any range`() async throws {
        let plane = try await TestPlane.start()
        let records = [
            record(1), record(2, key: "k2"), record(3, model: "m2"), record(4, at: Self.hour + 3_600_000),
            record(5, app: "app_b", at: Self.hour + 1000), record(6, outcome: .refused),
        ]
        #expect(try await ship(plane, records).status == 200)
        let byApp = try await rows(plane, "")
        #expect(byApp.map { $0["app_id"] } == ["app_a", "app_b"])
        #expect(byApp[0]["requests"] == .integer(4) && byApp[0]["refused"] == .integer(1))
        #expect(byApp[0]["prompt_tokens"] == .integer(40) && byApp[0]["completion_tokens"] == .integer(20))
        #expect(try await rows(plane, "?group_by=key&app=app_a").map { $0["key_id"] } == ["k1", "k2"])
        #expect(
            try await rows(plane, "?group_by=model&app=app_a").map { $0["requests"] } == [.integer(3), .integer(1)]
        )
        #expect(
            try await rows(plane, "?group_by=hour&app=app_a").map { $0["hour"] } == [
                "2026-11-24T11:00:00.000Z", "2026-11-24T12:00:00.000Z",
            ]
        )
        let whole = try await rows(plane, "?from=2026-11-24T11:00:00Z&to=2026-11-24T12:00:00Z&app=app_a")
        #expect(whole.first?["requests"] == .integer(3))
        let second = try await rows(plane, "?from=2026-11-24T11:00:01Z&to=2026-11-24T11:59:59.5Z")
        #expect(second.map { $0["app_id"] } == ["app_b"])
        #expect(try await plane.send("GET", "/v1/usage?group_by=colour").status == 400)
        #expect(try await plane.send("GET", "/v1/usage?from=yesterday").status == 400)
        let page = try await plane.send("GET", "/v1/usage?limit=1")
        let cursor = try page.string("next_cursor")
        #expect(try await rows(plane, "?limit=1&cursor=\(cursor)").map { $0["app_id"] } == ["app_b"])
        await plane.stop()
    }

    @Test func `explains a refused request by its id`() async throws {
        let plane = try await TestPlane.start()
        var odd = record(2)
        odd.model = "m\0\u{1F600}\\"
        #expect(try await ship(plane, [record(1, outcome: .refused), odd]).status == 200)
        let found = try await plane.send("GET", "/v1/requests/req-1")
        #expect(found.json["refused_by"] == "pol_x" && found.json["reason"] == "rate_limited")
        #expect(found.json["outcome"] == "refused" && found.json["status"] == .integer(429))
        #expect(found.json["snapshot_version"] == .integer(3) && found.json["node_id"] == "node-1")
        #expect(try await plane.send("GET", "/v1/requests/req-2").json["model"] == "m\u{1F600}\\")
        #expect(try await plane.send("GET", "/v1/requests/none").status == 404)
        await plane.stop()
    }

    @Test func `is refused when it is no batch`() async throws {
        let plane = try await TestPlane.start()
        var bytes = UsageBatch(nodeID: "n", bootID: "b", records: [record(1)]).encode()
        bytes[bytes.count / 2] ^= 1
        let reply = try await plane.sendAsNode("POST", "/internal/v1/usage", bytes, type: "application/octet-stream")
        #expect(reply.status == 400)
        await plane.stop()
    }

    private func rows(_ plane: TestPlane, _ query: String) async throws -> [JSON] {
        try await plane.send("GET", "/v1/usage\(query)").json["data"]?.arrayValue ?? []
    }
}
