// A gateway node, put together: workers, listener, node agent; started, drained and stopped in the right order.

import Breaker
private import Glibc
public import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Policy
import Reactor
import Snapshot
import Telemetry

/// One node of the data plane.
public final class GatewayServer: Sendable {
    /// Connections that the kernel may hold for us before they are accepted.
    private static let listenBacklog: Int32 = 4_096

    private let configuration: GatewayConfiguration
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let agent: NodeAgent
    private let pairs: [WorkerPair]
    private let keeper: RedisKeeper
    private let listener: any Channel

    /// The port that the node listens on.
    public var port: Int { listener.localAddress?.port ?? configuration.port }

    /// Starts a node; returns when it listens.
    ///
    /// It answers 503 until it holds a snapshot.
    ///
    /// - Parameters:
    ///   - configuration: what the node is told.
    ///   - telemetry: what the node measures and traces, and for whom.
    ///   - logger: where the node logs.
    /// - Throws: when the address is taken, a TLS file is bad or the machine has no resources left.
    public init(
        _ configuration: GatewayConfiguration,
        telemetry: GatewayTelemetry = GatewayTelemetry(),
        logger: Logger
    ) throws {
        self.configuration = configuration
        self.logger = logger
        let metrics = telemetry.registry
        let caps = ModelLabelCaps()
        let tls = try configuration.tlsFiles.map { try TLSFiles.context(certificate: $0.certificate, key: $0.key) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.workers)
        self.group = group
        let breakers = BreakerBoard(onNew: BreakerMetrics.show(in: metrics))
        let liveNodes = LiveNodes()
        let limits = NodeLimits(breakers: breakers, liveNodes: liveNodes, logger: logger)
        let pairs = try Array(group.makeIterator()).enumerated().map { index, loop in
            try WorkerPair(
                loop: loop,
                index: index,
                configuration: configuration,
                limits: limits,
                breakers: breakers,
                telemetry: telemetry,
                caps: caps,
                logger: logger
            )
        }
        self.pairs = pairs
        keeper = try RedisKeeper(configuration: configuration, node: limits, metrics: metrics, logger: logger)
        let fleetKey = configuration.fleetKey
        let calibrations = TokenCalibrations(metrics)
        let healths = ProviderHealths(board: breakers, metrics: metrics)
        agent = try NodeAgent(
            configuration.node,
            registry: .standard,
            breakers: breakers,
            totals: { pairs.reduce(into: RequestTotals()) { $0 += $1.totals } },
            metrics: metrics,
            logger: logger,
            onHeldKeys: { keys in for pair in pairs { pair.hold(keys) } },
            onSnapshot: { snapshot in
                Vocabularies.load(for: snapshot, logger)
                let active = ActiveSnapshot(
                    snapshot,
                    fleetKey: fleetKey,
                    calibrations: calibrations,
                    healths: healths
                ) { provider, error in
                    logger.error(
                        "credential does not open",
                        metadata: ["provider": "\(provider.id)", "reason": "\(error)"]
                    )
                }
                for pair in pairs { pair.replace(active) }
            }
        )
        liveNodes.follow(agent)
        for pair in pairs { try pair.start(agent) }
        let workers = Dictionary(uniqueKeysWithValues: pairs.map { (ObjectIdentifier($0.loop), $0) })
        let acceptFailures = metrics.counter(
            "weir.accept.failures",
            help: "connections not accepted for want of descriptors or memory"
        )
        listener = try ServerBootstrap(group: group)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause { acceptFailures.add() })
                }
            }
            .serverChannelOption(.backlog, value: Self.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let pair = workers[ObjectIdentifier(channel.eventLoop)] else { return }
                    try ChannelSetup.addHandlers(to: channel, worker: pair.worker, tls: tls)
                }
            }
            .bind(host: configuration.host, port: configuration.port)
            .wait()
        agent.start()
    }

    /// Drains and stops: readiness first, then the listener, then requests in flight, then usage.
    ///
    /// Blocks at most the drain's delay and time-out and a few seconds; call it from a thread of its own.
    public func stop() throws {
        logger.info("draining")
        for pair in pairs { pair.drain() }
        pause(configuration.bounds.drainDelay)
        try listener.close().wait()
        let deadline = MonotonicTime.now + configuration.bounds.drainTimeout
        while MonotonicTime.now < deadline, try pairs.contains(where: { try !$0.isIdle() }) {
            pause(.milliseconds(20))
        }
        for pair in pairs { pair.cutRemaining() }
        let cutDeadline = MonotonicTime.now + .seconds(2)
        while MonotonicTime.now < cutDeadline, try pairs.contains(where: { try !$0.isIdle() }) {
            pause(.milliseconds(20))
        }
        agent.drain(deadline: configuration.bounds.usageDrainTimeout)
        for pair in pairs { pair.stop() }
        keeper.stop()
        try group.syncShutdownGracefully()
        logger.info("stopped")
    }

    private func pause(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        var request = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        unsafe nanosleep(&request, nil)  // a signal may cut it short, which only makes the drain look sooner
    }
}
