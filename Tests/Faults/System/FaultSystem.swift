// The system under fault: built programs on private ports, a fault proxy on every link, a provider that counts. One is
// started for a suite and found through a task-local; tests leave it whole, and `mend` sees to it.

import Foundation
import Glibc
import Stack
import Testing

/// A running Weir whose links can be broken.
final class FaultSystem: Sendable {
    /// The system of the suite that is running.
    @TaskLocal static var current: FaultSystem?

    static let providerKey = "provider-secret-of-the-load"

    static var running: FaultSystem {
        get throws { try #require(current, "the suite needs the trait .faultSystem") }
    }

    private static let workersPerNode = 2
    /// Each worker's, the keeper's (which it opens when it needs it), the follower's two.
    static let redisConnectionsPerNode = workersPerNode + 3

    /// How much longer outages last than in the short run; the checks are the same.
    static let stretch: Int = ProcessInfo.processInfo.environment["WEIR_FAULTS"] == "long" ? 10 : 1

    let directory: TemporaryDirectory
    let fleet: Fleet
    let provider: CountingProvider
    /// Gateway → Redis, by gateway.
    let redisLinks: [FaultProxy]
    /// Gateway → control plane, by gateway.
    let controlLinks: [FaultProxy]
    /// Gateways → provider.
    let providerLink: FaultProxy
    /// Control plane → Redis, by control plane.
    let controlRedisLinks: [FaultProxy]
    /// Control plane → PostgreSQL, by control plane.
    let postgresLinks: [FaultProxy]

    var admin: AdminClient { fleet.admin }
    var nodes: [Int] { fleet.plan.gatewayPorts }

    /// Starts one, in which nothing restarts by itself.
    ///
    /// Every node gets `arguments`; `adjust` has the last word on the plan.
    static func start(
        gateways: Int = 2,
        controls: Int = 1,
        arguments: [String] = [],
        adjust: (inout FleetPlan) -> Void = { _ in }
    ) async throws -> FaultSystem {
        let directory = try TemporaryDirectory(prefix: "weir-faults")
        let provider = try await CountingProvider.start()
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
        plan.moreControlPorts = try (1..<controls).map { _ in try FreePort.claim() }
        plan.gatewayArguments = ["--workers", String(workersPerNode), "--drain-timeout", "5"] + arguments
        var redisLinks: [FaultProxy] = []
        var controlLinks: [FaultProxy] = []
        for index in 0..<gateways {
            redisLinks.append(try await FaultProxy.start(to: plan.redisPort))
            controlLinks.append(try await FaultProxy.start(to: plan.controlPort))
            plan.links.gatewayRedis[index] = redisLinks[index].port
            plan.links.gatewayControl[index] = controlLinks[index].port
        }
        var controlRedisLinks: [FaultProxy] = []
        var postgresLinks: [FaultProxy] = []
        for index in 0..<controls {
            controlRedisLinks.append(try await FaultProxy.start(to: plan.redisPort))
            postgresLinks.append(try await FaultProxy.start(to: plan.postgresPort))
            plan.links.controlRedis[index] = controlRedisLinks[index].port
            plan.links.controlPostgres[index] = postgresLinks[index].port
        }
        adjust(&plan)
        let system = FaultSystem(
            directory,
            try Fleet(plan),
            provider,
            redisLinks,
            controlLinks,
            try await FaultProxy.start(to: provider.port),
            controlRedisLinks,
            postgresLinks
        )
        do {
            try await system.fleet.start()
            try await system.prepare()
        } catch {
            await system.stop()
            throw error
        }
        return system
    }

    private init(
        _ directory: TemporaryDirectory,
        _ fleet: Fleet,
        _ provider: CountingProvider,
        _ redisLinks: [FaultProxy],
        _ controlLinks: [FaultProxy],
        _ providerLink: FaultProxy,
        _ controlRedisLinks: [FaultProxy],
        _ postgresLinks: [FaultProxy]
    ) {
        self.directory = directory
        self.fleet = fleet
        self.provider = provider
        self.redisLinks = redisLinks
        self.controlLinks = controlLinks
        self.providerLink = providerLink
        self.controlRedisLinks = controlRedisLinks
        self.postgresLinks = postgresLinks
    }

    func stop() async {
        for link in links { await link.stop() }
        await fleet.stop()
        await provider.stop()
    }

    private var links: [FaultProxy] {
        redisLinks + controlLinks + [providerLink] + controlRedisLinks + postgresLinks
    }

    private func prepare() async throws {
        try await requireLive()
        try await addModel("load", port: providerLink.port)
    }

    /// A model with one route to a provider of its own on this port.
    func addModel(_ name: String, port: Int, kind: String = "openai_compatible", path: String = "/v1") async throws {
        _ = try await admin.ensure(
            "/v1/providers",
            [
                "name": .string("provider-of-\(name)"), "kind": .string(kind),
                "base_url": .string("http://127.0.0.1:\(port)\(path)"),
            ],
            writeOnly: ["credential": .string(Self.providerKey)]
        )
        _ = try await admin.ensure(
            "/v1/models",
            [
                "name": .string(name),
                "routes": [["provider": .string("provider-of-\(name)"), "upstream_model": .string(name), "weight": 1]],
            ]
        )
    }

    /// Where the programs were built: beside the test bundle.
    static var builtPrograms: String {
        // `swift test` runs .build/<triple>/debug/weirPackageTests.xctest or loads it with a helper beside it.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? Program.ownPath
        return URL(fileURLWithPath: bundle).resolvingSymlinksInPath().deletingLastPathComponent().path
    }

    // MARK: Whole again

    /// Lifts every fault of the links, lets stopped processes go on, starts what is dead, and waits until all agree.
    func mend() async throws {
        for link in links { try await link.heal() }
        var parts: [SupervisedProcess] = []
        if let postgres = await fleet.postgres { parts.append(postgres.process) }
        if let redis = await fleet.redis { parts.append(redis.process) }
        parts += await fleet.controls
        parts += await fleet.gateways
        for part in parts {
            if let process = await part.process { process.send(SIGCONT) } else { try await part.start() }
        }
        try await requireLive()
        try await requireExact()
    }

    /// Waits until every node of the plan reports that it enforces the newest version.
    func requireLive(_ deadline: Duration = .seconds(20)) async throws {
        let isLive = await wait(upTo: deadline, every: .milliseconds(50)) {
            do {
                let current = try await self.admin.call("GET", "/v1/snapshots/current")
                // Exactly: a node that a test added counts as live for five seconds after its end.
                return current["live_nodes"]?.int == Int64(self.nodes.count)
                    && current["applied_nodes"] == current["live_nodes"]
            } catch {
                return false  // not answering yet
            }
        }
        try #require(isLive, "not every node came to enforce the newest version")
    }

    /// Starts PostgreSQL after a kill: the old server's children may hold its memory for a moment yet.
    func restartPostgres() async throws {
        let process = try #require(await fleet.postgres).process
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            do throws(StackError) {
                return try await process.start()
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                await pause(for: .milliseconds(100))
            }
        }
    }

    /// Waits until every node asks Redis for limits again.
    ///
    /// Whether each request is decided there is another question: on a busy machine a deadline of 10 ms is missed now
    /// and then without any fault. Such a miss is a relapse to the breaker, which then wants good answers for up to 10 s;
    /// without one it closes within a second (weir-measure outage).
    func requireExact(_ deadline: Duration = .seconds(25)) async throws {
        let probe = try await makeApp([.perMonth(1_000_000)])
        for node in nodes.indices {
            try #require(await returns(node, probe, within: deadline), "node \(node) did not return to Redis")
        }
    }

    /// Whether a node comes to ask Redis for limits again.
    func returns(_ node: Int, _ probe: FaultApp, within deadline: Duration) async -> Bool {
        await wait(upTo: deadline, every: .milliseconds(20)) { await self.asksRedis(probe, node: node) }
    }

    /// Starts every node anew: whatever it remembered of its dependencies is forgotten.
    func restartNodes(arguments: [String] = []) async throws {
        for index in nodes.indices { try await fleet.restartGateway(index, arguments: arguments) }
        try await requireLive()
    }

    private func asksRedis(_ app: FaultApp, node: Int) async -> Bool {
        do {
            let before = try await metrics(node)
            let history = try await app.burst(8, nodes: [node], connections: 4)
            let after = try await metrics(node)
            let checks = "weir_ratelimit_checks_total"
            return history.failures.isEmpty && after.sum(checks) >= before.sum(checks) + 8
        } catch {
            return false
        }
    }

    // MARK: Apps and requests

    /// An app with one key, known to every node.
    func makeApp(_ policies: [TestPolicy] = []) async throws -> FaultApp {
        let name = "app-\(UUID().uuidString)"
        let app = try await admin.call("POST", "/v1/apps", ["name": .string(name)])
        let id = try #require(app["id"]?.text)
        for policy in policies {
            _ = try await admin.call("POST", "/v1/policies", Self.policy(policy.kind, policy.config, app: id))
        }
        let key = try await admin.call("POST", "/v1/apps/\(id)/keys?wait=applied", ["name": "test"])
        return FaultApp(
            system: self,
            id: id,
            name: name,
            key: try #require(key["key"]?.text),
            keyID: try #require(key["id"]?.text)
        )
    }

    static func policy(_ kind: String, _ config: JSONValue, app: String) -> JSONValue {
        [
            "name": .string("\(kind)-\(UUID().uuidString)"), "kind": .string(kind), "config": config,
            "scope": ["app": .string(app)],
        ]
    }

    /// A node's figures, now.
    func metrics(_ node: Int) async throws -> Metrics {
        let request = LoopbackRequest("GET", "http://127.0.0.1:\(nodes[node])/metrics", deadline: .seconds(5))
        return Metrics(try await LoopbackClient.send(request).text)
    }

    /// The status of a node's readiness probe; 0 when nothing answers.
    func readiness(port: Int) async -> Int {
        do {
            let request = LoopbackRequest("GET", "http://127.0.0.1:\(port)/readyz", deadline: .seconds(2))
            return try await LoopbackClient.send(request).status
        } catch {
            return 0
        }
    }

    /// One command to Redis, at its own port.
    @discardableResult
    func redis(_ words: String...) async throws -> String {
        try await run("redis-cli", ["-p", "\(fleet.plan.redisPort)"] + words)
    }

    /// One statement to PostgreSQL, at its own port.
    @discardableResult
    func sql(_ statement: String) async throws -> String {
        let connection = try #require(await fleet.postgres?.connectionString)
        // The tests' own statements are never subject to what they do to the database.
        let options = "options='-c default_transaction_read_only=off -c client_min_messages=error'"
        return try await run("psql", ["\(connection) \(options)", "-XAtqc", statement])
    }

    /// Runs a program to its end.
    ///
    /// - Returns: what it wrote.
    @discardableResult
    func run(_ program: String, _ arguments: [String], user: String? = nil) async throws -> String {
        let log = "\(directory.path)/\(program)-\(UUID().uuidString.prefix(8)).out"
        let specification = ProcessSpecification(
            name: program,
            executable: try Program.find(program, hint: "is it installed?"),
            arguments: arguments,
            logFile: log,
            user: user
        )
        let status = try await ChildProcess.start(specification).exit()
        let output = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        try FileManager.default.removeItem(atPath: log)
        try #require(status == .code(0), "\(program) \(arguments): \(output)")
        return output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// A policy that a test gives an app.
struct TestPolicy: Sendable {
    var kind: String
    var config: JSONValue

    /// So many requests in a window that no test outlives.
    static func perMonth(_ limit: Int) -> TestPolicy {
        TestPolicy(kind: "rate_limit", config: ["limit": .integer(Int64(limit)), "window": "31d"])
    }
}

/// An app, its key, and requests in its name.
struct FaultApp: Sendable {
    let system: FaultSystem
    let id: String
    let name: String
    let key: String
    let keyID: String

    /// Its part of a load.
    func client(rate: Int, connections: Int = 3, isStream: Bool? = nil, model: String = "load") -> LoadShape.Client {
        LoadShape.Client(
            app: id,
            key: key,
            rate: rate,
            isStream: isStream,
            model: model,
            connectionsPerNode: connections
        )
    }

    /// Sends so many requests at once over these nodes (all by default).
    func burst(_ count: Int, nodes: [Int]? = nil, connections: Int = 8) async throws -> History {
        let ports = (nodes ?? Array(system.nodes.indices)).map { system.nodes[$0] }
        return try await Load.burst(client(rate: 1, connections: connections), count: count, nodes: ports)
    }

    /// How many of its requests the provider was sent.
    var servedCount: Int { system.provider.served(id).requests }

    /// Makes a policy for this app; answers when every live node enforces it.
    func add(_ kind: String, _ config: JSONValue) async throws {
        try await system.admin.call("POST", "/v1/policies?wait=applied", FaultSystem.policy(kind, config, app: id))
    }

    /// What the control plane counted for it.
    func usage() async throws -> (requests: Int, totalTokens: Int) {
        let rows = try await system.admin.call("GET", "/v1/usage?group_by=app&app=\(id)")["data"]?.elements
        return (Int(rows?.first?["requests"]?.int ?? 0), Int(rows?.first?["total_tokens"]?.int ?? 0))
    }
}

/// A node's `/metrics`.
struct Metrics: Sendable {
    let text: String

    init(_ text: String) { self.text = text }

    /// The sum over all series of a metric whose labels hold all of these; nil when there is none.
    func value(_ name: String, _ labels: String...) -> Double? {
        var sum: Double?
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            let rest = line.dropFirst(name.count)
            guard let first = rest.first, first == " " || first == "{" else { continue }
            guard labels.allSatisfy({ rest.contains($0) }), let space = rest.lastIndex(of: " ") else { continue }
            sum = (sum ?? 0) + (Double(rest[rest.index(after: space)...]) ?? 0)
        }
        return sum
    }

    /// The sum over all series of a metric; 0 when there is none.
    func sum(_ name: String) -> Double { value(name) ?? 0 }
}

extension FaultSystem {
    /// Traffic of these clients over all nodes, or some.
    func startLoad(_ clients: [LoadShape.Client], nodes: [Int]? = nil) async throws -> Load {
        let ports = (nodes ?? Array(self.nodes.indices)).map { self.nodes[$0] }
        return try await Load.start(LoadShape(clients: clients, nodes: ports))
    }
}
