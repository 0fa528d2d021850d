// What the demo needs in the control plane: providers, models, an app, its key, its policies. Made over the REST API
// like anybody would, found again by name on the next start.

import Foundation
import Stack

/// The demo's app and the key to use it.
struct DemoApp: Sendable {
    let id: String
    let key: String
}

/// Brings the control plane to what the demo needs.
struct DemoResources {
    let admin: AdminClient
    let options: DevOptions
    let keys: FleetKeys

    /// Ensures all of it; each write waits until every node enforces it.
    func ensure() async throws(StackError) -> DemoApp {
        try await providersAndModels()
        let app = try await admin.ensure("/v1/apps", ["name": "demo"])
        guard let id = app["id"]?.text else { throw .other("the app has no id: \(app)") }
        let key = try await key(of: id)
        for policy in DemoPolicies.wanted(for: id) {
            _ = try await admin.ensure("/v1/policies", policy)
            Console.step("policy", "\(policy["kind"]?.text ?? "")  \(text(policy["config"]))")
        }
        return DemoApp(id: id, key: key)
    }

    private func providersAndModels() async throws(StackError) {
        if let upstream = options.upstream {
            try await provider("upstream", "openai_compatible", upstream.url, credential: upstream.credential)
            for name in upstream.models { try await model(name, provider: "upstream") }
        } else {
            let root = "http://127.0.0.1:\(options.ports.upstream)"
            try await provider("demo", "openai_compatible", "\(root)/v1", credential: keys.upstreamKey)
            try await provider("demo-anthropic", "anthropic", root, credential: keys.upstreamKey)
            try await model("mock", provider: "demo")
            try await model("mock-embed", provider: "demo")
            try await model("mock-claude", provider: "demo-anthropic")
        }
        if let key = options.openAIKey {
            try await provider("openai", "openai", "https://api.openai.com/v1", credential: key)
            for name in ["gpt-4o-mini", "gpt-4o", "gpt-4.1", "text-embedding-3-small"] {
                try await model(name, provider: "openai")
            }
        }
        if let key = options.anthropicKey {
            try await provider("anthropic", "anthropic", "https://api.anthropic.com", credential: key)
            for name in ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"] {
                try await model(name, provider: "anthropic")
            }
        }
    }

    private func provider(
        _ name: String,
        _ kind: String,
        _ url: String,
        credential: String?
    ) async throws(StackError) {
        var secret: [String: JSONValue] = [:]
        if let credential { secret["credential"] = .string(credential) }
        let wanted: [String: JSONValue] = [
            "name": .string(name), "kind": .string(kind), "base_url": .string(url),
        ]
        _ = try await admin.ensure("/v1/providers", wanted, writeOnly: secret)
        Console.step("provider", "\(name)  \(kind)  \(url)")
    }

    private func model(_ name: String, provider: String) async throws(StackError) {
        _ = try await admin.ensure(
            "/v1/models",
            [
                "name": .string(name),
                "routes": [["provider": .string(provider), "upstream_model": .string(name), "weight": 1]],
            ]
        )
        Console.step("model", "\(name)  → \(provider)")
    }

    /// A key's text is shown only when it is made, so it is kept beside the deployment's own keys.
    private func key(of app: String) async throws(StackError) -> String {
        let path = "\(options.directory)/demo-key.json"
        if let bytes = FileManager.default.contents(atPath: path) {
            let stored = try JSONValue(parsing: Array(bytes))
            if stored["app"]?.text == app, let id = stored["id"]?.text, let key = stored["key"]?.text {
                let answer = try await admin.send("GET", "/v1/apps/\(app)/keys/\(id)")
                if answer.status == 200, answer.json["revoked"] != true { return key }
            }
        }
        let made = try await admin.call("POST", "/v1/apps/\(app)/keys?wait=applied", ["name": "demo"])
        guard let id = made["id"]?.text, let key = made["key"]?.text else { throw .other("the key has no secret") }
        let stored: JSONValue = ["app": .string(app), "id": .string(id), "key": .string(key)]
        try PrivateFile.write(stored.bytes, to: path)
        return key
    }

    private func text(_ value: JSONValue?) -> String { String(decoding: value?.bytes ?? [], as: UTF8.self) }
}
