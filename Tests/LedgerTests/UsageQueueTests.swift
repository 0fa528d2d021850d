// The queue's rule: every record gets one number, and stays until it is acknowledged or was dropped and counted.

import Ledger
import Testing

@Suite struct `A usage queue` {
    @Test func `numbers records from 1 and ships the oldest first`() throws {
        var queue = UsageQueue(nodeID: "n", bootID: "b")
        #expect(queue.makeBatch() == nil)
        for _ in 0..<5 {
            queue.append(record(0))
        }
        let batch = try #require(queue.makeBatch(maxRecords: 3))
        #expect(batch.nodeID == "n" && batch.bootID == "b")
        #expect(batch.records.map(\.sequence) == [1, 2, 3])
        #expect(queue.lastSequence == 5 && queue.count == 5)
    }

    @Test func `ships again what was not acknowledged`() throws {
        var queue = UsageQueue(nodeID: "n", bootID: "b")
        for _ in 0..<4 {
            queue.append(record(0))
        }
        #expect(queue.makeBatch() == queue.makeBatch())
        queue.acknowledge(upTo: 2)
        #expect(try #require(queue.makeBatch()).records.map(\.sequence) == [3, 4])
        queue.acknowledge(upTo: 1)
        #expect(queue.count == 2 && queue.acknowledgedCount == 2)
        queue.acknowledge(upTo: .max)
        #expect(queue.isEmpty && queue.makeBatch() == nil)
        queue.append(record(0))
        #expect(try #require(queue.makeBatch()).records.map(\.sequence) == [5])
    }

    @Test func `drops and counts when it is full, without a gap in the numbers`() throws {
        var queue = UsageQueue(nodeID: "n", bootID: "b", capacity: 2)
        let kept = [queue.append(record(0)), queue.append(record(0)), queue.append(record(0))]
        #expect(kept == [true, true, false])
        #expect(queue.droppedCount == 1)
        queue.acknowledge(upTo: 1)
        queue.append(record(0))
        #expect(try #require(queue.makeBatch()).records.map(\.sequence) == [2, 3])
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func `agrees with a plain array in any order of calls`(seed: UInt64) {
        var random = Seeded(state: seed)
        var queue = UsageQueue(nodeID: "n", bootID: "b", capacity: 40)
        var model: [UInt64] = []
        var next: UInt64 = 1
        for _ in 0..<500 {
            switch Int.random(in: 0..<5, using: &random) {
            case 0...2:
                if queue.append(record(0)) {
                    model.append(next)
                    next += 1
                } else {
                    #expect(model.count == 40)
                }
            case 3:
                let size = Int.random(in: 1...50, using: &random)
                #expect(queue.makeBatch(maxRecords: size)?.records.map(\.sequence) ?? [] == Array(model.prefix(size)))
            default:
                let upTo = UInt64.random(in: 0...next, using: &random)
                queue.acknowledge(upTo: upTo)
                model.removeAll { $0 <= upTo }
            }
            #expect(queue.count == model.count)
        }
    }
}
