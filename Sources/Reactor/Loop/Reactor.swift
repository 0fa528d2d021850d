// One epoll loop on a thread of its own: the ground under libcurl, hiredis and libpq, none of which may block.

private import CLinux
private import Glibc
private import Synchronization

/// An epoll loop with timers and mailboxes.
///
/// Confined to its thread and not `Sendable` on purpose: other threads hold a ``ReactorHandle`` or a ``Mailbox``.
@safe public final class Reactor {
    /// What a watched descriptor is ready for.
    public struct Readiness: OptionSet, Sendable {
        /// The bits; private to this type's constants.
        public let rawValue: UInt8
        /// Makes a set from its bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Reading would not block: bytes, an end of file or an error.
        public static let read = Readiness(rawValue: 1)
        /// Writing would not block.
        public static let write = Readiness(rawValue: 2)
    }

    private struct Watch {
        var interest: Readiness
        let generation: UInt32
        let handler: (Readiness) -> Void
    }

    private struct WeakResident {
        let id: ObjectIdentifier
        weak var resident: (any ReactorResident)?
    }

    private struct Inbox {
        let isEmpty: () -> Bool
        let drain: () -> Void
        let close: () -> Void
    }

    private static let eventsPerPoll = 256
    private static let wakerKey = UInt64.max

    private let descriptor: Int32
    let waker: Waker
    private let thread = pthread_self()
    private var watches: [Watch?] = []  // by descriptor
    private var nextGeneration: UInt32 = 0
    private var timers = TimerHeap()
    private var inboxes: [Inbox] = []
    private var residents: [WeakResident] = []
    private var flushActions: [() -> Void] = []
    private var stopActions: [() -> Void] = []
    private var isStopping = false
    private var isTurnRequested = false
    /// Whether there will be no further turn: what would be answered at its end is answered at once.
    private(set) var hasEnded = false

    /// The time at which this turn of the loop began; good enough for deadlines, and free.
    public private(set) var now: MonotonicTime = .now

    init() throws(ReactorError) {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw ReactorError(call: "epoll_create1", code: errno) }
        waker = try Waker()
        // Edge-triggered: each ring is one event, and nobody has to read the counter back.
        control(EPOLL_CTL_ADD, waker.descriptor, events: EPOLLIN.rawValue | EPOLLET.rawValue, key: Self.wakerKey)
        Self.blockBrokenPipeSignal()
    }

    deinit { close(descriptor) }

    /// A peer that went away is an error code here, not a signal: OpenSSL and hiredis write without `MSG_NOSIGNAL`.
    private static func blockBrokenPipeSignal() {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGPIPE)
        let outcome = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        precondition(outcome == 0, "SIGPIPE is a signal")
    }

    /// Traps when called from another thread: entry points of what lives on a Reactor begin with it.
    public func preconditionOnReactor() {
        precondition(pthread_equal(thread, pthread_self()) != 0, "called off the Reactor's thread")
    }

    // MARK: Timers

    /// Runs `action` once, `delay` from now, on this thread.
    public func schedule(after delay: Duration, _ action: @escaping () -> Void) -> ReactorTimer {
        timers.schedule(due: .now + delay, action)
    }

    /// Makes a timer that waits to be armed, as often as one likes, without a new allocation.
    public func makeTimer(_ action: @escaping () -> Void) -> ReactorTimer {
        ReactorTimer(action: action)
    }

    /// Lets a timer made by ``makeTimer(_:)`` fire at `due`, and not at the time it was armed for before.
    public func arm(_ timer: ReactorTimer, at due: MonotonicTime) {
        timers.arm(timer, due: due)
    }

    /// Takes a timer back; a no-op when it fired or was cancelled before.
    public func cancel(_ timer: ReactorTimer) {
        timers.cancel(timer)
    }

    // MARK: Descriptors

    /// Calls `handler` whenever the descriptor is ready for one of `interest`, until ``unwatch(_:)``.
    ///
    /// Level-triggered. A second call for the same descriptor changes interest and handler.
    public func watch(_ fileDescriptor: Int32, for interest: Readiness, _ handler: @escaping (Readiness) -> Void) {
        preconditionOnReactor()
        let index = Int(fileDescriptor)
        if index >= watches.count {
            watches.append(contentsOf: repeatElement(nil, count: max(64, index * 2) - watches.count))
        }
        let isKnown = watches[index] != nil
        nextGeneration &+= 1
        watches[index] = Watch(interest: interest, generation: nextGeneration, handler: handler)
        let (events, key) = (Self.events(for: interest), Self.key(fileDescriptor, nextGeneration))
        // A known descriptor that epoll does not know was closed meanwhile, and its number given to a new one.
        if isKnown, register(EPOLL_CTL_MOD, fileDescriptor, events: events, key: key) == 0 { return }
        control(EPOLL_CTL_ADD, fileDescriptor, events: events, key: key)
    }

    /// Changes what a watched descriptor is waited for; its handler stays.
    public func setInterest(_ fileDescriptor: Int32, _ interest: Readiness) {
        let index = Int(fileDescriptor)
        guard index < watches.count, let watch = watches[index] else {
            preconditionFailure("the descriptor is not watched")
        }
        guard watch.interest != interest else { return }
        watches[index]?.interest = interest
        let key = Self.key(fileDescriptor, watch.generation)
        control(EPOLL_CTL_MOD, fileDescriptor, events: Self.events(for: interest), key: key)
    }

    /// Stops watching; should come before the descriptor is closed, because its number may be another's after that.
    ///
    /// A no-op when it is not watched.
    public func unwatch(_ fileDescriptor: Int32) {
        preconditionOnReactor()
        let index = Int(fileDescriptor)
        guard index < watches.count, watches[index] != nil else { return }
        watches[index] = nil
        let code = register(EPOLL_CTL_DEL, fileDescriptor, events: 0, key: 0)
        // libcurl closes a socket that is still connecting before it says so; epoll forgot it then.
        precondition(code == 0 || code == EBADF || code == ENOENT, "epoll_ctl fails only by our mistake")
    }

    // MARK: Messages

    /// Makes a mailbox whose messages `receive` gets in batches, in order, on this thread.
    public func makeMailbox<Message: Sendable>(
        capacity: Int,
        receive: @escaping (Message) -> Void
    ) -> Mailbox<Message> {
        preconditionOnReactor()
        let mailbox = Mailbox<Message>(capacity: capacity, waker: waker)
        var batch: [Message] = []
        inboxes.append(
            Inbox(
                isEmpty: { mailbox.isEmpty },
                drain: {
                    mailbox.take(into: &batch)
                    for message in batch { receive(message) }
                    batch.removeAll(keepingCapacity: true)
                },
                close: { mailbox.close() }
            )
        )
        return mailbox
    }

    /// Runs `action` at the end of every turn of the loop: the place to flush what the turn gathered.
    ///
    /// The HTTP client's and Redis's callbacks of this turn have all run by then.
    public func atEndOfEveryTurn(_ action: @escaping () -> Void) {
        flushActions.append(action)
    }

    /// Makes a library's object take part in the turns until ``remove(_:)``; it is not held.
    func add(_ resident: any ReactorResident) {
        preconditionOnReactor()
        residents.append(WeakResident(id: ObjectIdentifier(resident), resident: resident))
    }

    /// Leaves the resident out of later turns; to be called in its `deinit`.
    func remove(_ resident: any ReactorResident) {
        preconditionOnReactor()
        let id = ObjectIdentifier(resident)
        residents.removeAll { $0.id == id }
    }

    /// Runs `action` when the loop has ended, the last one given first: the place to free what lives on the Reactor.
    public func atStop(_ action: @escaping () -> Void) {
        stopActions.append(action)
    }

    /// Keeps the loop from sleeping before another turn: for work that was left behind at the end of this one.
    ///
    /// Costs nothing when the end of this turn is still to come.
    public func requestTurn() { isTurnRequested = true }

    // MARK: The loop

    /// Ends the loop after this turn.
    public func stop() { isStopping = true }

    func run() {
        unsafe withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsPerPoll) { events in
            while !isStopping {
                unsafe poll(into: events)
                for inbox in inboxes { inbox.drain() }
                while let action = timers.popDue(now: now) { action() }
                isTurnRequested = false
                for resident in residents { resident.resident?.driveTurn() }
                for action in flushActions { action() }
            }
        }
        tearDown()
    }

    /// Frees what lives here; the closures hold the Reactor itself, so that nothing would go away otherwise.
    private func tearDown() {
        for inbox in inboxes {
            inbox.close()
            inbox.drain()
        }
        hasEnded = true
        while let action = stopActions.popLast() { action() }
        for resident in residents.reversed() { resident.resident?.reactorEnded() }
        for action in flushActions { action() }
        inboxes = []
        residents = []
        flushActions = []
        watches = []
        timers = TimerHeap()
    }

    private func poll(into events: UnsafeMutableBufferPointer<epoll_event>) {
        waker.willSleep()
        let hasMail = inboxes.contains { !$0.isEmpty() }
        let timeout = hasMail || isTurnRequested ? 0 : pollTimeout()
        let count = unsafe epoll_wait(descriptor, events.baseAddress, Int32(events.count), timeout)
        waker.didWake()
        now = .now
        guard count >= 0 else {
            precondition(errno == EINTR, "epoll_wait fails only by our mistake")
            return
        }
        for index in 0..<Int(count) {
            let event = unsafe events[index]
            let key = unsafe event.data.u64
            guard key != Self.wakerKey else { continue }
            let fileDescriptor = Int32(bitPattern: UInt32(truncatingIfNeeded: key))
            // A handler earlier in this batch may have unwatched it, or watched a new one under the same number.
            guard let watch = watches[Int(fileDescriptor)],
                watch.generation == UInt32(truncatingIfNeeded: key >> 32)
            else { continue }
            let ready = Self.readiness(of: unsafe event.events).intersection(watch.interest)
            if !ready.isEmpty { watch.handler(ready) }
        }
    }

    /// Milliseconds until the next timer, rounded up so that the loop never spins before it.
    private func pollTimeout() -> Int32 {
        guard let due = timers.earliest else { return -1 }
        let current = MonotonicTime.now
        guard due > current else { return 0 }
        return Int32(clamping: (due.nanoseconds - current.nanoseconds + 999_999) / 1_000_000)
    }

    private static func key(_ fileDescriptor: Int32, _ generation: UInt32) -> UInt64 {
        UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fileDescriptor))
    }

    private static func events(for interest: Readiness) -> UInt32 {
        (interest.contains(.read) ? EPOLLIN.rawValue | EPOLLRDHUP.rawValue : 0)
            | (interest.contains(.write) ? EPOLLOUT.rawValue : 0)
    }

    private static func readiness(of events: UInt32) -> Readiness {
        let broken = EPOLLERR.rawValue | EPOLLHUP.rawValue
        var ready: Readiness = []
        if events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue | broken) != 0 { ready.insert(.read) }
        if events & (EPOLLOUT.rawValue | broken) != 0 { ready.insert(.write) }
        return ready
    }

    private func control(_ operation: Int32, _ fileDescriptor: Int32, events: UInt32, key: UInt64) {
        let code = register(operation, fileDescriptor, events: events, key: key)
        precondition(code == 0, "epoll_ctl fails only by our mistake")
    }

    /// Calls epoll_ctl and gives its error, 0 for none.
    private func register(_ operation: Int32, _ fileDescriptor: Int32, events: UInt32, key: UInt64) -> Int32 {
        var event = unsafe epoll_event()
        unsafe event.events = events
        unsafe event.data.u64 = key
        return unsafe epoll_ctl(descriptor, operation, fileDescriptor, &event) == 0 ? 0 : errno
    }
}
