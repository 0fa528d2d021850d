// Ctrl-C and SIGTERM as values: the first asks for an orderly end, the second for an end now. Children are in process
// groups of their own, so a terminal's Ctrl-C reaches only us, and the kernel kills them should we not get to it.

import Dispatch
import Glibc
import Synchronization

/// Turns signals into calls.
final class Interrupts {
    private let sources: [any DispatchSourceSignal]

    /// Listens until it is released.
    ///
    /// - Parameter onSignal: called with how many signals came so far, this one included.
    init(_ onSignal: @escaping @Sendable (Int) -> Void) {
        // A reader of our output that left must not end us.
        _ = signal(SIGPIPE, SIG_IGN)
        let count = Counter()
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            _ = signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { onSignal(count.next()) }
            source.resume()
            return source
        }
    }
}

private final class Counter: Sendable {
    private let value = Mutex(0)

    func next() -> Int {
        value.withLock { value in
            value += 1
            return value
        }
    }
}
