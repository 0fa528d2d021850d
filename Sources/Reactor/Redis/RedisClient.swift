// Redis for code that awaits: the control plane, the command line and tests. The data plane uses RedisConnection.

internal import Synchronization

/// A Redis connection on a Reactor thread of its own, for `async` callers.
///
/// Any thread or task may use it. It reconnects by itself; a command that finds no connection fails at once.
public final class RedisClient: Sendable {
    /// What a subscriber hears.
    public enum SubscriptionEvent: Equatable, Sendable {
        /// The server has confirmed the subscription, also after a loss: look again at what messages announce.
        case ready
        /// A message.
        case message([UInt8])
        /// The connection is lost; messages may be missed until the next `ready`.
        case lost
    }

    /// Messages kept for a slow subscriber; beyond it the oldest are dropped.
    private static let bufferedEvents = 1024

    private let handle: ReactorHandle
    private let configuration: RedisConfiguration
    private let connection: ReactorBound<RedisConnection>
    private let readiness: Readiness

    private final class Readiness: Sendable {
        let isReady = Atomic<Bool>(false)
    }

    /// Starts a thread and connects.
    ///
    /// - Parameters:
    ///   - configuration: where to connect; the command deadline's default suits the data plane, so set it.
    ///   - name: the thread's name, at most 15 bytes.
    /// - Throws: when the machine has no descriptor or thread left to give.
    public init(_ configuration: RedisConfiguration, name: String = "redis") throws(ReactorError) {
        let (bound, readiness) = (ReactorBound<RedisConnection>(), Readiness())
        self.configuration = configuration
        self.readiness = readiness
        connection = bound
        handle = try ReactorHandle.start(name: name) { reactor in
            let connection = RedisConnection(reactor: reactor, configuration: configuration) { state in
                readiness.isReady.store(state == .ready, ordering: .releasing)
            }
            bound.set(connection, on: reactor)
            reactor.atStop { [unowned reactor] in
                connection.close()
                bound.set(nil, on: reactor)
            }
            connection.connect()
        }
    }

    deinit { handle.stop() }

    /// Whether commands are being sent now.
    public var isReady: Bool { readiness.isReady.load(ordering: .acquiring) }

    /// Waits for a connection; for start-up and tests.
    ///
    /// - Parameter limit: how long to wait.
    /// - Returns: whether it is there.
    public func waitUntilReady(within limit: Duration) async -> Bool {
        let due = MonotonicTime.now + limit
        while !isReady {
            guard MonotonicTime.now < due, !Task.isCancelled else { return false }
            do { try await Task.sleep(for: .milliseconds(5)) } catch { return isReady }
        }
        return true
    }

    /// Sends a command.
    ///
    /// - Parameters:
    ///   - arguments: the command's name and its arguments, any bytes.
    ///   - deadline: in place of the configuration's.
    /// - Returns: the answer.
    /// - Throws: an error reply, or why there is no answer.
    public func command(_ arguments: [[UInt8]], deadline: Duration? = nil) async throws(RedisFailure) -> RedisReply {
        try await ask { connection, answer in connection.command(arguments, deadline: deadline, answer) }
    }

    /// Sends a command whose arguments are text.
    ///
    /// - Parameter arguments: the command's name and its arguments.
    /// - Returns: the answer.
    /// - Throws: an error reply, or why there is no answer.
    public func command(_ arguments: String...) async throws(RedisFailure) -> RedisReply {
        try await command(arguments.map { Array($0.utf8) })
    }

    /// Runs a script by its digest, and by its text when the server does not know it yet.
    ///
    /// - Parameters:
    ///   - script: the script.
    ///   - keys: its `KEYS`.
    ///   - arguments: its `ARGV`.
    /// - Returns: the answer.
    /// - Throws: an error reply, or why there is no answer.
    public func evaluate(
        _ script: RedisScript,
        keys: [[UInt8]],
        arguments: [[UInt8]]
    ) async throws(RedisFailure) -> RedisReply {
        try await ask { connection, answer in
            connection.evaluate(script, keys: keys, arguments: arguments, answer)
        }
    }

    /// Follows a channel over a connection of its own until the stream is dropped.
    public func subscribe(to channel: [UInt8]) -> AsyncStream<SubscriptionEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: SubscriptionEvent.self,
            bufferingPolicy: .bufferingNewest(Self.bufferedEvents)
        )
        let bound = ReactorBound<RedisConnection>()
        let configuration = configuration
        let isStarted = handle.post { reactor in
            let connection = RedisConnection(reactor: reactor, configuration: configuration)
            bound.set(connection, on: reactor)
            connection.subscribe(
                to: channel,
                onMessage: { continuation.yield(.message($0)) },
                onReady: { continuation.yield(.ready) },
                onLoss: { continuation.yield(.lost) }
            )
            reactor.atStop { [unowned reactor] in
                bound.value(on: reactor)?.close()
                bound.set(nil, on: reactor)
                continuation.finish()
            }
            connection.connect()
        }
        guard isStarted else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak handle] _ in
            // When the Reactor has ended, it has closed the connection itself.
            handle?.post { reactor in
                bound.value(on: reactor)?.close()
                bound.set(nil, on: reactor)
            }
        }
        return stream
    }

    /// Runs `question` where the connection is and waits for its one answer.
    private func ask(
        _ question: @escaping @Sendable (RedisConnection, @escaping (Result<RedisReply, RedisFailure>) -> Void) -> Void
    ) async throws(RedisFailure) -> RedisReply {
        let (handle, bound) = (handle, connection)
        let result: Result<RedisReply, RedisFailure> = await withCheckedContinuation { continuation in
            let isAsked = handle.post { reactor in
                guard let connection = bound.value(on: reactor) else {
                    return continuation.resume(returning: .failure(.notConnected))
                }
                question(connection) { continuation.resume(returning: $0) }
            }
            if !isAsked { continuation.resume(returning: .failure(.notConnected)) }
        }
        return try result.get()
    }

    /// Closes the connections and ends the thread; commands that wait fail as `connectionLost`.
    public func close() { handle.stop() }
}
