// The pool's one listening connection: every channel on it, opened again whenever it breaks.

import Reactor

/// Subscriptions to channels, over a session outside the pool's bound.
///
/// Confined to its Reactor. A notification only wakes: whoever gets one looks into the tables, and "" says that
/// notifications may have been missed, so that it is time to look.
final class Listener {
    /// Between attempts to connect: the first, and the most.
    private static let backoff = (first: Duration.milliseconds(50), most: Duration.seconds(1))
    /// A peer that is gone without a word, or stopped, is noticed by a statement it does not answer.
    private static let probeInterval: Duration = .seconds(5)

    typealias Subscriber = AsyncStream<String>.Continuation

    private unowned let reactor: Reactor
    private let options: ConnectionOptions
    private let configuration: PostgresConfiguration
    private var subscribers: [String: [UInt64: Subscriber]] = [:]
    /// What the session's LISTENs cover.
    private var established: Set<String> = []
    private var session: Session?
    private var delay = Listener.backoff.first
    private var timer: ReactorTimer?
    private var isClosed = false

    init(reactor: Reactor, options: ConnectionOptions, configuration: PostgresConfiguration) {
        self.reactor = reactor
        self.options = options
        self.configuration = configuration
    }

    func subscribe(_ subscriber: Subscriber, number: UInt64, to channel: String) {
        guard !isClosed else { return subscriber.finish() }
        subscribers[channel, default: [:]][number] = subscriber
        if established.contains(channel) {
            subscriber.yield("")
        } else {
            proceed()
        }
    }

    func unsubscribe(number: UInt64, from channel: String) {
        subscribers[channel]?[number] = nil
        guard subscribers[channel]?.isEmpty == true else { return }
        subscribers[channel] = nil
        // The channel stays listened to, at no cost, until nobody wants any.
        if subscribers.isEmpty { disconnect() }
    }

    func close() {
        isClosed = true
        let everybody = subscribers
        subscribers = [:]
        disconnect()
        for channel in everybody.values {
            for subscriber in channel.values { subscriber.finish() }
        }
    }

    private func disconnect() {
        stopTimer()
        let session = session.take()
        established = []
        session?.onClose = nil
        session?.close(PostgresError(kind: .connection, message: "nobody listens"))
    }

    /// Connects, or listens to the next channel that is wanted and not yet listened to, or waits to probe.
    private func proceed() {
        guard !subscribers.isEmpty, timer == nil || session?.isIdle == true else { return }
        guard let session else { return connect() }
        guard session.isIdle else { return }
        stopTimer()
        guard let channel = subscribers.keys.first(where: { !established.contains($0) }) else {
            timer = reactor.schedule(after: Self.probeInterval) { [unowned self] in
                timer = nil
                run("SELECT") { [unowned self] in proceed() }
            }
            return
        }
        run("LISTEN \(Self.quoted(channel))") { [unowned self] in
            established.insert(channel)
            delay = Self.backoff.first
            yield("", to: channel)
            proceed()
        }
    }

    private func connect() {
        let session = Session(reactor: reactor)
        self.session = session
        session.onNotification = { [unowned self] channel, payload in yield(payload, to: channel) }
        session.onClose = { [unowned self] in reconnectLater() }
        session.connect(options, timeout: configuration.connectTimeout) { [unowned self] outcome in
            // A failure needs no more than another attempt: readers of the stream cannot act on it.
            if case .success = outcome { proceed() } else { reconnectLater() }
        }
    }

    private func run(_ sql: String, _ then: @escaping () -> Void) {
        let operation = Operation(work: .script(sql), timeout: configuration.statementTimeout) {
            [unowned self] outcome in
            switch outcome {
            case .success: then()
            // Closing is the one way to a known state; onClose brings a new session.
            case .failure(let error): session?.close(error)
            }
        }
        session?.run(operation)
    }

    private func reconnectLater() {
        session = nil
        established = []
        stopTimer()
        guard !isClosed, !subscribers.isEmpty else { return }
        timer = reactor.schedule(after: delay * Double.random(in: 0.5...1)) { [unowned self] in
            timer = nil
            proceed()
        }
        delay = min(delay * 2, Self.backoff.most)
    }

    private func stopTimer() {
        if let timer { reactor.cancel(timer) }
        timer = nil
    }

    private func yield(_ payload: String, to channel: String) {
        guard let subscribers = subscribers[channel] else { return }
        for subscriber in subscribers.values { subscriber.yield(payload) }
    }

    /// LISTEN takes no parameter; inside quotes only the quote itself has a meaning (manual, §4.1.1).
    private static func quoted(_ identifier: String) -> String {
        "\"\(identifier.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
    }
}
