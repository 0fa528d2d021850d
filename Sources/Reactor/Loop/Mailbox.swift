// How work crosses to a Reactor: a bounded queue that is emptied in batches.

internal import Synchronization

/// A bounded queue of messages into one Reactor.
///
/// Any thread may send; the messages are received on the Reactor's thread in the order they were sent, many at
/// a time. The lock is held for an append or a swap of two arrays, never across I/O or a callback.
public final class Mailbox<Message: Sendable>: Sendable {
    private let queue: Mutex<[Message]>
    private let capacity: Int
    private let waker: Waker

    init(capacity: Int, waker: Waker) {
        self.capacity = capacity
        self.waker = waker
        queue = Mutex([])
    }

    /// Queues a message.
    ///
    /// - Returns: false when `capacity` messages wait already; the message is dropped and the caller must answer for it.
    public func send(_ message: Message) -> Bool {
        let isAccepted = queue.withLock { queue in
            guard queue.count < capacity else { return false }
            queue.append(message)
            return true
        }
        if isAccepted { waker.wake() }
        return isAccepted
    }

    /// Swaps the waiting messages for the empty `batch`, whose storage is used for the next ones.
    func take(into batch: inout [Message]) {
        queue.withLock { queue in swap(&queue, &batch) }
    }

    var isEmpty: Bool { queue.withLock { $0.isEmpty } }
}
