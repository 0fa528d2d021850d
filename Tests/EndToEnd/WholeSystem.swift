// The system under test: the built programs on private ports, two gateway nodes, the mock provider behind them. One is
// started for a whole suite and found through a task-local; tests keep out of each other's way by making an app each.

import Foundation
import OTLPReceiver
import Stack
import Testing

/// A running Weir with a mock provider.
final class WholeSystem: Sendable {
    /// The system of the suite that is running.
    @TaskLocal static var current: WholeSystem?

    static let providerKey = "provider-secret-of-the-mock"

    let directory: TemporaryDirectory
    let fleet: Fleet
    let provider: MockProvider
    /// Where the telemetry of all programs goes.
    let receiver: OTLPReceiver
    /// What none of them may show.
    let canary = Canary()
    var admin: AdminClient { fleet.admin }
    /// The nodes' base URLs.
    var gateways: [String] { fleet.gatewayURLs }

    /// A file that operators read, by its path below `docs`.
    static func documentation(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent("docs/\(path)"), encoding: .utf8)
    }

    static var running: WholeSystem {
        get throws { try #require(current, "the suite needs the trait .wholeSystem") }
    }

    /// Starts one; nothing in it restarts by itself.
    static func start(gateways: Int = 2) async throws -> WholeSystem {
        let directory = try TemporaryDirectory(prefix: "weir-e2e")
        let provider = try await MockProvider.start(directory: directory.path, key: providerKey)
        let receiver = try await OTLPReceiver.start(directory: directory.path)
        var plan = FleetPlan(
            directory: "\(directory.path)/weir",
            gatewayPorts: try (0..<gateways).map { _ in try FreePort.claim() },
            controlPort: try FreePort.claim(),
            redisPort: try FreePort.claim(),
            postgresPort: try FreePort.claim(),
            programs: builtPrograms,
            isDurable: false,
            restarts: nil
        )
        plan.gatewayArguments = [
            "--workers", "2", "--drain-timeout", "10",
            // Exactness is tested here, not the fallback: a core busy with other tests must not look like a slow Redis.
            "--redis-deadline", "2000",
        ]
        let telemetry = [
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_METRIC_EXPORT_INTERVAL": "3000",
            "OTEL_BSP_SCHEDULE_DELAY": "200", "WEIR_LOG_LEVEL": "debug",
        ]
        for part in ["control"] + (1...gateways).map({ "gateway-\($0)" }) { plan.environment[part] = telemetry }
        let fleet = try Fleet(plan)
        let system = WholeSystem(directory, fleet, provider, receiver)
        do {
            try await fleet.start()
            try await system.addProvider()
        } catch {
            await system.stop()
            throw error
        }
        return system
    }

    private init(
        _ directory: TemporaryDirectory,
        _ fleet: Fleet,
        _ provider: MockProvider,
        _ receiver: OTLPReceiver
    ) {
        self.receiver = receiver
        canary.add("the provider's credential", Self.providerKey)
        canary.add("the admin token", fleet.keys.adminToken)
        canary.add("the fleet token", fleet.keys.fleetToken)
        self.directory = directory
        self.fleet = fleet
        self.provider = provider
    }

    func stop() async {
        await fleet.stop()
        await provider.stop()
        await receiver.stop()
    }

    private func addProvider() async throws {
        let ready = await wait(upTo: .seconds(20)) { await self.liveNodes() == self.gateways.count }
        try #require(ready, "the nodes did not report in time")
        let credential: [String: JSONValue] = ["credential": .string(Self.providerKey)]
        _ = try await admin.ensure(
            "/v1/providers",
            ["name": "mock", "kind": "openai_compatible", "base_url": .string("\(provider.url)/v1")],
            writeOnly: credential
        )
        _ = try await admin.ensure(
            "/v1/providers",
            ["name": "mock-anthropic", "kind": "anthropic", "base_url": .string(provider.url)],
            writeOnly: credential
        )
        for (name, provider) in [
            ("mock-small", "mock"), ("mock-large", "mock"), ("mock-embed", "mock"), ("claude-mock", "mock-anthropic"),
        ] {
            try await addModel(name, provider: provider, upstream: name)
        }
    }

    func addModel(_ name: String, provider: String, upstream: String) async throws {
        _ = try await admin.ensure(
            "/v1/models",
            [
                "name": .string(name),
                "routes": [["provider": .string(provider), "upstream_model": .string(upstream), "weight": 1]],
            ]
        )
    }

    func liveNodes() async -> Int {
        do {
            return Int(try await admin.call("GET", "/v1/snapshots/current")["live_nodes"]?.int ?? 0)
        } catch {
            return 0  // not answering yet
        }
    }

    /// An app of its own for a test, known to every node.
    func makeApp(_ policies: [(kind: String, config: JSONValue)] = []) async throws -> TestApp {
        let name = "app-\(UUID().uuidString)"
        let app = try await admin.call("POST", "/v1/apps", ["name": .string(name)])
        let id = try #require(app["id"]?.text)
        let key = try await admin.call("POST", "/v1/apps/\(id)/keys?wait=applied", ["name": "test"])
        let made = TestApp(
            system: self,
            id: id,
            key: try #require(key["key"]?.text),
            keyID: try #require(key["id"]?.text)
        )
        // Its id is no secret.
        canary.add("the key of \(name)", String(made.key.suffix(made.key.utf8.count - 20)))
        for (kind, config) in policies { _ = try await made.add(kind, config) }
        return made
    }

    /// Where the programs were built: beside the test bundle.
    static var builtPrograms: String {
        // `swift test` runs .build/<triple>/debug/weirPackageTests.xctest or loads it with a helper beside it.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? Program.ownPath
        return URL(fileURLWithPath: bundle).resolvingSymlinksInPath().deletingLastPathComponent().path
    }
}

/// An app, its key, and requests in its name.
struct TestApp: Sendable {
    let system: WholeSystem
    let id: String
    let key: String
    let keyID: String

    /// Makes a policy for this app; answers when every node enforces it.
    func add(_ kind: String, _ config: JSONValue, mode: String = "enforce") async throws -> JSONValue {
        try await system.admin.call(
            "POST",
            "/v1/policies?wait=applied",
            [
                "name": .string("\(kind)-\(UUID().uuidString)"), "kind": .string(kind), "config": config,
                "scope": ["app": .string(id)], "mode": .string(mode),
            ]
        )
    }

    /// Sends a body to a node with the app's key.
    func send(
        _ body: JSONValue,
        to path: String = "/v1/chat/completions",
        node: Int = 0,
        headers: [(name: String, value: String)] = [],
        onBody: @escaping @Sendable ([UInt8]) -> Bool = { _ in true }
    ) async throws -> LoopbackResponse {
        try await LoopbackClient.send(
            LoopbackRequest(
                "POST",
                system.gateways[node] + path,
                headers: [("Authorization", "Bearer \(key)"), ("Content-Type", "application/json")] + headers,
                body: body.bytes
            ),
            onBody: onBody
        )
    }

    /// The record of a request, once it has arrived.
    func record(of response: LoopbackResponse) async throws -> JSONValue {
        let id = try #require(response.header("x-request-id"))
        let end = ContinuousClock.now + .seconds(15)
        while true {
            let answer = try await system.admin.send("GET", "/v1/requests/\(id)")
            if answer.status == 200 { return answer.json }
            try #require(ContinuousClock.now < end, "no record of \(id) came")
            await pause(for: .milliseconds(20))
        }
    }
}

/// A chat request.
func chat(
    _ text: String = "Hello",
    model: String = "mock-small",
    _ more: [String: JSONValue] = [:]
) -> JSONValue {
    let body: [String: JSONValue] = [
        "model": .string(model), "messages": [["role": "user", "content": .string("\(Canary.prompt) \(text)")]],
    ]
    return .object(body.merging(more) { _, given in given })
}

/// Starts a system for a suite and stops it after the suite's last test.
struct WholeSystemTrait: SuiteTrait, TestScoping {
    @concurrent func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let system = try await WholeSystem.start()
        do {
            try await WholeSystem.$current.withValue(system) { try await function() }
            try await system.expectNoLeaks()
        } catch {
            await system.stop()
            throw error
        }
        await system.stop()
    }
}

extension Trait where Self == WholeSystemTrait {
    /// The suite's tests run against one system of two nodes.
    static var wholeSystem: WholeSystemTrait { WholeSystemTrait() }
}
