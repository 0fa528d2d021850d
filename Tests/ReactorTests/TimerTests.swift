// The timer heap against an obvious model, and the loop's timers against the clock.

import Foundation
import Synchronization
import Testing

@testable import Reactor

@Suite struct `Timers` {
    @Test(arguments: 0..<200 as Range<UInt64>)
    func `fire in order of their times and of their setting, whatever was cancelled or armed again`(seed: UInt64) {
        var random = SplitMix(state: seed)
        var heap = TimerHeap()
        var timers: [(timer: ReactorTimer, id: Int)] = []
        var model: [(due: UInt64, order: Int, id: Int)] = []
        var fired: [Int] = []
        var expected: [Int] = []
        var order = 0
        var now: UInt64 = 0
        for step in 0..<300 {
            let due = now + random.next(below: 50)
            switch random.next(below: 10) {
            case 0..<5:
                let timer = ReactorTimer { fired.append(step) }
                heap.arm(timer, due: MonotonicTime(nanoseconds: due))
                timers.append((timer, step))
                model.append((due, order, step))
                order += 1
            case 5 where !timers.isEmpty:
                let (timer, id) = timers[Int(random.next(below: UInt64(timers.count)))]
                heap.cancel(timer)
                model.removeAll { $0.id == id }
            case 6 where !timers.isEmpty:
                let (timer, id) = timers[Int(random.next(below: UInt64(timers.count)))]
                heap.arm(timer, due: MonotonicTime(nanoseconds: due))
                model.removeAll { $0.id == id }
                model.append((due, order, id))
                order += 1
            default:
                now += random.next(below: 30)
                while let action = heap.popDue(now: MonotonicTime(nanoseconds: now)) { action() }
                let dueNow = model.filter { $0.due <= now }.sorted { ($0.due, $0.order) < ($1.due, $1.order) }
                expected += dueNow.map(\.id)
                model.removeAll { $0.due <= now }
            }
            #expect(heap.count == model.count)
            #expect(heap.earliest?.nanoseconds == model.map(\.due).min())
        }
        #expect(fired == expected)
    }

    @Test func `on the loop fire once, in order, and not before their time`() async throws {
        let fired = Mutex<[Int]>([])
        let handle = try ReactorHandle.start(name: "timers") { reactor in
            for delay in [30, 5, 20, 10, 0] {
                let start = MonotonicTime.now
                _ = reactor.schedule(after: .milliseconds(delay)) {
                    #expect(MonotonicTime.now - start >= .milliseconds(delay))
                    fired.withLock { $0.append(delay) }
                }
            }
            let cancelled = reactor.schedule(after: .milliseconds(15)) { fired.withLock { $0.append(-1) } }
            reactor.cancel(cancelled)
        }
        defer { handle.stop() }
        #expect(await eventually { fired.withLock { $0.count } == 5 })
        #expect(fired.withLock { $0 } == [0, 5, 10, 20, 30])
    }
}

/// SplitMix64: the same numbers for the same seed everywhere.
struct SplitMix {
    var state: UInt64

    mutating func next(below bound: UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return (mixed ^ mixed >> 31) % bound
    }
}
