// Finds out when Redis is back, and tells it what this node admitted meanwhile. On a thread and a connection of its own:
// one probe at a time for the whole node, whatever its workers do, and no request behind a merge.

import Breaker
import Limits
import Logging
import Reactor
import Telemetry

/// The node's prober and merger; any thread.
final class RedisKeeper: Sendable {
    /// Uses of one merge: less than the scripts' bound, because it runs beside requests that wait.
    static let maxUsesPerMerge = 64

    private let thread: ReactorHandle

    init(configuration: GatewayConfiguration, node: NodeLimits, metrics: MetricRegistry, logger: Logger) throws {
        thread = try ReactorHandle.start(name: "weir-redis") { reactor in
            let core = RedisKeeperCore(
                reactor: reactor,
                configuration: configuration,
                node: node,
                metrics: metrics,
                logger: logger
            )
            let mailbox = reactor.makeMailbox(capacity: 1_024) { (_: Void) in core.wake() }
            node.breaker.observe { _ in _ = mailbox.send(()) }
            node.onUnmerged { _ = mailbox.send(()) }
            core.wake()
        }
    }

    /// Ends the thread.
    func stop() { thread.stop() }
}

/// What lives on the keeper's Reactor.
private final class RedisKeeperCore {
    /// Merges on their way at a time.
    private static let maxFlights = 8
    /// Between two looks at the server's settings, which are the sign of life of an idle connection, too.
    private static let checkInterval = Duration.seconds(30)
    /// What decides alone for a moment after the breaker closed, until its connection is there, gathers for so long.
    private static let mergeDelay = Duration.milliseconds(50)

    private static let reserve = RedisScript(source: LimitScript.reserve.source)
    private static let merge = RedisScript(source: LimitScript.merge.source)
    /// Asked of a real script, which writes: a server that is read-only, full or busy answers a PING.
    private static let probeApp = Array("probe".utf8)
    private static let probeClaim = LimitClaim(
        rule: 0,
        counter: Array("probe".utf8),
        limit: 1 << 52,
        windowMilliseconds: 1_000,
        algorithm: .fixedWindow,
        unit: .requests,
        cost: 1,
        isShadow: false
    )

    private let reactor: Reactor
    private let node: NodeLimits
    private let logger: Logger
    private let metrics: LimitMetrics
    private let evicts: Gauge
    private let mergePrefix = String(UInt64.random(in: .min ... .max), radix: 16) + "-"
    private var connection: RedisConnection?
    private var timer: ReactorTimer?
    private var mergeTimer: ReactorTimer?
    /// The probe that is out.
    private var probe: UInt64?
    /// Batches whose answer was lost: sent again under the same name, so that they are merged once.
    private var unanswered: [(id: UInt64, batch: MergeBatch)] = []
    private var nextMerge: UInt64 = 0
    private var flights = 0
    private var mergeFailure: RedisFault?
    private var mergeEnd: ((RedisFault?) -> Void)?
    private var hasWarned = false

    init(
        reactor: Reactor,
        configuration: GatewayConfiguration,
        node: NodeLimits,
        metrics: MetricRegistry,
        logger: Logger
    ) {
        self.reactor = reactor
        self.node = node
        self.logger = logger
        self.metrics = LimitMetrics(metrics)
        evicts = metrics.gauge(
            "weir.redis.may.evict",
            help: "1 while Redis's maxmemory-policy lets it drop counters: limits are not exact then"
        )
        let deadline = configuration.bounds.redisDeadline
        connection = RedisConnection(
            reactor: reactor,
            configuration: RedisConfiguration(
                host: configuration.redisHost,
                port: configuration.redisPort,
                commandDeadline: deadline,
                // A stopped server accepts and says nothing: the next probe must not wait for long.
                connectDeadline: max(deadline * 5, .milliseconds(50))
            ),
            onStateChange: { [unowned self] in connectionChanged(to: $0) }
        )
        timer = reactor.makeTimer { [unowned self] in wake() }
        mergeTimer = reactor.makeTimer { [unowned self] in mergeLeftOver() }
    }

    private var now: Duration { reactor.now.sinceOrigin }

    // MARK: Probing

    /// The breaker changed, its backoff is over, or there is something to merge.
    func wake() {
        guard probe == nil else { return }
        switch node.breaker.admits(now: now) {
        case .admitted:
            if mergeTimer?.isPending == false { arm(mergeTimer, after: Self.mergeDelay) }
            if timer?.isPending == false { check() }
        case .refused(let until):
            arm(timer, after: max(until - now, .milliseconds(1)))
        case .probe(let generation):
            probe = generation
            if connection?.state == .ready { sendProbe() } else { connection?.connect() }
        }
    }

    private func connectionChanged(to state: RedisState) {
        switch state {
        case .ready:
            guard probe != nil else { return }
            // In the next turn, when everybody has heard of the connection.
            _ = reactor.schedule(after: .zero) { [weak self] in self?.sendProbe() }
        case .waiting(let failure):
            // No connection of its own accord: the breaker says when to try, and a name is resolved anew each time.
            _ = reactor.schedule(after: .zero) { [weak self] in
                self?.connection?.close()
                self?.endProbe(failure.fault)
            }
        case .connecting, .closed: break
        }
    }

    private func sendProbe() {
        guard let connection, let generation = probe else { return }
        let claims = [Self.probeClaim]
        let holder = LeaseHolder("probe")
        let call = ReserveScript.call(
            app: Self.probeApp,
            claims: claims,
            holder: holder,
            id: ReservationID(worker: 0, number: 0)
        )
        connection.evaluate(Self.reserve, keys: call.keys, arguments: call.arguments) { [self] result in
            guard probe == generation else { return }
            switch result {
            case .success(.array): merge { [self] failure in endProbe(failure) }
            case .success: endProbe(.protocolError)
            case .failure(let failure): endProbe(failure.fault)
            }
        }
    }

    private func endProbe(_ fault: RedisFault?) {
        guard let generation = probe else { return }
        probe = nil
        if let fault {
            metrics.count(fault)
            connection?.close()
            node.breaker.failed(generation: generation, now: now, reason: fault.rawValue)
        } else {
            node.breaker.succeeded(generation: generation, now: now)
        }
        wake()
    }

    // MARK: Merging

    /// After the breaker closed: what was decided alone until the workers' connections were there.
    private func mergeLeftOver() {
        guard probe == nil, flights == 0, node.asksRedis, node.hasUnmerged || !unanswered.isEmpty, let connection else {
            return
        }
        guard connection.state == .ready else {
            connection.connect()
            return arm(mergeTimer, after: Self.mergeDelay)
        }
        merge { [self] failure in
            guard let failure else { return }
            // Kept, and sent again; the workers notice by themselves when Redis is out.
            metrics.count(failure)
            arm(mergeTimer, after: Self.mergeDelay * 20)
        }
    }

    /// Sends all there is to merge, some at a time; `done` gets the failure that ended it, nil when all is merged.
    private func merge(_ done: @escaping (RedisFault?) -> Void) {
        mergeFailure = nil
        mergeEnd = done
        sendMerges()
    }

    private func sendMerges() {
        while mergeFailure == nil, flights < Self.maxFlights, let next = nextBatch() { send(next) }
        guard flights == 0 else { return }
        let done = mergeEnd.take()
        done?(mergeFailure)
    }

    private func nextBatch() -> (id: UInt64, batch: MergeBatch)? {
        if let again = unanswered.popLast() { return again }
        guard let batch = node.takeMerge() else { return nil }
        nextMerge += 1
        return (nextMerge, batch)
    }

    private func send(_ next: (id: UInt64, batch: MergeBatch)) {
        guard let connection else { return }
        flights += 1
        let call = MergeScript.call(
            app: next.batch.app,
            id: Array((mergePrefix + String(next.id)).utf8),
            uses: next.batch.uses
        )
        connection.evaluate(Self.merge, keys: call.keys, arguments: call.arguments) { [self] result in
            flights -= 1
            switch result {
            case .success:
                metrics.mergedUses.add(UInt64(next.batch.uses.count))
                node.finish(next.batch, isMerged: true)
            case .failure(let failure) where failure.fault.blame == .key:
                // The other counters of the batch were charged; this one nobody can count in.
                metrics.count(failure.fault)
                node.finish(next.batch, isMerged: false)
            case .failure(let failure):
                unanswered.append(next)
                mergeFailure = failure.fault
            }
            sendMerges()
        }
    }

    // MARK: The server's settings

    private func check() {
        arm(timer, after: Self.checkInterval)
        guard let connection else { return }
        guard connection.state == .ready else {
            connection.connect()
            // Once it is there; a server that does not answer is the workers' to find.
            arm(timer, after: .milliseconds(200))
            return
        }
        node.sweep()
        connection.command([Array("INFO".utf8), Array("memory".utf8)], deadline: .seconds(1)) { [self] result in
            guard case .success(.bulk(let text)) = result else { return }
            noteSettings(text)
        }
    }

    private func noteSettings(_ info: [UInt8]) {
        guard let policy = Self.value(of: "maxmemory_policy", in: info) else { return }
        let mayEvict = policy != "noeviction"
        evicts.set(mayEvict ? 1 : 0)
        guard mayEvict != hasWarned else { return }
        hasWarned = mayEvict
        guard mayEvict else { return }
        logger.warning(
            "redis may drop counters: limits are not exact until maxmemory-policy is noeviction",
            metadata: ["maxmemory_policy": "\(policy)"]
        )
    }

    /// The value of a line `name:value` of INFO.
    static func value(of name: String, in info: [UInt8]) -> String? {
        let lines = info.split { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
        let start = Array((name + ":").utf8)
        return lines.first { $0.starts(with: start) }.map { String(decoding: $0.dropFirst(start.count), as: UTF8.self) }
    }

    private func arm(_ timer: ReactorTimer?, after delay: Duration) {
        if let timer { reactor.arm(timer, at: .now + delay) }
    }
}
