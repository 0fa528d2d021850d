// PostgreSQL for async code: a bounded pool whose connections live on a Reactor thread of their own.

private import Reactor
private import Synchronization

/// A bounded pool of connections; any thread.
///
/// A statement that was sent runs to its end, which the statement timeout bounds, even when its caller's task is
/// cancelled meanwhile: so nobody is left in doubt and the connection stays whole. Cancellation ends the wait for a
/// connection, and keeps the next statement from being sent.
public final class PostgresPool: Sendable {
    /// Waits its turn for the pool's thread; each caller has at most one at a time, so that the bound is generous.
    private static let mailboxCapacity = 1 << 16

    typealias Work = @Sendable (PoolCore) -> Void

    private let thread: ReactorHandle
    private let mailbox: Mailbox<Work>
    private let nextTicket = Atomic<UInt64>(1)

    /// How the pool stands.
    public let gauges = PoolGauges()

    /// Starts the pool's thread; connections are opened when they are needed.
    ///
    /// - Throws: when the connection string cannot be read or the machine has no thread to give.
    public init(_ configuration: PostgresConfiguration) throws(PostgresError) {
        precondition(configuration.maxConnections > 0, "a pool has at least one connection")
        let options = try ConnectionOptions(configuration, statementTimeout: configuration.statementTimeout)
        let handoff = Handoff()
        let gauges = gauges
        do throws(ReactorError) {
            thread = try ReactorHandle.start(name: "postgres") { reactor in
                let core = PoolCore(reactor: reactor, configuration: configuration, options: options, gauges: gauges)
                let mailbox: Mailbox<Work> = reactor.makeMailbox(capacity: Self.mailboxCapacity) { work in work(core) }
                handoff.mailbox.withLock { $0 = mailbox }
            }
        } catch {
            throw PostgresError(kind: .other, message: "no thread for the pool: \(error)")
        }
        guard let mailbox = handoff.mailbox.withLock({ $0 }) else { preconditionFailure("the set-up has run") }
        self.mailbox = mailbox
    }

    deinit {
        // No statement is under way: each holds the pool. Listeners and idle connections are ended before the thread is;
        // a full mailbox, which nobody is left to fill, would only leave that to the end of the process.
        _ = mailbox.send { core in core.closeAtOnce() }
    }

    private final class Handoff: Sendable {
        let mailbox = Mutex<Mailbox<Work>?>(nil)
    }

    // MARK: Statements

    /// Runs one statement and returns its rows.
    ///
    /// Prepared once per connection and text.
    ///
    /// - Parameters:
    ///   - sql: one statement; `$1`, `$2`, … stand for the parameters. Not to be made from input.
    ///   - parameters: sent beside the statement, never as part of it.
    /// - Returns: the rows; none for a statement that returns none.
    /// - Throws: what went wrong, sorted by what can be done.
    public func query(_ sql: String, _ parameters: [PostgresValue] = []) async throws(PostgresError) -> [PostgresRow] {
        try await run(statement: sql, parameters).table?.rows ?? []
    }

    /// Runs one statement and returns how many rows it changed.
    ///
    /// - Parameters:
    ///   - sql: one statement; `$1`, `$2`, … stand for the parameters. Not to be made from input.
    ///   - parameters: sent beside the statement, never as part of it.
    /// - Returns: the count the server reports.
    /// - Throws: what went wrong, sorted by what can be done.
    @discardableResult
    public func execute(_ sql: String, _ parameters: [PostgresValue] = []) async throws(PostgresError) -> Int {
        try await run(statement: sql, parameters).affected
    }

    /// Runs many statements, such as a migration, as one simple query: in one transaction unless they say otherwise.
    ///
    /// Its connection is closed afterwards, and what the script set on it with it.
    public func runScript(_ sql: String) async throws(PostgresError) {
        let text = try PostgresValue.withoutNUL(sql)
        _ = try await waiting { ticket, core, done in core.run(ticket, .script(text), done: done) }
    }

    private func run(statement sql: String, _ parameters: [PostgresValue]) async throws(PostgresError) -> Answer {
        let text = try PostgresValue.withoutNUL(sql)
        let encoded = try EncodedParameters(parameters)
        return try await waiting { ticket, core, done in core.run(ticket, .statement(text, encoded), done: done) }
    }

    // MARK: Connections

    /// Lends one connection to the body.
    ///
    /// When the body throws, the connection is closed, because nobody knows what it left on it (locks, settings); after
    /// a normal end it goes back, and the body has undone what it did to the session.
    ///
    /// - Parameter body: gets the connection, which is of no use after it returned.
    /// - Returns: what the body returns.
    /// - Throws: what the body throws; a ``PostgresError`` when there is no connection.
    @discardableResult
    public func withConnection<R: Sendable>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        let connection = try await lease()
        do {
            let result = try await body(connection)
            giveBack(connection, discarding: false)
            return result
        } catch {
            giveBack(connection, discarding: true)
            throw error
        }
    }

    /// Runs the body in a transaction: committed when it returns, rolled back when it throws.
    ///
    /// After a serialization failure or a deadlock it is run again from its start, at most three times more; so it has
    /// no effects but those on the connection.
    ///
    /// - Parameters:
    ///   - isolation: how much it sees of the others.
    ///   - body: gets the connection, which is of no use after it returned.
    /// - Returns: what the body returned in the run that was committed.
    /// - Throws: what the body throws; a ``PostgresError`` when the transaction could not begin or commit.
    @discardableResult
    public func transaction<R: Sendable>(
        isolation: PostgresIsolation = .readCommitted,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        var retries = 0
        while true {
            let connection = try await lease()
            do {
                try await connection.begin(isolation)
                let result = try await body(connection)
                try await connection.commit()
                giveBack(connection, discarding: false)
                return result
            } catch {
                // After a successful rollback the connection is as before; otherwise it is found out and closed.
                await connection.rollBack()
                giveBack(connection, discarding: false)
                guard connection.hasSerializationFailure, retries < Self.maxRetries, !Task.isCancelled else {
                    throw error
                }
                retries += 1
                // Not all at once again: each waits for up to 10, 20, 40 ms. A cancelled wait only ends early.
                let bound = 10 << (retries - 1)
                do { try await Task.sleep(for: .milliseconds(Int.random(in: 1...bound))) } catch { throw error }
            }
        }
    }

    private static let maxRetries = 3

    private func lease() async throws(PostgresError) -> PostgresConnection {
        let lease: UInt64 = try await waiting { ticket, core, done in
            core.lease(ticket) { outcome in done(outcome.map { ticket }) }
        }
        return PostgresConnection(pool: self, lease: lease)
    }

    private func giveBack(_ connection: PostgresConnection, discarding: Bool) {
        let lease = connection.lease
        // A full mailbox would leak the session; it cannot be full of callers that each have one message in it.
        let isAccepted = mailbox.send { core in core.giveBack(lease, discarding: discarding) }
        precondition(isAccepted, "65,536 messages wait: the pool's thread is stuck")
    }

    // MARK: Notifications

    /// The payloads sent to a channel, from a connection of its own that is opened again when it breaks.
    ///
    /// Gives "" whenever listening began, at first and after each reconnection: notifications before that were missed,
    /// so it is time to look into the tables. A reader that falls behind loses the oldest payloads.
    ///
    /// - Parameter channel: the name as in `NOTIFY "channel"`, case included; at most 63 bytes.
    /// - Returns: a stream that ends when the pool is closed.
    public func listen(_ channel: String) -> AsyncStream<String> {
        precondition(!channel.isEmpty && channel.utf8.count < 64 && !channel.utf8.contains(0), "a channel's name")
        let number = ticket()
        let (stream, continuation) = AsyncStream.makeStream(
            of: String.self,
            bufferingPolicy: .bufferingNewest(Self.maxBufferedNotifications)
        )
        let mailbox = mailbox
        continuation.onTermination = { _ in
            // Refused only by a thread that is stuck; then there is nothing to unsubscribe from either.
            _ = mailbox.send { core in core.listener.unsubscribe(number: number, from: channel) }
        }
        let isAccepted = mailbox.send { core in
            core.listener.subscribe(continuation, number: number, to: channel)
        }
        if !isAccepted { continuation.finish() }
        return stream
    }

    private static let maxBufferedNotifications = 1024

    // MARK: The end

    /// Refuses new work, lets statements under way finish within their bound, and closes the connections.
    public func close() async {
        await withCheckedContinuation { continuation in
            let isAccepted = mailbox.send { core in core.close { continuation.resume() } }
            if !isAccepted { continuation.resume() }
        }
    }

    // MARK: Crossing over

    /// Calls `start` on the pool's thread and waits for its answer; leaves the queue for a connection when cancelled.
    private func waiting<R: Sendable>(
        _ start: @escaping @Sendable (UInt64, PoolCore, @escaping (Result<R, PostgresError>) -> Void) -> Void
    ) async throws(PostgresError) -> R {
        guard !Task.isCancelled else { throw Self.cancelledError }
        let ticket = ticket()
        let mailbox = mailbox
        let outcome = await withTaskCancellationHandler {
            await Self.crossing(mailbox) { core, done in
                start(ticket, core, done)
            } afterSending: {
                // The handler below may have run before there was a ticket to cancel.
                if Task.isCancelled { _ = mailbox.send { core in core.cancel(ticket) } }
            }
        } onCancel: {
            _ = mailbox.send { core in core.cancel(ticket) }
        }
        return try outcome.get()
    }

    /// Calls `start` on the pool's thread for a leased connection.
    ///
    /// Not cancelled: a transaction must be ended by a cancelled task, too.
    func run(leased lease: UInt64, _ work: Operation.Work) async -> Result<Answer, PostgresError> {
        await Self.crossing(mailbox) { core, done in
            core.run(leased: lease, work, done: done)
        } afterSending: {
        }
    }

    private static func crossing<R: Sendable>(
        _ mailbox: Mailbox<Work>,
        _ start: @escaping @Sendable (PoolCore, @escaping (Result<R, PostgresError>) -> Void) -> Void,
        afterSending: () -> Void
    ) async -> Result<R, PostgresError> {
        await withCheckedContinuation { continuation in
            let isAccepted = mailbox.send { core in
                start(core) { outcome in continuation.resume(returning: outcome) }
            }
            guard isAccepted else {
                let message = "\(mailboxCapacity) messages wait for the pool's thread"
                let error = PostgresError(kind: .poolExhausted, message: message)
                return continuation.resume(returning: .failure(error))
            }
            afterSending()
        }
    }

    private func ticket() -> UInt64 { nextTicket.wrappingAdd(1, ordering: .relaxed).oldValue }

    static let cancelledError = PostgresError(kind: .cancelled, message: "the task is cancelled")
}
