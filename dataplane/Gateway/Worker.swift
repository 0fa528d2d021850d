// One worker: an event loop for clients paired with a Reactor for Redis and providers.

import Breaker
import LLMWire
import Limits
import Logging
import NIOCore
import Policy
import Reactor
import Snapshot
import Telemetry

/// The event loop's half of a worker; confined to its loop.
final class Worker {
    /// What finds the mailbox to the Reactor full is tried again then.
    private static let fullPause = TimeAmount.milliseconds(1)

    let loop: any EventLoop
    let bounds: GatewayBounds
    let agent: NodeAgent
    /// The breakers of all the node's dependencies, shared by its workers.
    let breakers: BreakerBoard
    let measures: WorkerMeasures
    let logger: Logger
    /// The configuration in force; nil until the node holds a snapshot.
    private(set) var active: ActiveSnapshot?
    /// Keys to refuse although the snapshot admits them, until an admin has confirmed a restored database.
    private(set) var heldKeys: Set<KeyID> = []
    private(set) var isDraining = false
    let counters: WorkerCounters
    private let commands: Mailbox<UpstreamCommand>
    /// Of this turn, and what found no room before: a few for each exchange at most.
    private var unsent: [UpstreamCommand] = []
    private var exchanges: [ExchangeID: Exchange] = [:]
    private var connections: [ObjectIdentifier: RequestHandler] = [:]
    /// Counts the prompts of this loop's requests.
    let promptMeter = PromptMeter()
    /// By `EnforcedProvider.index` of the configuration in force.
    private var retryBudgets: [RetryBudget] = []
    private var nextExchangeID: ExchangeID = 1
    private var random = RequestIDSource()
    private var generator = SystemRandomNumberGenerator()

    init(
        loop: any EventLoop,
        commands: Mailbox<UpstreamCommand>,
        bounds: GatewayBounds,
        agent: NodeAgent,
        breakers: BreakerBoard,
        measures: WorkerMeasures,
        counters: WorkerCounters,
        logger: Logger
    ) {
        self.loop = loop
        self.commands = commands
        self.bounds = bounds
        self.agent = agent
        self.breakers = breakers
        self.measures = measures
        self.counters = counters
        self.logger = logger
        measures.time(promptMeter)
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in bound.value.sweep() }
    }

    // MARK: Configuration

    func replace(_ active: ActiveSnapshot) {
        let providers = active.policies.providers
        let kept = self.active.map {
            Dictionary(zip($0.policies.providers.map(\.id), retryBudgets)) { first, _ in first }
        }
        retryBudgets = providers.map { kept?[$0.id] ?? RetryBudget() }
        self.active = active
    }

    func hold(_ keys: Set<KeyID>) { heldKeys = keys }

    // MARK: Connections

    /// - Returns: false when the worker has all the connections it takes.
    func add(_ handler: RequestHandler) -> Bool {
        guard connections.count < bounds.maxConnections else {
            counters.refusedConnections.add()
            return false
        }
        connections[ObjectIdentifier(handler)] = handler
        return true
    }

    func remove(_ handler: RequestHandler) { connections[ObjectIdentifier(handler)] = nil }

    /// Once a second: closes what is past its deadline.
    ///
    /// Costs one comparison per connection.
    private func sweep() {
        let now = MonotonicTime.now
        for handler in Array(connections.values) { handler.sweep(now: now) }
    }

    // MARK: Requests

    func makeRequestID() -> String { random.next() }

    func makeExchangeID() -> ExchangeID {
        defer { nextExchangeID += 1 }
        return nextExchangeID
    }

    /// A route of those that are left, drawn by weight.
    func drawRoute(of plan: RoutePlan) -> EnforcedRoute? { plan.draw(using: &generator) }

    /// Counts a first attempt at a provider of a snapshot, of which a share may be tried again.
    func earnRetry(_ provider: EnforcedProvider, of snapshot: ActiveSnapshot) {
        // A request of the snapshot before earns nothing; there are few.
        if snapshot === active { retryBudgets[provider.index].earn() }
    }

    /// Takes a retry of what failed at a provider out of its budget.
    ///
    /// - Returns: false when there is none left.
    func spendRetry(_ provider: EnforcedProvider, of snapshot: ActiveSnapshot) -> Bool {
        let index =
            snapshot === active ? provider.index : active?.policies.providers.firstIndex { $0.id == provider.id }
        guard let index else { return false }
        let isAllowed = retryBudgets[index].spend(now: .now)
        if !isAllowed { counters.refusedRetries.add() }
        return isAllowed
    }

    /// 0..<1, for waits that should not end all at once.
    func chance() -> Double { Double.random(in: 0..<1, using: &generator) }

    /// Hands an admitted request to the Reactor at the end of this turn of the loop.
    func forward(_ job: ForwardJob, for exchange: Exchange) {
        exchanges[job.id] = exchange
        send(.forward(job))
    }

    /// Commands of one turn cross together, with one wake at most.
    func send(_ command: UpstreamCommand) {
        if unsent.isEmpty { loop.assumeIsolated().execute { self.flush() } }
        unsent.append(command)
    }

    /// Hands the turn's commands over.
    ///
    /// When the mailbox is full new requests are refused. What is about requests that the Reactor has already waits for
    /// room: an end that it never heard of would leave it asking the provider for ever.
    private func flush() {
        var kept: [UpstreamCommand] = []
        for command in unsent {
            // In order: nothing overtakes what waits.
            if kept.isEmpty, commands.send(command) { continue }
            let id: ExchangeID
            switch command {
            case .forward(let job): id = job.id
            case .attempt(let exchange, _) where commands.isClosed, .giveUp(let exchange) where commands.isClosed:
                id = exchange
            case .attempt, .giveUp, .credit, .cancel:
                kept.append(command)
                continue
            }
            guard let exchange = exchanges.removeValue(forKey: id) else { continue }
            exchange.answer(.unavailable, origin: .gateway)
            exchange.recordUnanswered()
        }
        unsent.removeAll(keepingCapacity: true)
        guard !kept.isEmpty, !commands.isClosed else { return }
        unsent += kept
        loop.assumeIsolated().scheduleTask(in: Self.fullPause) { self.flush() }
    }

    /// Takes a turn's events from the Reactor.
    func receive(_ events: [UpstreamEvent]) {
        for event in events {
            guard let exchange = exchanges[event.id] else { continue }
            if event.summary != nil { exchanges[event.id] = nil }
            exchange.receive(event)
        }
    }

    var activeRequests: Int { exchanges.count }

    // MARK: Draining

    /// Lets requests in flight end and tells clients to come back elsewhere.
    ///
    /// A connection that is idle now may be about to carry a request, which closing it would break: it is answered, and
    /// the connection closed with that. What stays idle for the grace is closed then.
    func drain() {
        isDraining = true
        for handler in connections.values { closeAfterGrace(handler) }
    }

    /// Closes a connection that still carries no request when the drain's grace is over.
    func closeAfterGrace(_ handler: RequestHandler) {
        let bound = NIOLoopBound(handler, eventLoop: loop)
        loop.scheduleTask(in: .nanoseconds(Int64(bounds.drainIdleGrace / .nanoseconds(1)))) {
            bound.value.closeIfIdle()
        }
    }

    /// Cuts what is still in flight when the drain's time is over.
    func cutRemaining() {
        for exchange in Array(exchanges.values) { exchange.cut() }
    }

    var isIdle: Bool { connections.isEmpty && exchanges.isEmpty }
}
