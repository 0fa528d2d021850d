// How work crosses to a Reactor: a bounded queue that is emptied in batches.

internal import Synchronization

/// A bounded queue of messages into one Reactor.
///
/// Any thread may send; the messages are received on the Reactor's thread in the order they were sent, many at
/// a time. The lock is held for an append or a swap of two arrays, never across I/O or a callback.
public final class Mailbox<Message: Sendable>: Sendable {
    private struct Queue {
        var messages: [Message] = []
        var isClosed = false
    }

    private let queue: Mutex<Queue>
    private let capacity: Int
    private let waker: Waker

    init(capacity: Int, waker: Waker) {
        self.capacity = capacity
        self.waker = waker
        queue = Mutex(Queue())
    }

    /// Queues a message.
    ///
    /// - Returns: false when `capacity` messages wait already or the Reactor has ended; the message is dropped and
    ///   the caller must answer for it.
    public func send(_ message: Message) -> Bool {
        let isAccepted = queue.withLock { queue in
            guard queue.messages.count < capacity, !queue.isClosed else { return false }
            queue.messages.append(message)
            return true
        }
        if isAccepted { waker.wake() }
        return isAccepted
    }

    /// Swaps the waiting messages for the empty `batch`, whose storage is used for the next ones.
    func take(into batch: inout [Message]) {
        queue.withLock { queue in swap(&queue.messages, &batch) }
    }

    /// Refuses every later message; what waits can still be taken.
    func close() {
        queue.withLock { queue in queue.isClosed = true }
    }

    /// Whether the Reactor has ended and takes nothing more.
    public var isClosed: Bool { queue.withLock { $0.isClosed } }

    var isEmpty: Bool { queue.withLock { $0.messages.isEmpty } }
}
