// schemas/openapi.yaml is what is served: every operation in it is called and answers as it says, and no route is
// missing from it.

import Ledger
import Secrets
import Snapshot
import Stack
import Testing
import Yams

@testable import ControlPlane

@Suite struct `The API's description` {
    /// The document, as the server gives it.
    private static func document(_ plane: TestPlane) async throws -> JSON {
        let reply = try await plane.send("GET", "/v1/openapi.yaml")
        #expect(reply.header("content-type") == "application/yaml")
        return JSON(yaml: try #require(try Yams.compose(yaml: reply.response.text)))
    }

    @Test func `names every route of the server and no other`() async throws {
        let plane = try await TestPlane.start()
        let document = try await Self.document(plane)
        var described: Set<String> = []
        for path in document["paths"]?.members ?? [] {
            for operation in path.value.members where operation.name != "parameters" {
                described.insert("\(operation.name.uppercased()) \(path.name)")
                let isFleet = operation.value["security"]?.arrayValue?.first?["fleet"] != nil
                let isOpen = operation.value["security"] == .array([])
                let route = plane.plane.routes.first {
                    $0.template == path.name && $0.method == operation.name.uppercased()
                }
                #expect(route?.access == (isFleet ? .fleet : isOpen ? .open : .admin), "\(path.name)")
            }
        }
        let served = Set(plane.plane.routes.map { "\($0.method) \($0.template)" })
        #expect(described == served)
        await plane.stop()
    }

    @Test func `says what each operation answers`() async throws {
        let plane = try await TestPlane.start()
        let document = try await Self.document(plane)
        let checker = AnswerChecker(document: document)
        var called: Set<String> = []

        func call(_ operation: String, _ method: String, _ path: String, _ body: String? = nil) async throws -> Reply {
            let reply = try await plane.send(method, path, body)
            #expect(reply.status < 300, "\(operation): \(reply.response.text)")
            #expect(checker.faults(of: reply, operation: operation) == [], "\(operation)")
            called.insert(operation)
            return reply
        }
        func life(_ name: String, _ collection: String, _ body: String, _ patch: String) async throws -> (
            String, String
        ) {
            let made = try await call("create\(name)", "POST", collection, body)
            let path = try #require(made.header("location"))
            let read = try await call("get\(name)", "GET", path)
            if name != "Key" { _ = try await call("replace\(name)", "PUT", path, read.json.text) }
            _ = try await call("change\(name)", "PATCH", path, patch)
            let plural = name == "Policy" ? "Policies" : "\(name)s"
            _ = try await call("list\(plural)", "GET", collection)
            let missing = try await plane.send("GET", "\(collection)/none")
            #expect(missing.status == 404 && checker.faults(of: missing, operation: "get\(name)") == [])
            let wrong = try await plane.send("POST", collection, "{\"nothing\":1}")
            #expect(wrong.status == 422 && checker.faults(of: wrong, operation: "create\(name)") == [])
            return (path, try made.string("id"))
        }

        let (app, appID) = try await life("App", "/v1/apps", "{\"name\":\"a\",\"tags\":[\"t\"]}", "{\"tier\":\"x\"}")
        let (key, keyID) = try await life("Key", "\(app)/keys", "{}", "{\"name\":\"n\"}")
        let policy =
            "{\"kind\":\"request_size\",\"config\":{\"max_bytes\":9},\"scope\":{\"key\":\"\(keyID)\"},\"priority\":1}"
        let (policyPath, _) = try await life("Policy", "/v1/policies", policy, "{\"priority\":null}")
        _ = try await call("validatePolicy", "POST", "/v1/policies/validate", policy)
        _ = try await call("validatePolicy", "POST", "/v1/policies/validate", "{}")
        _ = try await call("listPolicyKinds", "GET", "/v1/policy-kinds")
        let provider =
            "{\"name\":\"p\",\"kind\":\"openai\",\"base_url\":\"https://api.openai.com/v1\",\"credential\":\"sk\"}"
        let (providerPath, _) = try await life("Provider", "/v1/providers", provider, "{\"name\":\"q\"}")
        let model = "{\"name\":\"m\",\"routes\":[{\"provider\":\"q\",\"upstream_model\":\"u\"}]}"
        let (modelPath, _) = try await life("Model", "/v1/models", model, "{\"name\":\"n\"}")

        for (operation, method, path, body, type) in try await nodeCalls(plane, appID) {
            let reply = try await plane.sendAsNode(method, path, body, type: type)
            #expect(reply.status == 200 && checker.faults(of: reply, operation: operation) == [], "\(operation)")
            called.insert(operation)
        }
        _ = try await call(
            "simulate",
            "POST",
            "/v1/simulate",
            #"{"key":"\#(keyID)","body":{"model":"none","messages":[]}}"#
        )
        _ = try await call(
            "setLogLevels",
            "PUT",
            "/v1/log-levels",
            #"{"default":"info","levels":{"weir.none":"debug"},"expires_in":60}"#
        )
        for (operation, path) in [
            ("getHealth", "/healthz"), ("getReadiness", "/readyz"), ("getMetrics", "/metrics"),
            ("getLineage", "/v1/snapshots/lineage"), ("getLogLevels", "/v1/log-levels"),
            ("getDescription", "/v1/openapi.yaml"),
            ("getUsage", "/v1/usage?group_by=key,model,hour"), ("getRequest", "/v1/requests/r-1"),
            ("explainRequest", "/v1/requests/r-1/explain"),
            ("listNodes", "/v1/nodes"), ("getCurrentSnapshot", "/v1/snapshots/current"), ("listAudit", "/v1/audit"),
        ] { _ = try await call(operation, "GET", path) }
        for close in ["promote", "abort"] {
            #expect(try await plane.send("PATCH", "\(policyPath)?canary=50%", "{\"mode\":\"shadow\"}").status == 200)
            _ = try await call("getCanary", "GET", "/v1/snapshots/canary")
            _ = try await call("\(close)Canary", "POST", "/v1/snapshots/canary/\(close)")
        }
        _ = try await call("beginLineage", "POST", "/v1/snapshots/lineage")
        _ = try await call("confirmLineage", "POST", "/v1/snapshots/lineage/confirm")
        _ = try await call("listAudit", "GET", "/v1/audit")
        for (operation, path) in [
            ("revokeKey", key), ("deleteModel", modelPath), ("deleteProvider", providerPath),
            ("deletePolicy", policyPath), ("deleteApp", app),
        ] { _ = try await call(operation, "DELETE", path) }

        let operations = (document["paths"]?.members ?? []).flatMap { path in
            path.value.members.compactMap { $0.value["operationId"]?.stringValue }
        }
        #expect(called == Set(operations))
        #expect(operations.count == Set(operations).count)
        await plane.stop()
    }

    private func nodeCalls(
        _ plane: TestPlane,
        _ app: String
    ) async throws -> [(String, String, String, [UInt8], String?)] {
        let digest = try #require(plane.plane.routesSnapshotDigest)
        let report = "{\"boot_id\":\"b\",\"url\":\"\",\"version\":1,\"lineage\":\"x\",\"status\":\"ack\"}"
        let record = UsageRecord(
            sequence: 1,
            requestID: "r-1",
            startedAt: 1,
            finishedAt: 2,
            appID: app,
            endpoint: 0,
            status: 200,
            outcome: .completed
        )
        let batch = UsageBatch(nodeID: "n", bootID: "b", records: [record]).encode()
        return [
            ("getManifest", "GET", "/internal/v1/snapshot/manifest?wait=0", [], nil),
            ("getChunk", "GET", "/internal/v1/snapshot/chunks/\(digest)", [], nil),
            ("reportNode", "POST", "/internal/v1/nodes/n/report", Array(report.utf8), "application/json"),
            ("shipUsage", "POST", "/internal/v1/usage", batch, "application/octet-stream"),
        ]
    }

    @Test func `would be caught when it is wrong`() {
        let schema: JSON = [
            "type": "object", "additionalProperties": .bool(false), "required": ["a"],
            "properties": ["a": ["type": ["integer", "null"]], "b": ["enum": ["x"]]],
        ]
        let checker = AnswerChecker(document: .null)
        #expect(checker.faults(of: ["a": .integer(1), "b": "x"], schema: schema, at: "") == [])
        #expect(checker.faults(of: ["a": "1"], schema: schema, at: "") == ["/a: not integer or null"])
        #expect(checker.faults(of: ["b": "y", "c": .null], schema: schema, at: "").count == 3)
    }
}

extension ControlPlane {
    /// Any chunk's digest.
    var routesSnapshotDigest: String? { holder.current?.encoded.chunks.keys.first?.hex }
}
