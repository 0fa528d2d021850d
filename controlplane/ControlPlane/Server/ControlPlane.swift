// Puts the parts together and runs them: the server at once, the rest when PostgreSQL is there. Nothing here dies of a
// missing PostgreSQL or Redis; readiness and 503 tell meanwhile.

import Hummingbird
import HummingbirdCore
public import Logging
public import Policy
import Postgres
import Reactor
import Secrets
import Synchronization

/// A control plane: the admin API, the compiler and publisher of snapshots, and the nodes' endpoints.
public final class ControlPlane: Sendable {
    /// Most open client connections; more wait in the backlog.
    static let maxConnections = 2048
    /// Idle client connections are closed; longer than the longest long-poll.
    static let idleSeconds: Int64 = 75

    private let configuration: ControlPlaneConfiguration
    private let logger: Logger
    private let pool: PostgresPool
    private let redis: RedisClient
    private let store: Store
    private let nodes: NodeRegistry
    private let keeper: SnapshotKeeper
    private let publisher: Publisher
    private let responder: AdminResponder
    private let isMigrated: Atomic<Bool>

    /// Checks the configuration and makes all parts; connects nothing yet.
    ///
    /// - Parameters:
    ///   - configuration: addresses, tokens and keys.
    ///   - registry: the policy kinds.
    ///   - logger: gets one line per event worth knowing.
    /// - Throws: `ConfigurationError` for a token that is too short or a key of the wrong size.
    public init(
        _ configuration: ControlPlaneConfiguration,
        registry: PolicyRegistry = .standard,
        logger: Logger
    ) throws {
        guard let adminToken = TokenDigest(configuration.adminToken.reveal()) else {
            throw ConfigurationError("the admin token must be at least \(TokenDigest.minBytes) bytes")
        }
        guard let fleetToken = TokenDigest(configuration.fleetToken.reveal()) else {
            throw ConfigurationError("the fleet token must be at least \(TokenDigest.minBytes) bytes")
        }
        self.configuration = configuration
        self.logger = logger
        pool = try PostgresPool(
            PostgresConfiguration(
                conninfo: configuration.postgres.reveal(),
                maxConnections: 12,
                connectTimeout: .seconds(2),
                acquireTimeout: .seconds(2),
                statementTimeout: .seconds(4)
            )
        )
        redis = try RedisClient(
            RedisConfiguration(host: configuration.redisHost, port: configuration.redisPort, commandDeadline: .seconds(2))
        )
        nodes = NodeRegistry(pool: pool, logger: logger)
        let holder = SnapshotHolder()
        store = Store(
            pool: pool,
            sealingKey: configuration.sealingKey,
            fleetKey: try FleetKey(bytes: configuration.fleetKey.reveal()),
            registry: registry,
            applied: AppliedWaiter(nodes: nodes, holder: holder),
            committed: Beacon()
        )
        let compiler = SnapshotCompiler(store: store, signingKey: configuration.signingKey)
        keeper = SnapshotKeeper(compiler: compiler, holder: holder, store: store, logger: logger)
        publisher = Publisher(pool: pool, keeper: keeper, redis: redis, logger: logger)
        let isMigrated = ReadyFlag()
        self.isMigrated = isMigrated
        responder = AdminResponder(
            table: RouteTable(
                Self.routes(store: store, nodes: nodes, keeper: keeper, publisher: publisher, isMigrated: isMigrated)
            ),
            adminToken: adminToken,
            fleetToken: fleetToken,
            logger: logger
        )
    }
}
