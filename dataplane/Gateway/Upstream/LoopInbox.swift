// How a Reactor's events reach the event loop paired with it: one batch and at most one wake per turn.

import NIOCore
private import Synchronization

/// A queue of upstream events into one event loop, bounded by the requests in flight (one event each per turn).
final class LoopInbox: Sendable {
    private struct State {
        var events: [UpstreamEvent] = []
        var isScheduled = false
    }

    private let loop: any EventLoop
    private let state = Mutex(State())
    /// Set once, on the loop, before the first event.
    private let receiver: NIOLoopBoundBox<(([UpstreamEvent]) -> Void)?>

    init(loop: any EventLoop) {
        self.loop = loop
        receiver = NIOLoopBoundBox.makeEmptyBox(eventLoop: loop)
    }

    /// Says who handles the events; on the loop.
    func setReceiver(_ receive: @escaping ([UpstreamEvent]) -> Void) {
        receiver.value = receive
    }

    /// Takes a turn's events from the Reactor.
    func send(_ batch: [UpstreamEvent]) {
        let mustSchedule = state.withLock { state in
            state.events.append(contentsOf: batch)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { loop.execute { self.drain() } }
    }

    private func drain() {
        let events = state.withLock { state in
            state.isScheduled = false
            let events = state.events
            state.events = []
            return events
        }
        receiver.value?(events)
    }
}
