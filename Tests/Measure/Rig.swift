// The system under measurement: a whole fleet of release builds on this machine, with the demo model behind it. What
// is killed stays dead until the measurement starts it again.

import Foundation
import Stack

/// A running fleet with a model named `mock`.
final class Rig: Sendable {
    let fleet: Fleet
    let upstream: SupervisedProcess
    let ports: [Int]
    private let directory: TemporaryDirectory

    var admin: AdminClient { fleet.admin }

    /// Measures on a fleet that is stopped afterwards, whatever became of it.
    static func run(
        nodes: Int,
        eventDelayMilliseconds: Int = 0,
        environment: [String: [String: String]] = [:],
        _ measure: (Rig) async throws -> Void
    ) async throws {
        let rig = try await start(nodes: nodes, eventDelayMilliseconds: eventDelayMilliseconds, environment)
        do {
            try await measure(rig)
        } catch {
            await rig.stop()
            throw error
        }
        await rig.stop()
    }

    private static func start(
        nodes: Int,
        eventDelayMilliseconds: Int,
        _ environment: [String: [String: String]]
    ) async throws -> Rig {
        let directory = try TemporaryDirectory(prefix: "weir-measure")
        let programs = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().path
        let upstreamPort = try FreePort.claim()
        let upstream = SupervisedProcess(
            ProcessSpecification(
                name: "demo-upstream",
                executable: "\(programs)/weir",
                arguments: [
                    "demo-upstream", "--listen", "127.0.0.1:\(upstreamPort)", "--event-delay",
                    "\(eventDelayMilliseconds)",
                ],
                logFile: "\(directory.path)/upstream.log"
            ),
            probe: { _ in
                do throws(StackError) {
                    let url = "http://127.0.0.1:\(upstreamPort)/healthz"
                    return try await LoopbackClient.send(LoopbackRequest("GET", url)).status == 200
                } catch {
                    return false  // not listening yet
                }
            }
        )
        try await upstream.start()
        let ports = try (0..<nodes).map { _ in try FreePort.claim() }
        var plan = FleetPlan(
            directory: "\(directory.path)/weir",
            gatewayPorts: ports,
            controlPort: try FreePort.claim(),
            redisPort: try FreePort.claim(),
            postgresPort: try FreePort.claim(),
            programs: programs,
            isDurable: false,
            restarts: nil
        )
        plan.gatewayArguments = ["--workers", "1"]
        plan.environment = environment
        let fleet = try Fleet(plan)
        let rig = Rig(fleet, upstream, ports, directory)
        do {
            try await fleet.start()
            try await rig.addModel("http://127.0.0.1:\(upstreamPort)/v1")
        } catch {
            await rig.stop()
            throw error
        }
        return rig
    }

    private init(_ fleet: Fleet, _ upstream: SupervisedProcess, _ ports: [Int], _ directory: TemporaryDirectory) {
        self.fleet = fleet
        self.upstream = upstream
        self.ports = ports
        self.directory = directory
    }

    func stop() async {
        await fleet.stop()
        await upstream.stop()
        withExtendedLifetime(directory) {}
    }

    private func addModel(_ url: String) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try await admin.call("GET", "/v1/snapshots/current")["live_nodes"]?.int != Int64(ports.count) {
            guard ContinuousClock.now < deadline else { throw MeasureError("not all nodes reported") }
            try await Task.sleep(for: .milliseconds(50))
        }
        _ = try await admin.ensure(
            "/v1/providers",
            ["name": "demo", "kind": "openai_compatible", "base_url": .string(url)],
            writeOnly: ["credential": "unused"]
        )
        for name in ["mock", "mock-b"] {
            _ = try await admin.ensure(
                "/v1/models",
                [
                    "name": .string(name),
                    "routes": [["provider": "demo", "upstream_model": .string(name), "weight": 1]],
                ]
            )
        }
    }

    /// An app with a key and policies that every node enforces.
    func makeApp(_ policies: [(kind: String, config: JSONValue)] = []) async throws -> RigApp {
        let name = "app-\(UUID().uuidString)"
        let app = try await admin.call("POST", "/v1/apps", ["name": .string(name)])
        guard let id = app["id"]?.text else { throw MeasureError("the app has no id") }
        for (kind, config) in policies {
            let policy: JSONValue = [
                "name": .string("\(kind) \(UUID().uuidString)"), "kind": .string(kind), "scope": ["app": .string(id)],
                "config": config,
            ]
            try await admin.call("POST", "/v1/policies", policy)
        }
        let key = try await makeKey(app: id)
        return RigApp(id: id, keyID: key.id, key: key.secret)
    }

    func makeKey(app: String) async throws -> (id: String, secret: String) {
        let key = try await admin.call("POST", "/v1/apps/\(app)/keys?wait=applied", ["name": "measure"])
        guard let secret = key["key"]?.text, let id = key["id"]?.text else { throw MeasureError("the key has no text") }
        return (id, secret)
    }

    /// A chat request, whole, ready to be written to a connection.
    static func chat(key: String, isStream: Bool = false, maxTokens: Int = 16) -> [UInt8] {
        let body =
            "{\"model\":\"mock\",\"stream\":\(isStream),\"max_tokens\":\(maxTokens),"
            + "\"messages\":[{\"role\":\"user\",\"content\":\"Say hello to the measuring tool.\"}]}"
        return request("POST", "/v1/chat/completions", key: key, body: body)
    }

    static func request(_ method: String, _ path: String, key: String, body: String = "") -> [UInt8] {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(key)\r\n"
        if !body.isEmpty { head += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        return Array("\(head)\r\n\(body)".utf8)
    }

    /// The sum of a metric's series on one node whose line begins with the text.
    ///
    /// - Throws: when there is none, so that a renamed metric is not measured as 0.
    func metric(_ name: String, node: Int) async throws -> Double {
        let url = "http://127.0.0.1:\(ports[node])/metrics"
        let page = try await LoopbackClient.send(LoopbackRequest("GET", url)).text
        let values = page.split(separator: "\n").filter { $0.hasPrefix(name) }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
        guard !values.isEmpty else { throw MeasureError("node \(node) has no metric \(name)") }
        return values.reduce(0, +)
    }
}

/// An app with one key.
struct RigApp: Sendable {
    let id: String
    let keyID: String
    let key: String
}

/// Why a measurement could not be made.
struct MeasureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
