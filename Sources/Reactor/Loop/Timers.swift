// The Reactor's timers: an indexed binary heap, so that the deadline of every request can be set and cancelled
// in O(log n) without leaving dead entries behind.

/// A callback that is due once, on the Reactor that scheduled it.
///
/// Confined to its Reactor. Dropping the reference does not cancel it.
public final class ReactorTimer {
    /// When it fires, or last fired.
    public fileprivate(set) var due = MonotonicTime(nanoseconds: 0)
    fileprivate var order: UInt64 = 0
    fileprivate var position: Int?
    private var action: (() -> Void)?
    private let firesOnce: Bool

    fileprivate init(once action: @escaping () -> Void) {
        self.action = action
        firesOnce = true
    }

    init(action: @escaping () -> Void) {
        self.action = action
        firesOnce = false
    }

    /// Gives the action to run, and lets go of what it captured when it can not run again.
    fileprivate func takeAction() -> (() -> Void)? {
        defer { if firesOnce { action = nil } }
        return action
    }

    /// Whether the timer still waits to fire.
    public var isPending: Bool { position != nil }
}

/// The timers that wait, earliest first; those due at the same time fire in the order they were set.
struct TimerHeap {
    private var heap: [ReactorTimer] = []
    private var nextOrder: UInt64 = 0

    var earliest: MonotonicTime? { heap.first?.due }
    var count: Int { heap.count }

    mutating func schedule(due: MonotonicTime, _ action: @escaping () -> Void) -> ReactorTimer {
        let timer = ReactorTimer(once: action)
        arm(timer, due: due)
        return timer
    }

    /// Lets the timer fire at `due` only, whether it waits already or not.
    mutating func arm(_ timer: ReactorTimer, due: MonotonicTime) {
        if let position = timer.position { remove(at: position) }
        timer.due = due
        timer.order = nextOrder
        nextOrder += 1
        timer.position = heap.count
        heap.append(timer)
        siftUp(heap.count - 1)
    }

    /// Takes the timer out; a no-op when it fired or was cancelled before.
    mutating func cancel(_ timer: ReactorTimer) {
        guard let position = timer.position else { return }
        precondition(heap[position] === timer, "a timer is cancelled on the Reactor that scheduled it")
        remove(at: position)
        _ = timer.takeAction()
    }

    /// Takes out the earliest timer when it is due, and gives its action.
    mutating func popDue(now: MonotonicTime) -> (() -> Void)? {
        guard let first = heap.first, first.due <= now else { return nil }
        remove(at: 0)
        return first.takeAction()
    }

    private mutating func remove(at position: Int) {
        heap[position].position = nil
        let last = heap.removeLast()
        guard position < heap.count else { return }
        heap[position] = last
        last.position = position
        siftUp(position)
        siftDown(last.position ?? position)
    }

    private func isBefore(_ left: ReactorTimer, _ right: ReactorTimer) -> Bool {
        left.due == right.due ? left.order < right.order : left.due < right.due
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard isBefore(heap[child], heap[parent]) else { return }
            swapPlaces(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if isBefore(heap[child], heap[least]) { least = child }
            }
            guard least != parent else { return }
            swapPlaces(parent, least)
            parent = least
        }
    }

    private mutating func swapPlaces(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        heap[left].position = left
        heap[right].position = right
    }
}
