// What other threads hold of a Reactor: a way to start it, to hand it work, and to end it.

private import CLinux
private import Glibc
private import Synchronization

/// A Reactor on its thread, seen from the others.
public final class ReactorHandle: Sendable {
    private typealias Work = @Sendable (Reactor) -> Void

    private static let workCapacity = 1 << 16

    private let mailbox: Mailbox<Work>
    private let hasEnded: Mutex<Bool>
    private let thread: pthread_t

    /// Starts a thread with a Reactor on it; returns when `setUp` has run there.
    ///
    /// - Parameters:
    ///   - name: the thread's name, at most 15 bytes.
    ///   - setUp: makes what lives on the Reactor. It runs on the Reactor's thread.
    /// - Returns: the handle; its `stop()` ends the thread.
    /// - Throws: when the machine has no descriptor or thread left to give.
    public static func start(
        name: String,
        setUp: @escaping @Sendable (Reactor) -> Void = { _ in }
    ) throws(ReactorError) -> ReactorHandle {
        let launch = Launch(name: name, setUp: setUp)
        var thread = pthread_t()
        let code = unsafe pthread_create(&thread, nil, Launch.main, Unmanaged.passRetained(launch).toOpaque())
        guard code == 0 else {
            unsafe Unmanaged.passUnretained(launch).release()
            throw ReactorError(call: "pthread_create", code: code)
        }
        do throws(ReactorError) {
            return ReactorHandle(mailbox: try launch.waitForMailbox(), thread: thread)
        } catch {
            pthread_join(thread, nil)
            throw error
        }
    }

    private init(mailbox: Mailbox<Work>, thread: pthread_t) {
        self.mailbox = mailbox
        self.thread = thread
        hasEnded = Mutex(false)
    }

    deinit { stop() }

    /// Runs `work` on the Reactor's thread, in the order of the calls; for set-up and rare events, not per request.
    ///
    /// - Returns: false when the Reactor has ended; `work` is let go without being run.
    @discardableResult
    public func post(_ work: @escaping @Sendable (Reactor) -> Void) -> Bool {
        let isAccepted = mailbox.send(work)
        precondition(isAccepted || mailbox.isClosed, "65,536 pieces of rare work wait: the Reactor's thread is stuck")
        return isAccepted
    }

    /// Ends the loop and waits for its thread; a no-op the second time.
    ///
    /// On the Reactor itself it returns at once; the loop ends after this turn.
    public func stop() {
        let isFirst = hasEnded.withLock { hasEnded in
            defer { hasEnded = true }
            return !hasEnded
        }
        guard isFirst else { return }
        post { reactor in reactor.stop() }
        // The last reference may go away on the Reactor itself, which cannot wait for its own end.
        if pthread_equal(thread, pthread_self()) != 0 {
            pthread_detach(thread)
        } else {
            pthread_join(thread, nil)
        }
    }

    /// Carries the set-up to the new thread, and its mailbox or its failure back.
    private final class Launch: Sendable {
        private let name: String
        private let setUp: @Sendable (Reactor) -> Void
        private let outcome = Mutex<Result<Mailbox<Work>, ReactorError>?>(nil)
        private let isReady = Semaphore()

        init(name: String, setUp: @escaping @Sendable (Reactor) -> Void) {
            self.name = name
            self.setUp = setUp
        }

        static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
            guard let context = unsafe context else { preconditionFailure("started with its launch") }
            unsafe Unmanaged<Launch>.fromOpaque(context).takeRetainedValue().run()
            return nil
        }

        func waitForMailbox() throws(ReactorError) -> Mailbox<Work> {
            isReady.wait()
            guard let outcome = outcome.withLock({ $0 }) else { preconditionFailure("signalled without an outcome") }
            return try outcome.get()
        }

        private func run() {
            _ = unsafe weir_set_thread_name(name)  // a name for `top`, no more
            do throws(ReactorError) {
                let reactor = try Reactor()
                let mailbox: Mailbox<Work> = reactor.makeMailbox(capacity: ReactorHandle.workCapacity) { work in
                    work(reactor)
                }
                setUp(reactor)
                outcome.withLock { $0 = .success(mailbox) }
                isReady.signal()
                reactor.run()
            } catch {
                outcome.withLock { $0 = .failure(error) }
                isReady.signal()
            }
        }
    }
}

/// A POSIX semaphore: the one place where a thread waits for another, at start-up.
@safe private final class Semaphore: @unchecked Sendable {  // sem_t is made for use by many threads
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { unsafe sem_init(semaphore, 0, 0) }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func wait() { while unsafe sem_wait(semaphore) != 0 {} }  // EINTR: wait again

    func signal() { unsafe sem_post(semaphore) }
}
