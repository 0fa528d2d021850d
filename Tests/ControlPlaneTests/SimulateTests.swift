// What a node would say, asked of the control plane: nothing is counted, and bad questions get clear answers.

import Stack
import Testing

@testable import ControlPlane

@Suite struct `A simulation` {
    /// A plane with a model and an app with a key.
    private func plane(redisPort: Int = 1) async throws -> (TestPlane, app: String, key: String) {
        let plane = try await TestPlane.start(redisPort: redisPort)
        let app = try await plane.makeApp()
        let key = try await plane.send("POST", "/v1/apps/\(app)/keys", "{}").string("id")
        let provider = #"{"name":"p","kind":"openai_compatible","base_url":"http://127.0.0.1:1/v1"}"#
        #expect(try await plane.send("POST", "/v1/providers", provider).status == 201)
        let model = #"{"name":"m","routes":[{"provider":"p","upstream_model":"u"}]}"#
        #expect(try await plane.send("POST", "/v1/models", model).status == 201)
        return (plane, app, key)
    }

    private func ask(_ plane: TestPlane, _ key: String, _ more: String = "", body: String? = nil) async throws -> JSON {
        let body = body ?? #"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#
        let end = ContinuousClock.now + .seconds(10)
        while true {
            let reply = try await plane.send("POST", "/v1/simulate", #"{"key":"\#(key)","body":\#(body)\#(more)}"#)
            // The change before may not be compiled yet.
            let isKnown = reply.json["model"]?.stringValue != nil || body.contains("none")
            if reply.status == 200, isKnown || ContinuousClock.now > end { return reply.json }
            try #require(ContinuousClock.now < end, "\(reply.response.text)")
            await pause(for: .milliseconds(20))
        }
    }

    private static let trials: [(policy: String, decision: String, reason: String?)] = [
        (#"{"kind":"model_allowlist","config":{"allow":["x"]}}"#, "refuse", "model_not_allowed"),
        (#"{"kind":"model_allowlist","config":{"allow":["m"]}}"#, "refuse", "model_not_allowed"),
        (#"{"kind":"model_allowlist","config":{"allow":["m","u"]}}"#, "allow", nil),
        (#"{"kind":"request_size","config":{"max_bytes":10}}"#, "refuse", "request_too_large"),
        (#"{"kind":"token_limit","config":{"max_completion_tokens":8}}"#, "refuse", "output_cap_too_high"),
        (#"{"kind":"cel","config":{"deny_if":"request.max_tokens > 8"}}"#, "refuse", "denied"),
        (#"{"kind":"cel","config":{"deny_if":"request.max_tokens > 8"},"mode":"shadow"}"#, "allow", nil),
        (#"{"kind":"cel","config":{"deny_if":"request.metadata['x'] == 'y'"},"on_error":"allow"}"#, "allow", nil),
        (#"{"kind":"cel","config":{"deny_if":"request.headers['x-team'] == 'red'"}}"#, "refuse", "denied"),
    ]

    @Test func `says what policies would do that nobody has stored`() async throws {
        let (plane, app, key) = try await plane()
        for trial in Self.trials {
            let answer = try await ask(plane, key, #","headers":{"X-Team":"red"},"policies":[\#(trial.policy)]"#)
            #expect(answer["decision"]?.stringValue == trial.decision, "\(trial.policy) \(answer.text)")
            #expect(answer["reason"]?.stringValue == trial.reason, "\(trial.policy) \(answer.text)")
            #expect((answer["status"] == .null) == (trial.reason == nil), "\(trial.policy) \(answer.text)")
            #expect(answer["rules"]?.arrayValue?.first?["policy"] == "trial-1")
        }
        #expect(try await plane.send("GET", "/v1/policies").json["data"]?.arrayValue?.isEmpty == true)
        let byApp = try await plane.send(
            "POST",
            "/v1/simulate",
            #"{"app":"\#(app)","body":{"model":"m","messages":[]}}"#
        )
        #expect(byApp.json["key"]?.stringValue == key && byApp.json["routes"]?.arrayValue?.count == 1)
        await plane.stop()
    }

    @Test func `counts nothing, and says when it cannot know`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-simulate")
        let redis = try await PrivateRedis.start(directory: directory.path)
        let (plane, _, key) = try await plane(redisPort: redis.port)
        let limit = #","policies":[{"kind":"rate_limit","config":{"limit":1,"window":"31d"}}]"#
        for _ in 0..<3 {
            let answer = try await ask(plane, key, limit)
            #expect(answer["decision"] == "allow" && answer["counters"] == "redis")
            #expect(answer["limits"]?.arrayValue?.first?["remaining"] == .integer(1))
        }
        let none = #","policies":[{"kind":"token_limit","config":{"limit":1,"window":"31d"}}]"#
        let refused = try await ask(plane, key, none)
        #expect(refused["reason"] == "tokens_limited" && refused["status"] == .integer(429), "\(refused.text)")
        await redis.process.stop()
        #expect(try await ask(plane, key, limit)["counters"] == "unknown")
        await plane.stop()
    }

    @Test func `tells what no rule is asked about`() async throws {
        let (plane, app, key) = try await plane()
        #expect(try await ask(plane, key, body: #"{"model":"none","messages":[]}"#)["status"] == .integer(404))
        #expect(try await ask(plane, key)["decision"] == "allow")
        let responses = #","endpoint":"/v1/responses""#
        for stored in [#""background":true"#, #""previous_response_id":"resp_1""#] {
            let body = #"{"model":"none","input":"hi",\#(stored)}"#
            let answer = try await ask(plane, key, responses, body: body)
            #expect(answer["status"] == .integer(400) && answer["reason"] == "stored_responses", "\(answer.text)")
        }
        // Its provider has no such call.
        let provider = #"{"name":"o","kind":"openai","base_url":"http://127.0.0.1:1/v1"}"#
        #expect(try await plane.send("POST", "/v1/providers", provider).status == 201)
        let model = #"{"name":"none-such","routes":[{"provider":"o","upstream_model":"u"}]}"#
        #expect(try await plane.send("POST", "/v1/models", model).status == 201)
        try await eventually {
            try await ask(plane, key, body: #"{"model":"none-such","messages":[]}"#)["decision"] == "allow"
        }
        let messages = #","endpoint":"/v1/messages""#
        let body = #"{"model":"none-such","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#
        #expect(try await ask(plane, key, messages, body: body)["status"] == .integer(404))
        #expect(try await plane.send("DELETE", "/v1/apps/\(app)/keys/\(key)").status < 300)
        let end = ContinuousClock.now + .seconds(10)
        var status: JSON?
        while status != .integer(401), ContinuousClock.now < end {
            status = try await plane.send("POST", "/v1/simulate", #"{"key":"\#(key)","body":{"model":"m"}}"#).json[
                "status"
            ]
        }
        #expect(status == .integer(401))
        await plane.stop()
    }

    @Test(arguments: [
        "{}", #"{"key":"k"}"#, #"{"key":"k","app":"a","body":{}}"#, #"{"key":"k","body":[]}"#,
        #"{"key":"k","body":{},"endpoint":"/v1/other"}"#, #"{"key":"k","body":{},"headers":{"a":1}}"#,
        #"{"key":"k","body":{},"policies":[{"kind":"none","config":{}}]}"#,
        #"{"key":"k","body":{},"policies":[{"kind":"cel","config":{"deny_if":"("}}]}"#,
        #"{"key":"k","body":{},"policies":7}"#, #"{"key":"k","body":{},"more":1}"#,
    ])
    func `refuses what is no question`(body: String) async throws {
        let plane = try await TestPlane.start()
        #expect(try await plane.send("POST", "/v1/simulate", body).status == 422)
        #expect(try await plane.sendAsNode("POST", "/v1/simulate", Array(body.utf8)).status == 401)
        await plane.stop()
    }
}
