// An event loop and the Reactor paired with it, seen from the outside: the one place that knows both threads.

import Breaker
import Limits
import Logging
import NIOCore
import Reactor
import Snapshot
private import Synchronization
import Telemetry

/// One worker as the rest of the node sees it; safe to use from any thread.
final class WorkerPair: Sendable {
    /// Commands that may wait for a Reactor: more than a worker's connections, so a full queue means a stuck thread.
    private static let commandCapacity = 1 << 15

    let loop: any EventLoop
    private let breakers: BreakerBoard
    private let reactor: ReactorHandle
    private let inbox: LoopInbox
    private let commands: Mailbox<UpstreamCommand>
    private let bounds: GatewayBounds
    private let counters: WorkerCounters
    private let telemetry: GatewayTelemetry
    private let caps: ModelLabelCaps
    private let scheme: URLScheme
    private let logger: Logger
    private let bound: NIOLoopBoundBox<Worker?>

    init(
        loop: any EventLoop,
        index: Int,
        configuration: GatewayConfiguration,
        limits node: NodeLimits,
        breakers: BreakerBoard,
        telemetry: GatewayTelemetry,
        caps: ModelLabelCaps,
        logger: Logger
    ) throws {
        self.loop = loop
        self.breakers = breakers
        self.logger = logger
        bounds = configuration.bounds
        self.telemetry = telemetry
        self.caps = caps
        scheme = configuration.tlsFiles == nil ? .http : .https
        counters = WorkerCounters(telemetry.registry)
        let inbox = LoopInbox(loop: loop)
        self.inbox = inbox
        bound = NIOLoopBoundBox.makeEmptyBox(eventLoop: loop)
        let mailbox = Mutex<Mailbox<UpstreamCommand>?>(nil)
        let metrics = LimitMetrics(telemetry.registry, measures: telemetry.isOn)
        reactor = try ReactorHandle.start(name: "weir-io-\(index)") { reactor in
            let limits = LimitGate(
                reactor: reactor,
                configuration: configuration,
                node: node,
                metrics: metrics
            )
            let forwarder = Forwarder(
                reactor: reactor,
                client: HTTPClient(reactor: reactor),
                limits: limits,
                inbox: inbox,
                bounds: configuration.bounds,
                telemetry: telemetry
            )
            let made = reactor.makeMailbox(capacity: Self.commandCapacity) { (command: UpstreamCommand) in
                forwarder.receive(command)
            }
            mailbox.withLock { $0 = made }
        }
        guard let commands = mailbox.withLock({ $0 }) else { preconditionFailure("set up before start returns") }
        self.commands = commands
    }

    /// The worker itself; only on its loop.
    var worker: Worker {
        guard let worker = bound.value else { preconditionFailure("started before it listens") }
        return worker
    }

    /// Makes the worker on its loop; before the first connection.
    func start(_ agent: NodeAgent) throws {
        try loop.submit {
            let worker = Worker(
                loop: self.loop,
                commands: self.commands,
                bounds: self.bounds,
                agent: agent,
                breakers: self.breakers,
                measures: WorkerMeasures(
                    self.telemetry,
                    caps: self.caps,
                    scheme: self.scheme,
                    logger: self.logger
                ),
                counters: self.counters,
                logger: self.logger
            )
            self.bound.value = worker
            self.inbox.setReceiver { events in worker.receive(events) }
        }.wait()
    }

    /// Puts a new configuration in force: a message like any other, so no request sees half of it.
    func replace(_ active: ActiveSnapshot) {
        loop.execute { self.bound.value?.replace(active) }
    }

    /// Refuses these keys from now on, in order with the configurations.
    func hold(_ keys: Set<KeyID>) {
        loop.execute { self.bound.value?.hold(keys) }
    }

    /// What its worker has brought to an end so far; any thread.
    var totals: RequestTotals { counters.totals }

    func drain() { loop.execute { self.bound.value?.drain() } }

    func cutRemaining() { loop.execute { self.bound.value?.cutRemaining() } }

    func isIdle() throws -> Bool { try loop.submit { self.bound.value?.isIdle ?? true }.wait() }

    func stop() { reactor.stop() }
}

/// How many nodes share the limits, as the control plane last said; read only while Redis is out.
final class LiveNodes: Sendable {
    private let agent = Mutex<NodeAgent?>(nil)

    var place: FleetPlace { agent.withLock { $0?.place } ?? .alone }

    func follow(_ agent: NodeAgent?) { self.agent.withLock { $0 = agent } }
}
