// Wakes a sleeping Reactor from another thread: one eventfd write when it sleeps, none when it is awake.

private import CLinux
private import Glibc
private import Synchronization

/// The bell of one Reactor.
///
/// Any thread may ring it.
final class Waker: Sendable {
    /// Becomes readable at each ring; the Reactor polls it edge-triggered and never reads it.
    let descriptor: Int32
    private let isSleeping = Atomic<Bool>(false)

    init() throws(ReactorError) {
        let descriptor = weir_eventfd_create()
        guard descriptor >= 0 else { throw ReactorError(call: "eventfd", code: errno) }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Called by producers, after the message is in its queue: costs one atomic load while the Reactor is awake.
    func wake() {
        guard isSleeping.load(ordering: .sequentiallyConsistent),
            isSleeping.exchange(false, ordering: .sequentiallyConsistent)
        else { return }
        var one: UInt64 = 1
        // EAGAIN means that the counter is full, so the descriptor is readable already.
        let written = unsafe Glibc.write(descriptor, &one, 8)
        precondition(written == 8 || errno == EAGAIN, "an eventfd takes 8 bytes")
    }

    /// The Reactor is about to sleep; it must look at its queues once more after this and before it polls.
    func willSleep() { isSleeping.store(true, ordering: .sequentiallyConsistent) }

    /// The Reactor is awake again.
    func didWake() { isSleeping.store(false, ordering: .sequentiallyConsistent) }
}
