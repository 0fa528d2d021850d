// One connection to Redis that connects itself again and never lets a late answer pass for another command's:
// whatever is missed or odd closes the socket, and with it every answer still on the way.

/// Pipelined commands, scripts and subscriptions over one socket.
///
/// Confined to its Reactor. Callbacks run on it, never inside the call that asked for them, each exactly once.
public final class RedisConnection: ReactorResident {
    private struct Subscription {
        let onMessage: ([UInt8]) -> Void
        let onReady: () -> Void
        let onLoss: () -> Void
    }

    /// A connection has to hold this long before the pause between attempts starts small again.
    private static let settledAfter = Duration.seconds(1)
    private static let pingInterval = Duration.seconds(1)

    private let reactor: Reactor
    private let configuration: RedisConfiguration
    private let onStateChange: (RedisState) -> Void

    private var wire: RedisWire?
    private var pending = CommandQueue()
    private var encoder = RedisCommandEncoder()
    private var isWriteBlocked = false
    private var failing: [(done: (Result<RedisReply, RedisFailure>) -> Void, failure: RedisFailure)] = []
    private var subscriptions: [[UInt8]: Subscription] = [:]

    private var attempts = 0
    private var readySince: MonotonicTime?
    private var deadlineTimer: ReactorTimer?
    private var connectTimer: ReactorTimer?
    private var pingTimer: ReactorTimer?
    private var lookup: Mailbox<Lookup>?
    private var lookupNumber = 0

    private struct Lookup: Sendable {
        let number: Int
        let addresses: [String]
    }

    /// What the connection is doing.
    public private(set) var state = RedisState.closed

    /// Makes a connection, which ``connect()`` starts; it closes with its Reactor.
    public init(
        reactor: Reactor,
        configuration: RedisConfiguration,
        onStateChange: @escaping (RedisState) -> Void = { _ in }
    ) {
        reactor.preconditionOnReactor()
        self.reactor = reactor
        self.configuration = configuration
        self.onStateChange = onStateChange
        deadlineTimer = reactor.makeTimer { [weak self] in self?.checkDeadline() }
        connectTimer = reactor.makeTimer { [weak self] in self?.connectTimerFired() }
        pingTimer = reactor.makeTimer { [weak self] in self?.sendPing() }
        reactor.add(self)
    }

    deinit {
        // After the Reactor's end it is closed already, and any thread may let go of the shell.
        if let wire { reactor.unwatch(wire.descriptor) }
        guard !reactor.hasEnded else { return }
        for timer in [deadlineTimer, connectTimer, pingTimer] { if let timer { reactor.cancel(timer) } }
        reactor.remove(self)
    }

    /// Commands that wait for their answers.
    public var pendingCount: Int { pending.count }

    /// How long the oldest command has waited since it was written; nil when none waits.
    public var oldestCommandAge: Duration? {
        guard let writtenAt = pending.first?.writtenAt else { return nil }
        return .now - writtenAt
    }

    // MARK: Opening and closing

    /// Connects, and again after every loss until ``close()``; a no-op while it does.
    public func connect() {
        reactor.preconditionOnReactor()
        guard state == .closed, !reactor.hasEnded else { return }
        attempts = 0
        openConnection()
    }

    /// Closes the connection; every waiting command fails as `connectionLost`.
    public func close() {
        reactor.preconditionOnReactor()
        guard state != .closed else { return answerFailing() }
        tearDown(.closed, oldest: .connectionLost)
        if reactor.hasEnded { answerFailing() }
    }

    private func openConnection() {
        change(to: .connecting)
        guard state == .connecting else { return }
        arm(connectTimer, after: configuration.connectDeadline)
        if configuration.unixSocket != nil || NameLookup.isAddress(configuration.host) {
            dial(configuration.host)
        } else {
            lookUpHost()
        }
    }

    private func lookUpHost() {
        let mailbox =
            lookup
            ?? reactor.makeMailbox(capacity: 64) { [weak self] lookup in
                guard let self, lookup.number == lookupNumber, state == .connecting, wire == nil else { return }
                // Attempts take turns over the addresses, so that a dead one does not hold up a live one for ever.
                guard !lookup.addresses.isEmpty else { return lose(.connectionLost) }
                dial(lookup.addresses[attempts % lookup.addresses.count])
            }
        lookup = mailbox
        lookupNumber += 1
        let number = lookupNumber
        NameLookup.addresses(of: configuration.host) { addresses in
            _ = mailbox.send(Lookup(number: number, addresses: addresses))  // refused only when the Reactor ended
        }
    }

    private func dial(_ address: String) {
        do throws(RedisFailure) {
            let wire = try RedisWire(address: address, configuration: configuration)
            self.wire = wire
            reactor.watch(wire.descriptor, for: .write) { [weak self] ready in self?.isReady(ready) }
        } catch {
            lose(error)
        }
    }

    private func isReady(_ ready: Reactor.Readiness) {
        guard let wire else { return }
        if state == .connecting, pending.isEmpty {
            guard wire.finishConnecting() else { return lose(.connectionLost) }
            greet()
            reactor.setInterest(wire.descriptor, .read)
            return
        }
        // Writable again: the end of this turn tries, as it does in every turn while something is left.
        if ready.contains(.read) { receive() }
    }

    /// Sends credentials and database, and always at least one command: a stopped server accepts and says nothing.
    private func greet() {
        if let password = configuration.password {
            let user = configuration.username.map { [Array($0.utf8)] } ?? []
            queueGreeting([Array("AUTH".utf8)] + user + [Array(password.utf8)], isLast: false)
        }
        if configuration.database != 0 {
            queueGreeting([Array("SELECT".utf8), Array(String(configuration.database).utf8)], isLast: false)
        }
        queueGreeting([Array("PING".utf8)], isLast: true)
    }

    private func queueGreeting(_ arguments: [[UInt8]], isLast: Bool) {
        encode(arguments)
        queue(.greeting(isLast: isLast), patience: configuration.connectDeadline)
    }

    private func becomeReady() {
        if let connectTimer { reactor.cancel(connectTimer) }
        readySince = reactor.now
        change(to: .ready)
        guard state == .ready else { return }
        for channel in subscriptions.keys { sendSubscription(channel) }
    }

    /// The one timer of the way to a connection: first its deadline, then the pause before the next attempt.
    private func connectTimerFired() {
        switch state {
        case .connecting: lose(.deadline)
        case .waiting: openConnection()
        case .closed, .ready: break
        }
    }

    /// Gives the connection up and plans the next attempt.
    private func lose(_ failure: RedisFailure) {
        guard state != .closed else { return }
        if let readySince, reactor.now - readySince >= Self.settledAfter { attempts = 0 }
        tearDown(.waiting(failure), oldest: failure)
        guard case .waiting = state else { return }  // a callback closed it
        let pause = min(configuration.maxBackoff, configuration.minBackoff * (1 << min(attempts, 16)))
        attempts += 1
        arm(connectTimer, after: pause * Double.random(in: 0.5...1.0))
    }

    /// Closes the socket before anybody hears of it, so that nothing can be asked of the old connection.
    private func tearDown(_ next: RedisState, oldest: RedisFailure) {
        let wasReady = state == .ready
        let waiting = pending
        pending = CommandQueue()
        encoder.removeAll()
        isWriteBlocked = false
        readySince = nil
        if let wire { reactor.unwatch(wire.descriptor) }
        wire = nil
        for timer in [deadlineTimer, connectTimer, pingTimer] { if let timer { reactor.cancel(timer) } }
        change(to: next)
        fail(waiting, oldest: oldest)
        guard wasReady else { return }
        for subscription in subscriptions.values { subscription.onLoss() }
    }

    private func fail(_ waiting: CommandQueue, oldest: RedisFailure) {
        var waiting = waiting
        let now = MonotonicTime.now
        while let command = waiting.popFirst() {
            var failure = oldest
            if oldest == .deadline {
                // Those behind the one that was missed may still have had time.
                let isLate = command.writtenAt.map { $0 + command.patience <= now } ?? false
                failure = isLate ? .deadline : .connectionLost
            }
            finish(command, .failure(failure))
        }
    }

    private func change(to next: RedisState) {
        guard state != next else { return }
        state = next
        onStateChange(next)
    }

    // MARK: Commands

    /// Sends a command at the end of this turn, together with the turn's others.
    ///
    /// - Parameters:
    ///   - arguments: the command's name and its arguments, any bytes.
    ///   - deadline: in place of the configuration's.
    ///   - done: called once, on this Reactor, after this call has returned.
    public func command(
        _ arguments: [[UInt8]],
        deadline: Duration? = nil,
        _ done: @escaping (Result<RedisReply, RedisFailure>) -> Void
    ) {
        guard admits(done) else { return }
        encode(arguments)
        queue(.command(done), patience: deadline ?? configuration.commandDeadline)
    }

    /// Runs a script by its digest, and by its text when the server does not know it yet.
    ///
    /// - Parameters:
    ///   - script: the script.
    ///   - keys: its `KEYS`.
    ///   - arguments: its `ARGV`.
    ///   - done: called once, on this Reactor, after this call has returned.
    public func evaluate(
        _ script: RedisScript,
        keys: [[UInt8]],
        arguments: [[UInt8]],
        _ done: @escaping (Result<RedisReply, RedisFailure>) -> Void
    ) {
        guard admits(done) else { return }
        encoder.beginCommand(argumentCount: 3 + keys.count + arguments.count)
        encoder.append("EVALSHA")
        encoder.append(script.sha1)
        encoder.append(count: keys.count)
        encoder.append(keys)
        encoder.append(arguments)
        queue(
            .script(ScriptCall(script: script, keys: keys, arguments: arguments, done: done)),
            patience: configuration.commandDeadline
        )
    }

    /// Follows a channel, through every loss of the connection; such a connection takes no commands.
    ///
    /// Messages published while the connection is lost are gone, so whatever they announce is to be looked at
    /// again when `onReady` is called.
    ///
    /// - Parameters:
    ///   - channel: the channel's name.
    ///   - onMessage: gets each message.
    ///   - onReady: called whenever the server has confirmed the subscription.
    ///   - onLoss: called whenever the connection is lost.
    public func subscribe(
        to channel: [UInt8],
        onMessage: @escaping ([UInt8]) -> Void,
        onReady: @escaping () -> Void = {},
        onLoss: @escaping () -> Void = {}
    ) {
        reactor.preconditionOnReactor()
        subscriptions[channel] = Subscription(onMessage: onMessage, onReady: onReady, onLoss: onLoss)
        if state == .ready { sendSubscription(channel) }
    }

    private func admits(_ done: @escaping (Result<RedisReply, RedisFailure>) -> Void) -> Bool {
        reactor.preconditionOnReactor()
        precondition(subscriptions.isEmpty, "a subscribed connection takes no commands")
        guard state == .ready else {
            refuse(done, .notConnected)
            return false
        }
        guard pending.count < configuration.maxPendingCommands else {
            refuse(done, .tooManyCommands)
            return false
        }
        return true
    }

    private func refuse(_ done: @escaping (Result<RedisReply, RedisFailure>) -> Void, _ failure: RedisFailure) {
        failing.append((done, failure))
        if reactor.hasEnded { answerFailing() } else { reactor.requestTurn() }
    }

    private func encode(_ arguments: [[UInt8]]) {
        encoder.beginCommand(argumentCount: arguments.count)
        encoder.append(arguments)
    }

    private func queue(_ purpose: PendingCommand.Purpose, patience: Duration) {
        pending.append(PendingCommand(purpose: purpose, patience: patience, writtenAt: nil))
        reactor.requestTurn()
    }

    private func sendSubscription(_ channel: [UInt8]) {
        encode([Array("SUBSCRIBE".utf8), channel])
        queue(.subscription(channel), patience: configuration.connectDeadline)
        arm(pingTimer, after: Self.pingInterval)
    }

    /// A subscribed connection would not notice by itself that its peer is gone.
    private func sendPing() {
        guard state == .ready else { return }
        encode([Array("PING".utf8)])
        queue(.ping, patience: configuration.connectDeadline)
        arm(pingTimer, after: Self.pingInterval)
    }

    // MARK: The end of a turn

    func reactorEnded() { close() }

    func driveTurn() {
        if !failing.isEmpty { answerFailing() }
        guard let wire, !encoder.bytes.isEmpty || isWriteBlocked else { return }
        if !encoder.bytes.isEmpty {
            wire.append(encoder.bytes)
            encoder.removeAll()
            pending.markWritten(at: .now)
            armDeadline()
        }
        switch wire.flush() {
        case .done: setWriteBlocked(false, wire)
        case .partial: setWriteBlocked(true, wire)
        case .broken: lose(.connectionLost)
        }
    }

    private func setWriteBlocked(_ isBlocked: Bool, _ wire: RedisWire) {
        isWriteBlocked = isBlocked
        reactor.setInterest(wire.descriptor, isBlocked ? [.read, .write] : .read)
    }

    private func answerFailing() {
        let answers = failing
        failing = []
        for (done, failure) in answers { done(.failure(failure)) }
    }

    // MARK: Answers

    private func receive() {
        guard let wire else { return }
        let isOpen = wire.read()
        // A callback may close or lose this connection, and open another: then what was read is nobody's.
        while self.wire === wire {
            switch wire.next() {
            case .reply(let result): dispatch(result)
            case .needsMore:
                if !isOpen { lose(.connectionLost) }
                return
            case .broken:
                return lose(isOpen ? .protocolError : .connectionLost)
            }
        }
    }

    private func dispatch(_ result: Result<RedisReply, RedisFailure>) {
        if !subscriptions.isEmpty, case .success(.array(let parts)) = result, parts.count == 3,
            parts[0] == .bulk(Self.messageWord), case .bulk(let channel) = parts[1], case .bulk(let message) = parts[2]
        {
            subscriptions[channel]?.onMessage(message)
            return
        }
        guard let command = pending.popFirst() else { return lose(.protocolError) }  // an answer to nothing
        finish(command, result)
    }

    private static let messageWord = Array("message".utf8)

    private func finish(_ command: PendingCommand, _ result: Result<RedisReply, RedisFailure>) {
        switch (command.purpose, result) {
        case (.command(let done), _):
            done(result)
        case (.script(let call), .failure(.server(.noScript, _))) where state == .ready:
            sendText(of: call)
        case (.script(let call), _):
            call.done(result)
        case (.greeting(let isLast), .success):
            if isLast { becomeReady() }
        case (.subscription(let channel), .success):
            subscriptions[channel]?.onReady()
        case (.ping, .success):
            break
        case (.greeting, .failure(let failure)), (.subscription, .failure(let failure)), (.ping, .failure(let failure)):
            // From a live server: it is loading, or the credentials do not suffice. A lost one is dealt with already.
            if case .server = failure, wire != nil { lose(failure) }
        }
    }

    private func sendText(of call: ScriptCall) {
        encoder.beginCommand(argumentCount: 3 + call.keys.count + call.arguments.count)
        encoder.append("EVAL")
        encoder.append(call.script.source)
        encoder.append(count: call.keys.count)
        encoder.append(call.keys)
        encoder.append(call.arguments)
        queue(.command(call.done), patience: configuration.commandDeadline)
    }

    // MARK: The deadline

    private func armDeadline() {
        guard let deadlineTimer, let oldest = pending.first, let writtenAt = oldest.writtenAt else { return }
        let due = writtenAt + oldest.patience
        if !deadlineTimer.isPending || deadlineTimer.due > due { reactor.arm(deadlineTimer, at: due) }
    }

    /// Looks at the oldest command only: answers come in order, so no other can be answered before it.
    private func checkDeadline() {
        guard let wire else { return }
        while isOldestLate {
            // The thread may have been kept from the processor while the answer was here already.
            guard wire.isReadable else { return lose(.deadline) }
            receive()
            guard self.wire === wire else { return }
        }
        armDeadline()
    }

    private var isOldestLate: Bool {
        guard let oldest = pending.first, let writtenAt = oldest.writtenAt else { return false }
        return writtenAt + oldest.patience <= .now
    }

    private func arm(_ timer: ReactorTimer?, after delay: Duration) {
        guard let timer else { return }
        reactor.arm(timer, at: .now + delay)
    }
}
