// Each resource through its life: made, read, put back, changed, refused, gone.

import Postgres
import Secrets
import Stack
import Testing

@testable import ControlPlane

@Suite struct `A resource` {
    @Test func `can be put back as it was read, and is changed only where asked`() async throws {
        let plane = try await TestPlane.start()
        let app = try await plane.makeApp()
        _ = try await plane.send(
            "POST",
            "/v1/providers",
            "{\"name\":\"p\",\"kind\":\"openai\",\"base_url\":\"https://api.openai.com/v1\",\"credential\":\"sk-1\"}"
        )
        let bodies = [
            ("/v1/apps", "{\"name\":\"b\",\"tier\":\"gold\",\"tags\":[\"x\",\"é\"],\"enabled\":false}", "tier"),
            (
                "/v1/policies",
                "{\"name\":\"r\",\"kind\":\"rate_limit\",\"config\":{\"limit\":5,\"window\":\"1m\"},\"scope\":{\"app\":\"\(app)\"},\"priority\":-3}",
                "mode"
            ),
            ("/v1/providers", "{\"name\":\"q\",\"kind\":\"anthropic\",\"base_url\":\"http://127.0.0.1:9/\"}", "name"),
            (
                "/v1/providers",
                "{\"name\":\"s\",\"kind\":\"openai\",\"base_url\":\"http://127.0.0.1:9/\",\"connect_timeout_ms\":1500,\"first_byte_timeout_ms\":20000,\"idle_timeout_ms\":90000,\"allow_private\":false}",
                "name"
            ),
            (
                "/v1/models",
                "{\"name\":\"m\",\"routes\":[{\"provider\":\"p\",\"upstream_model\":\"gpt-4o\",\"weight\":3}]}", "name"
            ),
        ]
        for (collection, body, member) in bodies {
            let made = try await plane.send("POST", collection, body)
            #expect(made.status == 201, "\(made.json.text)")
            let path = try #require(made.header("location"))
            let read = try await plane.send("GET", path)
            #expect(read.json == made.json)
            let same = try await plane.send("PUT", path, read.json.text)
            #expect(same.status == 200, "\(same.json.text)")
            for element in ["id", "created_at"] { #expect(same.json[element] == read.json[element]) }
            let value = member == "mode" ? "shadow" : "changed"
            let patched = try await plane.send("PATCH", path, "{\"\(member)\":\"\(value)\"}")
            #expect(patched.json[member] == .string(value))
            let forged = try await plane.send("PATCH", path, "{\"id\":\"app_x\"}")
            #expect(forged.status == 422 && forged.faults == ["/id"])
            let list = try await plane.send("GET", collection)
            #expect(list.json["data"]?.arrayValue?.contains(patched.json) == true)
            #expect(try await plane.send("DELETE", path).status == 204)
            #expect(try await plane.send("GET", path).status == 404)
            #expect(try await plane.send("DELETE", path).status == 404)
        }
        await plane.stop()
    }

    @Test func `has a name of its own`() async throws {
        let plane = try await TestPlane.start()
        _ = try await plane.makeApp("a")
        let other = try await plane.makeApp("b")
        let taken = try await plane.send("POST", "/v1/apps", "{\"name\":\"a\"}")
        #expect(taken.status == 409 && taken.faults == ["/name"])
        #expect(try await plane.send("PATCH", "/v1/apps/\(other)", "{\"name\":\"a\"}").status == 409)
        await plane.stop()
    }
}

@Suite struct `A key` {
    @Test func `shows its secret once, is stored as a digest and stays revoked`() async throws {
        let plane = try await TestPlane.start()
        let app = try await plane.makeApp()
        let made = try await plane.send("POST", "/v1/apps/\(app)/keys", "{\"expires_at\":\"2030-01-01T00:00:00Z\"}")
        let text = try made.string("key")
        let parts = text.split(separator: "_")
        #expect(parts.count == 3 && parts[0] == "wk" && parts[1].count == 16 && parts[2].count == 32)
        let path = try #require(made.header("location"))
        let read = try await plane.send("GET", path)
        #expect(read.json["key"] == nil && read.json["revoked"] == .bool(false))
        let rows = try await TestPlane.rows("SELECT digest FROM keys", plane.connectionString)
        #expect(try rows.first?.bytes("digest") == SHA256.digest(Array(parts[2].utf8)).bytes)
        #expect(try await !plane.databaseContains(String(parts[2])))
        #expect(try await plane.send("DELETE", path).status == 204)
        let revoked = try await plane.send("GET", path)
        #expect(revoked.json["revoked"] == .bool(true))
        let back = try await plane.send("PATCH", path, "{\"revoked\":false}")
        #expect(back.status == 422)
        let other = try await plane.makeApp("other")
        #expect(try await plane.send("GET", "/v1/apps/\(other)/keys/\(parts[1])").status == 404)
        await plane.stop()
    }
}

@Suite struct `A policy` {
    @Test(arguments: [
        (
            "{\"kind\":\"rate_limit\",\"config\":{\"limit\":0,\"window\":\"1m\"},\"scope\":{\"global\":true}}",
            "/config/limit"
        ),
        (
            "{\"kind\":\"rate_limit\",\"config\":{\"limit\":1,\"window\":\"1m\",\"x\":1},\"scope\":{\"global\":true}}",
            "/config/x"
        ),
        ("{\"kind\":\"request_size\",\"config\":{},\"scope\":{\"global\":true}}", "/config/max_bytes"),
        ("{\"kind\":\"nothing\",\"config\":{},\"scope\":{\"global\":true}}", "/kind"),
        ("{\"kind\":\"cel\",\"config\":{\"deny_if\":\"request.n\"},\"scope\":{\"global\":true}}", "/config/deny_if"),
        ("{\"kind\":\"cel\",\"config\":{\"allow_if\":\"a ||\"},\"scope\":{\"global\":true}}", "/config/allow_if"),
        ("{\"kind\":\"cel\",\"config\":{},\"scope\":{\"global\":true}}", "/config"),
        ("{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":{\"global\":false}}", "/scope/global"),
        ("{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":{}}", "/scope"),
        (
            "{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":{\"global\":true,\"app\":\"a\"}}",
            "/scope"
        ),
        (
            "{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":{\"global\":true},\"mode\":\"off\"}",
            "/mode"
        ),
        ("{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":{\"app\":\"app_none\"}}", "/scope/app"),
        ("{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":{\"key\":\"none\"}}", "/scope/key"),
    ])
    func `is refused with the path of its fault`(body: String, path: String) async throws {
        let plane = try await TestPlane.start()
        let reply = try await plane.send("POST", "/v1/policies", body)
        #expect(reply.status == 422)
        #expect(reply.faults == [path], "\(reply.json.text)")
        await plane.stop()
    }

    @Test func `with an expression is checked where it is written`() async throws {
        let plane = try await TestPlane.start()
        func body(_ expression: String) -> String {
            "{\"kind\":\"cel\",\"config\":{\"deny_if\":\"\(expression)\"},\"scope\":{\"global\":true}}"
        }
        let good = try await plane.send("POST", "/v1/policies/validate", body("request.n > 2 && app.tier == 'free'"))
        #expect(good.status == 200 && good.json["valid"] == .bool(true), "\(good.json.text)")
        let facts = try #require(good.json["facts"])
        #expect(facts["type"] == "bool")
        #expect(facts["estimated_cost"]?["max"]?.integerValue == 4)
        #expect((facts["program_bytes"]?.integerValue ?? 0) > 10)

        let bad = try await plane.send("POST", "/v1/policies/validate", body("true ||\\n request.modle == 'x'"))
        #expect(bad.status == 200 && bad.json["valid"] == .bool(false))
        let error = try #require(bad.json["errors"]?.arrayValue?.first)
        #expect(error["path"] == "/config/deny_if")
        #expect(error["line"] == .integer(2))
        #expect(error["column"] == .integer(10), "\(error.text)")
        #expect(error["reason"]?.stringValue?.contains("did you mean 'request.model'") == true, "\(error.text)")
        #expect(error["excerpt"]?.stringValue?.contains("\n |  request.modle == 'x'\n |") == true, "\(error.text)")

        // What is broken is not stored either, and the rule says so in the same words.
        let refused = try await plane.send("POST", "/v1/policies", body("true ||\\n request.modle == 'x'"))
        #expect(refused.status == 422)
        #expect(refused.json["errors"] == bad.json["errors"])
        await plane.stop()
    }

    @Test func `goes with the app it is scoped to`() async throws {
        let plane = try await TestPlane.start()
        let app = try await plane.makeApp()
        let key = try await plane.send("POST", "/v1/apps/\(app)/keys", "{}").string("id")
        for scope in ["{\"app\":\"\(app)\"}", "{\"key\":\"\(key)\"}"] {
            let body = "{\"kind\":\"request_size\",\"config\":{\"max_bytes\":1},\"scope\":\(scope)}"
            #expect(try await plane.send("POST", "/v1/policies", body).status == 201)
        }
        #expect(try await plane.send("DELETE", "/v1/apps/\(app)").status == 204)
        #expect(try await plane.send("GET", "/v1/policies").json["data"] == .array([]))
        await plane.stop()
    }
}

@Suite struct `A provider` {
    @Test func `keeps its credential to itself, sealed to its row`() async throws {
        let plane = try await TestPlane.start()
        let secret = "sk-canary-\(SecureRandom.string(length: 16, alphabet: .base62))"
        let body =
            "{\"name\":\"p\",\"kind\":\"openai\",\"base_url\":\"https://api.openai.com/v1\",\"credential\":\"\(secret)\"}"
        let made = try await plane.send("POST", "/v1/providers", body, headers: [(name: "Idempotency-Key", value: "p")])
        #expect(made.status == 201 && !made.response.text.contains(secret))
        let id = try made.string("id")
        #expect(made.json["has_credential"] == .bool(true))
        #expect(try await !plane.databaseContains(secret))
        let rows = try await TestPlane.rows("SELECT sealed, fleet_sealed FROM providers", plane.connectionString)
        let row = try #require(rows.first)
        let sealing = try SealingKey(bytes: plane.sealingKey)
        let fleet = try SealingKey(bytes: plane.fleetKey)
        #expect(try sealing.open(row.bytes("sealed"), context: Array(id.utf8)) == Array(secret.utf8))
        #expect(try fleet.open(row.bytes("fleet_sealed"), context: Array(id.utf8)) == Array(secret.utf8))
        #expect(throws: (any Error).self) { try sealing.open(row.bytes("sealed"), context: Array("prv_other".utf8)) }
        let kept = try await plane.send("PATCH", "/v1/providers/\(id)", "{\"name\":\"q\"}")
        #expect(kept.json["has_credential"] == .bool(true))
        let removed = try await plane.send("PATCH", "/v1/providers/\(id)", "{\"credential\":null}")
        #expect(removed.json["has_credential"] == .bool(false))
        let line = try await plane.send("PATCH", "/v1/providers/\(id)", "{\"credential\":\"a\\r\\nX: y\"}")
        #expect(line.status == 422 && line.faults == ["/credential"])
        await plane.stop()
    }

    @Test(arguments: [
        ("connect_timeout_ms", "0"), ("connect_timeout_ms", "300001"), ("first_byte_timeout_ms", "3600001"),
        ("idle_timeout_ms", "-1"), ("idle_timeout_ms", "1.5"), ("allow_private", "null"), ("timeout_ms", "1"),
    ])
    func `takes no timeout out of its range, and none by another name`(member: String, value: String) async throws {
        let plane = try await TestPlane.start()
        let body = "{\"name\":\"p\",\"kind\":\"openai\",\"base_url\":\"http://x\",\"\(member)\":\(value)}"
        let answer = try await plane.send("POST", "/v1/providers", body)
        #expect(answer.status == 422 && answer.faults == ["/\(member)"], "\(answer.json.text)")
        await plane.stop()
    }

    @Test func `stays while a model has a route to it`() async throws {
        let plane = try await TestPlane.start()
        let body = "{\"name\":\"p\",\"kind\":\"openai_compatible\",\"base_url\":\"http://127.0.0.1:9\"}"
        let id = try await plane.send("POST", "/v1/providers", body).string("id")
        let model = "{\"name\":\"m\",\"routes\":[{\"provider\":\"\(id)\",\"upstream_model\":\"x\"}]}"
        let made = try await plane.send("POST", "/v1/models", model)
        #expect(made.json["routes"]?.arrayValue?.first?["provider"] == "p")
        #expect(try await plane.send("DELETE", "/v1/providers/\(id)").status == 409)
        let unknown = "{\"name\":\"n\",\"routes\":[{\"provider\":\"none\",\"upstream_model\":\"x\"}]}"
        let refused = try await plane.send("POST", "/v1/models", unknown)
        #expect(refused.status == 422 && refused.faults == ["/routes/0/provider"])
        await plane.stop()
    }
}
