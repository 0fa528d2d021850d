// Log levels are set over the API, kept, audited, and told to nodes with the answers to their reports.

import Stack
import Testing

@testable import ControlPlane

@Suite(.serialized) struct `Log levels over the API` {
    private func told(_ plane: TestPlane) async throws -> JSON? {
        let body = #"{"boot_id":"b","url":"","version":1,"lineage":"","status":"ack"}"#
        return try await plane.sendAsNode(
            "POST",
            "/internal/v1/nodes/n/report",
            Array(body.utf8),
            type: "application/json"
        ).json["log_levels"]
    }

    @Test func `are kept, audited and told to nodes, and taken back`() async throws {
        let plane = try await TestPlane.start()
        #expect(try await told(plane) == "")
        let body = #"{"default":"notice","levels":{"weir.access":"debug"},"expires_in":600}"#
        let set = try await plane.send("PUT", "/v1/log-levels", body)
        #expect(set.status == 200 && set.json["levels"]?["weir.access"] == "debug")
        #expect(set.json["expires_at"]?.stringValue != nil)
        #expect(try await told(plane) == "notice,weir.access=debug")
        #expect(try await plane.send("GET", "/v1/log-levels").json == set.json)
        let audit = try await plane.send("GET", "/v1/audit?resource_kind=log_levels")
        #expect(audit.json["data"]?.arrayValue?.first?["after"] == set.json)
        #expect(try await plane.send("PUT", "/v1/log-levels", "{}").json["default"] == .null)
        #expect(try await told(plane) == "")
        await plane.stop()
    }

    @Test func `end by themselves`() async throws {
        let plane = try await TestPlane.start()
        _ = try await plane.send("PUT", "/v1/log-levels", #"{"levels":{"weir.none":"trace"},"expires_in":1}"#)
        #expect(try await told(plane) == "weir.none=trace")
        let end = ContinuousClock.now + .seconds(5)
        while try await told(plane) != "", ContinuousClock.now < end { await pause(for: .milliseconds(50)) }
        #expect(try await told(plane) == "")
        #expect(try await plane.send("GET", "/v1/log-levels").json["expires_at"] == .null)
        await plane.stop()
    }

    @Test(arguments: [
        #"{"default":"loud"}"#, #"{"levels":{"Weir":"debug"}}"#, #"{"levels":{"weir":7}}"#, #"{"levels":[]}"#,
        #"{"expires_in":0}"#, #"{"expires_in":604801}"#, #"{"level":"debug"}"#,
    ])
    func `that are none are refused`(body: String) async throws {
        let plane = try await TestPlane.start()
        #expect(try await plane.send("PUT", "/v1/log-levels", body).status == 422)
        #expect(try await told(plane) == "")
        await plane.stop()
    }
}
