// The pool's state on its Reactor: who has which session, who waits for one, when to open another.

import Reactor

/// Sessions, waiters and leases of one pool.
///
/// Confined to its Reactor.
final class PoolCore {
    /// Callers that wait at most; the next one is told at once.
    static let maxWaiters = 4096
    /// After a failed attempt, while other sessions still serve: time for the server to recover.
    private static let reopenDelay: Duration = .milliseconds(100)

    private struct Waiter {
        let timer: ReactorTimer
        let done: (Result<Session, PostgresError>) -> Void
    }

    private unowned let reactor: Reactor
    private let configuration: PostgresConfiguration
    private let options: ConnectionOptions
    private(set) lazy var listener = Listener(reactor: reactor, options: options, configuration: configuration)

    private let gauges: PoolGauges
    private var sessions: [ObjectIdentifier: Session] = [:] { didSet { gauges.set(open: sessions.count) } }
    private var connectingCount = 0
    private var idle: [Session] = [] { didSet { gauges.set(idle: idle.count) } }
    private var waiters: [UInt64: Waiter] = [:] { didSet { gauges.set(waiting: waiters.count) } }
    private var waiterOrder: [UInt64] = []  // may name waiters that are gone
    private var waiterHead = 0
    private var leases: [UInt64: Session] = [:]
    private var reopenTimer: ReactorTimer?
    private var isClosing = false
    private var closed: [() -> Void] = []

    init(
        reactor: Reactor,
        configuration: PostgresConfiguration,
        options: ConnectionOptions,
        gauges: PoolGauges
    ) {
        self.gauges = gauges
        self.reactor = reactor
        self.configuration = configuration
        self.options = options
    }

    // MARK: Statements

    /// Runs the operation on any session.
    func run(_ ticket: UInt64, _ work: Operation.Work, done: @escaping (Result<Answer, PostgresError>) -> Void) {
        acquire(ticket) { [unowned self] outcome in
            switch outcome {
            case .failure(let error): done(.failure(error))
            case .success(let session):
                run(work, on: session) { [unowned self] outcome in
                    release(session)
                    done(outcome)
                }
            }
        }
    }

    /// Runs the operation on a leased session.
    func run(leased lease: UInt64, _ work: Operation.Work, done: @escaping (Result<Answer, PostgresError>) -> Void) {
        guard let session = leases[lease] else {
            let message = "the connection was given back to its pool"
            return done(.failure(PostgresError(kind: .other, message: message)))
        }
        run(work, on: session, done: done)
    }

    private func run(
        _ work: Operation.Work,
        on session: Session,
        done whenDone: @escaping (Result<Answer, PostgresError>) -> Void
    ) {
        let start = MonotonicTime.now
        let done = { [unowned self] (outcome: Result<Answer, PostgresError>) in
            observe(since: start, outcome.failureKind)
            whenDone(outcome)
        }
        guard case .script = work else {
            // A little more than the server's own bound, whose error is the better one and keeps the connection.
            let timeout = configuration.statementTimeout + Self.grace
            return session.run(Operation(work: work, timeout: timeout, done: done))
        }
        // A script may leave settings behind, and gets a bound of its own here.
        session.isSpent = true
        let bound = "SET statement_timeout = \(configuration.scriptTimeout.wholeMilliseconds)"
        session.run(
            Operation(work: .command(bound), timeout: configuration.statementTimeout + Self.grace) {
                [configuration] outcome in
                if case .failure = outcome { return done(outcome) }
                let timeout = configuration.scriptTimeout + Self.grace
                session.run(Operation(work: work, timeout: timeout, done: done))
            }
        )
    }

    private func observe(since start: MonotonicTime, _ failure: PostgresError.Kind?) {
        configuration.onStatement?(MonotonicTime.now.nanoseconds &- start.nanoseconds, failure)
    }

    /// How much longer than the server's timeout we wait for its word.
    private static let grace: Duration = .milliseconds(250)

    // MARK: Leases

    /// Lends a session under the ticket's number until ``giveBack(_:discarding:)``.
    func lease(_ ticket: UInt64, done: @escaping (Result<Void, PostgresError>) -> Void) {
        acquire(ticket) { [unowned self] outcome in
            if case .success(let session) = outcome { leases[ticket] = session }
            done(outcome.map { _ in })
        }
    }

    func giveBack(_ lease: UInt64, discarding: Bool) {
        guard let session = leases.removeValue(forKey: lease) else { return }
        if discarding { session.isSpent = true }
        release(session)
    }

    // MARK: Sessions

    /// Whether some session is logged in.
    private var hasEstablished: Bool { sessions.count > connectingCount }

    private func acquire(_ ticket: UInt64, done: @escaping (Result<Session, PostgresError>) -> Void) {
        guard !isClosing else { return done(.failure(Self.closedError)) }
        let start = MonotonicTime.now
        // A statement that finds no connection has failed as much as one that the server refuses.
        let done = { [unowned self] (outcome: Result<Session, PostgresError>) in
            if case .failure(let error) = outcome { observe(since: start, error.kind) }
            done(outcome)
        }
        // The one used last has the warmest caches. Those whose server went away have left: the loop looks at sockets
        // before it takes messages.
        if waiters.isEmpty, let session = idle.popLast() { return done(.success(session)) }
        guard waiters.count < Self.maxWaiters else {
            let message = "\(Self.maxWaiters) callers wait for a connection already"
            return done(.failure(PostgresError(kind: .poolExhausted, message: message)))
        }
        let timer = reactor.schedule(after: configuration.acquireTimeout) { [unowned self] in
            fail(
                ticket,
                hasEstablished
                    ? PostgresError(kind: .poolExhausted, message: "no connection became free in time")
                    : PostgresError(kind: .timeout, message: "the server did not take a connection in time")
            )
        }
        waiters[ticket] = Waiter(timer: timer, done: done)
        waiterOrder.append(ticket)
        openIfUseful()
    }

    /// Takes a caller that was cancelled out of the queue; a no-op when it was served.
    func cancel(_ ticket: UInt64) {
        fail(ticket, PostgresError(kind: .cancelled, message: "cancelled while waiting for a connection"))
    }

    private func fail(_ ticket: UInt64, _ error: PostgresError) {
        guard let waiter = waiters.removeValue(forKey: ticket) else { return }
        reactor.cancel(waiter.timer)
        waiter.done(.failure(error))
    }

    private func nextWaiter() -> Waiter? {
        while waiterHead < waiterOrder.count {
            let ticket = waiterOrder[waiterHead]
            waiterHead += 1
            if waiterHead > 256, waiterHead * 2 > waiterOrder.count {
                waiterOrder.removeFirst(waiterHead)
                waiterHead = 0
            }
            if let waiter = waiters.removeValue(forKey: ticket) { return waiter }
        }
        waiterOrder.removeAll(keepingCapacity: true)
        waiterHead = 0
        return nil
    }

    private func openIfUseful() {
        guard !isClosing, reopenTimer == nil else { return }
        while connectingCount < waiters.count, sessions.count < configuration.maxConnections { open() }
    }

    private func open() {
        let session = Session(reactor: reactor)
        sessions[ObjectIdentifier(session)] = session
        connectingCount += 1
        session.onClose = { [unowned self, unowned session] in didClose(session) }
        session.connect(options, timeout: configuration.connectTimeout) { [unowned self, unowned session] outcome in
            connectingCount -= 1
            switch outcome {
            case .success: offer(session)
            case .failure(let error):
                remove(session)
                didFailToConnect(error)
            }
        }
    }

    private func didFailToConnect(_ error: PostgresError) {
        guard !isClosing, connectingCount == 0 || hasEstablished else { return }  // others will know in a moment
        guard !hasEstablished else {
            guard reopenTimer == nil else { return }
            reopenTimer = reactor.schedule(after: Self.reopenDelay) { [unowned self] in
                reopenTimer = nil
                openIfUseful()
            }
            return
        }
        // There is no session and none on its way: everybody who waits would only learn the same later.
        let failed = waiters
        waiters = [:]
        waiterOrder = []
        waiterHead = 0
        for waiter in failed.values {
            reactor.cancel(waiter.timer)
            waiter.done(.failure(error))
        }
    }

    private func offer(_ session: Session) {
        guard !isClosing else { return session.close(Self.closedError) }
        if let waiter = nextWaiter() {
            reactor.cancel(waiter.timer)
            waiter.done(.success(session))
        } else {
            idle.append(session)
        }
    }

    private func release(_ session: Session) {
        guard !session.isClosed else { return }
        guard !session.isSpent, session.isIdle, session.isOutsideTransaction else {
            let message = "discarded: a statement, a transaction or settings were left behind"
            return session.close(PostgresError(kind: .connection, message: message))
        }
        offer(session)
    }

    private func didClose(_ session: Session) {
        idle.removeAll { $0 === session }
        remove(session)
        openIfUseful()
    }

    private func remove(_ session: Session) {
        sessions[ObjectIdentifier(session)] = nil
        if isClosing, sessions.isEmpty {
            let waiting = closed
            closed = []
            for done in waiting { done() }
        }
    }

    // MARK: The end

    private static let closedError = PostgresError(kind: .connection, message: "the pool is closed")

    /// Refuses new work, lets what is under way finish within the statement's bound, then closes every connection.
    func close(done: @escaping () -> Void) {
        isClosing = true
        listener.close()
        for ticket in Array(waiters.keys) { fail(ticket, Self.closedError) }
        for session in idle { session.close(Self.closedError) }
        guard !sessions.isEmpty else { return done() }
        closed.append(done)
        _ = reactor.schedule(after: configuration.statementTimeout + Self.grace) { [unowned self] in closeAtOnce() }
    }

    /// Closes every connection, whatever is under way on it.
    func closeAtOnce() {
        isClosing = true
        listener.close()
        for ticket in Array(waiters.keys) { fail(ticket, Self.closedError) }
        for session in Array(sessions.values) { session.close(Self.closedError) }
    }
}

extension Result where Failure == PostgresError {
    fileprivate var failureKind: PostgresError.Kind? {
        guard case .failure(let error) = self else { return nil }
        return error.kind
    }
}
