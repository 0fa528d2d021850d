// A whole Weir on one machine: PostgreSQL, Redis, weir-control and gateway nodes, started in the order they need each
// other and stopped in the reverse. `weir dev` runs it with restarts; the end-to-end tests without, so that what they
// kill stays dead.

private import Glibc
private import Secrets

/// Ports at which parts find each other where that is not the other part's own: something stands between them.
public struct FleetLinks: Sendable {
    /// Where a gateway finds Redis, by the gateway's index.
    public var gatewayRedis: [Int: Int] = [:]
    /// Where a gateway finds a control plane.
    public var gatewayControl: [Int: Int] = [:]
    /// Where a control plane finds Redis, by the control plane's index.
    public var controlRedis: [Int: Int] = [:]
    /// Where a control plane finds PostgreSQL.
    public var controlPostgres: [Int: Int] = [:]

    /// Every part is reached at its own port.
    public init() {}
}

/// Where a fleet lives and listens.
public struct FleetPlan: Sendable {
    /// Holds keys, logs and all data; absolute.
    public var directory: String
    /// One port per gateway node.
    public var gatewayPorts: [Int]
    /// weir-control's port.
    public var controlPort: Int
    /// Redis's port.
    public var redisPort: Int
    /// PostgreSQL's port.
    public var postgresPort: Int
    /// The directory with weir-control and weir-gateway.
    public var programs: String
    /// Whether PostgreSQL syncs to disk.
    public var isDurable: Bool
    /// nil leaves dead parts dead.
    public var restarts: Restarts?
    /// Given to every gateway besides its own flags.
    public var gatewayArguments: [String] = []
    /// More control planes over the same database, one for each port.
    public var moreControlPorts: [Int] = []
    /// What stands between the parts.
    public var links = FleetLinks()
    /// Given to Redis besides its own flags.
    public var redisArguments: [String] = []
    /// What every control plane and every gateway finds in its environment besides its keys.
    public var programEnvironment: [String: String] = [:]
    /// What a part finds in its environment besides its keys, by the part's name.
    public var environment: [String: [String: String]] = [:]

    /// Describes a fleet; see the properties.
    public init(
        directory: String,
        gatewayPorts: [Int],
        controlPort: Int,
        redisPort: Int,
        postgresPort: Int,
        programs: String,
        isDurable: Bool,
        restarts: Restarts?
    ) {
        self.directory = directory
        self.gatewayPorts = gatewayPorts
        self.controlPort = controlPort
        self.redisPort = redisPort
        self.postgresPort = postgresPort
        self.programs = programs
        self.isDurable = isDurable
        self.restarts = restarts
    }
}

/// Runs the parts of one deployment.
public actor Fleet {
    /// A part and what happened to it.
    public enum Event: Sendable {
        /// The part is being started.
        case starting(String)
        /// It answers.
        case ready(String, port: Int, took: Duration)
        /// It died, restarted or failed to.
        case changed(String, SupervisedProcess.Event)
    }

    /// What this fleet is.
    public nonisolated let plan: FleetPlan
    /// Its keys and tokens.
    public nonisolated let keys: FleetKeys
    /// Its control plane's base URL.
    public nonisolated let controlURL: String
    /// Its nodes' base URLs.
    public nonisolated let gatewayURLs: [String]
    /// Its REST API, with the admin token.
    public nonisolated let admin: AdminClient
    private let onEvent: @Sendable (Event) -> Void

    /// PostgreSQL; nil before the start.
    public private(set) var postgres: PrivatePostgres?
    /// Redis; nil before the start.
    public private(set) var redis: PrivateRedis?
    /// The control planes, in the order of their ports; empty before the start.
    public private(set) var controls: [SupervisedProcess] = []
    /// The first control plane; nil before the start.
    public var control: SupervisedProcess? { controls.first }
    /// The gateway nodes, in the order of their ports.
    public private(set) var gateways: [SupervisedProcess] = []
    private var addedGateways: [SupervisedProcess] = []
    private var isStopping = false

    /// Describes a fleet; nothing starts yet.
    ///
    /// - Parameters:
    ///   - plan: where it lives and listens.
    ///   - onEvent: told of starts, deaths and restarts.
    /// - Throws: when the directory or its keys cannot be made or read.
    public init(_ plan: FleetPlan, onEvent: @escaping @Sendable (Event) -> Void = { _ in }) throws(StackError) {
        self.plan = plan
        try Directory.make(plan.directory)
        try Directory.make("\(plan.directory)/logs", permissions: 0o700)
        keys = try FleetKeys.keep(in: "\(plan.directory)/keys.json")
        controlURL = "http://127.0.0.1:\(plan.controlPort)"
        gatewayURLs = plan.gatewayPorts.map { "http://127.0.0.1:\($0)" }
        admin = AdminClient(url: controlURL, token: keys.adminToken)
        self.onEvent = onEvent
    }

    /// Starts everything and waits until all of it is ready.
    ///
    /// - Throws: the first part's failure, with the end of its log; parts that run already go on: call ``stop()``.
    public func start() async throws(StackError) {
        let preferred = "\(plan.directory)/postgres"
        let begin = ContinuousClock.now
        let postgres = try await PrivatePostgres.prepare(
            directory: PrivatePostgres.usableDirectory(
                preferring: preferred,
                identity: hex(keys.signingKey.verifyingKey.bytes)
            ),
            port: plan.postgresPort,
            isDurable: plan.isDurable,
            restarts: plan.restarts,
            onEvent: watcher("postgres")
        )
        self.postgres = postgres
        let redis = try PrivateRedis(
            directory: "\(plan.directory)/redis",
            port: plan.redisPort,
            moreArguments: plan.redisArguments,
            environment: plan.environment["redis"] ?? [:],
            restarts: plan.restarts,
            onEvent: watcher("redis")
        )
        self.redis = redis
        // Counted from before its data directory was made.
        try await start("postgres", postgres.process, plan.postgresPort, since: begin)
        try await start("redis", redis.process, plan.redisPort)

        for (index, port) in ([plan.controlPort] + plan.moreControlPorts).enumerated() {
            let name = index == 0 ? "control" : "control-\(index + 1)"
            let connection = postgres.connectionString(port: plan.links.controlPostgres[index] ?? plan.postgresPort)
            let control = server(
                "weir-control",
                [
                    "--listen", "127.0.0.1:\(port)",
                    "--redis", "127.0.0.1:\(plan.links.controlRedis[index] ?? plan.redisPort)",
                ],
                keys.controlEnvironment(postgres: connection),
                name: name,
                readiness: "http://127.0.0.1:\(port)/readyz"
            )
            controls.append(control)
            try await start(name, control, port)
        }

        gateways = try plan.gatewayPorts.indices.map { index throws(StackError) in try gateway(index) }
        for (index, gateway) in gateways.enumerated() {
            try await start("gateway-\(index + 1)", gateway, plan.gatewayPorts[index])
        }
    }

    /// Stops a gateway in order and starts it again with other flags, on its port and data.
    ///
    /// - Parameters:
    ///   - index: which, from 0.
    ///   - arguments: given after all others; of a flag given twice the last counts.
    /// - Throws: what kept it from starting.
    public func restartGateway(_ index: Int, arguments: [String]) async throws(StackError) {
        await gateways[index].stop()
        gateways[index] = try gateway(index, arguments: arguments)
        try await gateways[index].start()
    }

    /// Starts one gateway more than planned; it is stopped with the others, and not among ``gateways``.
    ///
    /// - Parameters:
    ///   - name: its log's name, its data's, and its node id unless the arguments give another.
    ///   - port: where it listens.
    ///   - arguments: given after all others; of a flag given twice the last counts.
    ///   - readiness: the path that answers 200 once it is up; a node that has nothing to enforce is never ready.
    /// - Returns: its process.
    /// - Throws: what kept it from starting.
    public func addGateway(
        name: String,
        port: Int,
        arguments: [String] = [],
        readiness: String = "/readyz"
    ) async throws(StackError) -> SupervisedProcess {
        let gateway = try gateway(name, port, nil, nil, arguments, readiness)
        addedGateways.append(gateway)
        try await start(name, gateway, port)
        return gateway
    }

    /// Stops everything: nodes first, so that they can still ship what they have counted.
    public func stop() async {
        isStopping = true
        await withTaskGroup { group in
            for gateway in gateways + addedGateways { group.addTask { await gateway.stop(grace: .seconds(35)) } }
        }
        for control in controls { await control.stop() }
        await redis?.stop()
        await postgres?.stop()
    }

    private func start(
        _ name: String,
        _ process: SupervisedProcess,
        _ port: Int,
        since begin: ContinuousClock.Instant = .now
    ) async throws(StackError) {
        guard !isStopping else { throw .other("stopped while starting") }
        guard FreePort.isFree(port) else { throw .portTaken(port: port, purpose: name) }
        onEvent(.starting(name))
        try await process.start()
        onEvent(.ready(name, port: port, took: ContinuousClock.now - begin))
    }

    private func gateway(_ index: Int, arguments: [String] = []) throws(StackError) -> SupervisedProcess {
        try gateway(
            "gateway-\(index + 1)",
            plan.gatewayPorts[index],
            plan.links.gatewayRedis[index],
            plan.links.gatewayControl[index],
            arguments
        )
    }

    private func gateway(
        _ name: String,
        _ port: Int,
        _ redisPort: Int?,
        _ controlPort: Int?,
        _ arguments: [String],
        _ readiness: String = "/readyz"
    ) throws(StackError) -> SupervisedProcess {
        let data = "\(plan.directory)/nodes/\(name)"
        try Directory.make(data, permissions: 0o700)
        let own = [
            "--listen", "127.0.0.1:\(port)", "--redis", "127.0.0.1:\(redisPort ?? plan.redisPort)",
            "--control", "http://127.0.0.1:\(controlPort ?? plan.controlPort)",
            "--data", data, "--node-id", name,
            // A worker is two threads, and here its cores are shared with the servers it talks to.
            "--workers", "\(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)) / 2))",
        ]
        return server(
            "weir-gateway",
            own + plan.gatewayArguments + arguments,
            keys.gatewayEnvironment,
            name: name,
            readiness: "http://127.0.0.1:\(port)\(readiness)"
        )
    }

    private func server(
        _ program: String,
        _ arguments: [String],
        _ environment: [String: String],
        name: String,
        readiness: String
    ) -> SupervisedProcess {
        let specification = ProcessSpecification(
            name: name,
            executable: "\(plan.programs)/\(program)",
            arguments: arguments,
            environment: environment.merging(plan.programEnvironment) { _, given in given }
                .merging(plan.environment[name] ?? [:]) { _, given in given },
            workingDirectory: plan.directory,
            logFile: "\(plan.directory)/logs/\(name).log"
        )
        return SupervisedProcess(
            specification,
            restarts: plan.restarts,
            probe: { _ in await Self.isReady(readiness) },
            onEvent: watcher(name)
        )
    }

    private func watcher(_ name: String) -> @Sendable (SupervisedProcess.Event) -> Void {
        { [onEvent] event in onEvent(.changed(name, event)) }
    }

    private static func isReady(_ url: String) async -> Bool {
        do throws(StackError) {
            let request = LoopbackRequest("GET", url, deadline: .seconds(2))
            return try await LoopbackClient.send(request).status == 200
        } catch {
            return false  // not listening yet
        }
    }
}
