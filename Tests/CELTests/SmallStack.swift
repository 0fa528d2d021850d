// A thread with little stack, for tests of what must hold before the stack ends.

import Foundation
import Synchronization

/// Answers from a thread with the smallest stack that Weir runs rules on.
func onSmallStack(_ body: @escaping @Sendable () -> [String]) -> [String] {
    let box = Box()
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
        let found = body()
        box.answer.withLock { $0 = found }
        done.signal()
    }
    #if DEBUG
    thread.stackSize = 8 << 20
    #else
    thread.stackSize = 512 << 10
    #endif
    thread.start()
    done.wait()
    return box.answer.withLock { $0 }
}

private final class Box: Sendable {
    let answer = Mutex<[String]>([])
}
