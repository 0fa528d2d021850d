// Puts the parts together and runs them: the server at once, the rest when PostgreSQL is there. Nothing here dies of a
// missing PostgreSQL or Redis; readiness and 503 tell meanwhile.

import Hummingbird
import HummingbirdCore
public import Logging
public import Policy
import Postgres
import Reactor
import Secrets
import ServiceLifecycle
import Synchronization
import Telemetry
import UnixSignals

/// A control plane: the admin API, the compiler and publisher of snapshots, and the nodes' endpoints.
public final class ControlPlane: Sendable {
    /// Open client connections; more wait in the backlog.
    static let maxConnections = 2048
    /// Idle client connections are closed; longer than the longest long-poll.
    static let idleSeconds: Int64 = 75

    let configuration: ControlPlaneConfiguration
    let logger: Logger
    private let pool: PostgresPool
    private let redis: RedisClient
    let store: Store
    private let nodes: NodeRegistry
    let holder: SnapshotHolder
    private let keeper: SnapshotKeeper
    private let publisher: Publisher
    private let lineage: LineageKeeper
    private let logLevels: LogLevelKeeper
    private let telemetry: ControlTelemetry
    private let measures: ControlMeasures
    private let isMigrated = Atomic<Bool>(false)

    /// Checks the configuration and makes all parts; connects nothing yet.
    ///
    /// - Parameters:
    ///   - configuration: addresses, tokens and keys.
    ///   - registry: the policy kinds.
    ///   - telemetry: what it measures and traces, and for whom.
    ///   - logger: gets one line per event worth knowing.
    /// - Throws: `ConfigurationError` for a token that is too short; what the pools throw for bad settings.
    public init(
        _ configuration: ControlPlaneConfiguration,
        registry: PolicyRegistry = .standard,
        telemetry: ControlTelemetry = ControlTelemetry(),
        logger: Logger
    ) throws {
        for (name, token) in [("admin", configuration.adminToken), ("fleet", configuration.fleetToken)] {
            guard TokenDigest(token.reveal()) != nil else {
                throw ConfigurationError("the \(name) token must be at least \(TokenDigest.minBytes) bytes")
            }
        }
        self.configuration = configuration
        self.logger = logger
        self.telemetry = telemetry
        measures = ControlMeasures(telemetry)
        let metrics = telemetry.registry
        var postgres = PostgresConfiguration(
            conninfo: configuration.postgres.reveal(),
            maxConnections: 12,
            connectTimeout: .seconds(2),
            acquireTimeout: .seconds(2),
            statementTimeout: .milliseconds(2500)
        )
        postgres.onStatement = ControlMeasures.statementObserver(metrics)
        pool = try PostgresPool(postgres)
        measures.show(pool.gauges)
        redis = try RedisClient(
            RedisConfiguration(
                host: configuration.redisHost,
                port: configuration.redisPort,
                commandDeadline: .seconds(2)
            )
        )
        nodes = NodeRegistry(pool: pool, logger: logger)
        holder = SnapshotHolder()
        store = Store(
            pool: pool,
            sealingKey: configuration.sealingKey,
            fleetKey: try FleetKey(bytes: configuration.fleetKey.reveal()),
            registry: registry,
            applied: AppliedWaiter(nodes: nodes, holder: holder),
            committed: Beacon(),
            tracer: measures.tracer
        )
        let compiler = SnapshotCompiler(store: store, signingKey: configuration.signingKey)
        lineage = LineageKeeper(
            store: store,
            verifyingKey: configuration.signingKey.verifyingKey,
            metrics: metrics,
            logger: logger
        )
        logLevels = LogLevelKeeper(store: store, logger: logger)
        keeper = SnapshotKeeper(
            compiler: compiler,
            holder: holder,
            store: store,
            lineage: lineage,
            measures: measures,
            logger: logger
        )
        publisher = Publisher(
            pool: pool,
            holder: holder,
            redis: redis,
            lineage: lineage,
            measures: measures,
            logger: logger
        )
        Self.show(nodes, holder, in: metrics)
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT) or the task is cancelled.
    ///
    /// - Parameters:
    ///   - stopsOnSignals: whether SIGTERM and SIGINT end it well; false leaves the signals alone, for tests.
    ///   - onListening: called once with the port.
    /// - Throws: when the address cannot be listened on, or the database belongs to another build.
    public func run(
        stopsOnSignals: Bool = true,
        onListening: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws {
        let application = try application(onListening: onListening)
        do {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await self.serve(application, stopsOnSignals: stopsOnSignals)
                    return true
                }
                group.addTask {
                    try await self.work()
                    return false
                }
                // The server ends first, and well; a failure of the work ends the server.
                while let isServerDone = try await group.next(), !isServerDone {}
                group.cancelAll()
            }
        } catch is CancellationError {
            logger.debug("cancelled")
        }
        redis.close()
        await pool.close()
        logger.info("stopped")
    }

    /// Serves until a signal or cancellation; long polls end first, then the server does.
    private func serve(_ application: Application<AdminResponder>, stopsOnSignals: Bool) async throws {
        // Services stop in reverse order.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [application, PollEnder(holder: holder)],
                gracefulShutdownSignals: stopsOnSignals ? [.sigterm, .sigint] : [],
                logger: logger
            )
        )
        try await group.run()
    }

    /// All operations; schemas/openapi.yaml describes each, and a test compares the two.
    var routes: [Route] {
        let admin = AdminRoutes(
            store: store,
            nodes: nodes,
            keeper: keeper,
            holder: holder,
            publisher: publisher,
            metrics: telemetry.registry,
            isReady: { [self] in isMigrated.load(ordering: .acquiring) && holder.current != nil }
        )
        let canary = CanaryRoutes(store: store, nodes: nodes, holder: holder)
        return admin.routes + canary.routes + LineageRoutes(store: store).routes
            + SimulateRoutes(holder: holder, redis: redis, registry: store.registry, lineage: lineage).routes
            + logLevels.routes
            + App.routes("/v1/apps", store: store)
            + KeyRoutes(store: store).routes
            + canary.wrapping(PolicyRow.routes("/v1/policies", store: store))
            + Provider.routes("/v1/providers", store: store)
            + Model.routes("/v1/models", store: store) + UsageRoutes(pool: pool).routes
            + NodeRoutes(
                holder: holder,
                nodes: nodes,
                ingest: UsageIngest(pool: pool, measures: measures),
                lineage: lineage,
                logLevels: logLevels
            ).routes
    }

    private func application(
        onListening: @escaping @Sendable (Int) -> Void
    ) throws -> Application<AdminResponder> {
        guard let adminToken = TokenDigest(configuration.adminToken.reveal()),
            let fleetToken = TokenDigest(configuration.fleetToken.reveal())
        else { throw ConfigurationError("a token is too short") }
        let responder = AdminResponder(
            table: RouteTable(routes),
            adminToken: adminToken,
            fleetToken: fleetToken,
            measures: measures,
            accessLogger: telemetry.accessLogger ?? logger,
            logger: logger
        )
        return Application(
            responder: responder,
            server: .http1(
                configuration: HTTP1Channel.Configuration(
                    idleTimeout: .seconds(Self.idleSeconds),
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: 16 << 10,
                        maxHeaderListSize: 32 << 10,
                        maxHeaderFieldCount: 100
                    )
                )
            ),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                availableConnectionsDelegate: MaximumAvailableConnections(Self.maxConnections)
            ),
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? 0) },
            logger: logger
        )
    }

    /// Migrates when PostgreSQL is there, then compiles, publishes and follows.
    private func work() async throws {
        try await migrate()
        isMigrated.store(true, ordering: .releasing)
        await withTaskGroup { group in
            group.addTask { await self.keeper.run() }
            group.addTask { await self.keeper.listen() }
            group.addTask { await self.publisher.run() }
            group.addTask { await self.lineage.run() }
            group.addTask { await self.nodes.run() }
            group.addTask { await self.nodes.listen() }
            group.addTask { await self.logLevels.run() }
            await group.waitForAll()
        }
    }

    private static func show(_ nodes: NodeRegistry, _ holder: SnapshotHolder, in metrics: MetricRegistry) {
        metrics.observe("weir.snapshot.version", help: "the newest version compiled here") {
            Int64(clamping: holder.current?.version ?? 0)
        }
        metrics.observe("weir.live.nodes", help: "gateway nodes heard of within five seconds") {
            Int64(nodes.live(at: Timestamp.now).count)
        }
        metrics.observe("weir.refusing.nodes", help: "live nodes that refuse the newest snapshot") {
            Int64(nodes.live(at: Timestamp.now).count { $0.status == .nack })
        }
        metrics.observe("weir.duplicate.nodes", help: "live processes that share a node id with another") {
            Int64(nodes.all(at: Timestamp.now).count(where: \.isDuplicate))
        }
        metrics.observe("weir.lineage.unconfirmed", help: "1 while nodes hold on to revocations after a restore") {
            holder.current?.isLineageConfirmed == false ? 1 : 0
        }
        metrics.observe("weir.canary.open", help: "1 while a canary is open") {
            holder.current?.canary == nil ? 0 : 1
        }
    }

    private func migrate() async throws {
        var delay = Duration.milliseconds(50)
        while true {
            do {
                try await Migrations.run(pool, logger: logger)
                try await FleetKey.resealProviders(store)
                return
            } catch let error as PostgresError where Problem(error).status == 503 {
                logger.warning("waiting for PostgreSQL", metadata: ["reason": "\(error.message)"])
                try await Task.sleep(for: delay)
                delay = min(delay * 2, .seconds(2))
            }
        }
    }
}

/// Ends what waits for changes as soon as the process is told to stop.
private struct PollEnder: Service {
    let holder: SnapshotHolder

    func run() async throws {
        try await gracefulShutdown()
        holder.end()
    }
}
