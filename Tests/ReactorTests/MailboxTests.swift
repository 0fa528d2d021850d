// Work crosses from many threads to one: nothing lost, nothing doubled, each sender's in its order.

import Foundation
import Synchronization
import Testing

@testable import Reactor

@Suite struct `A mailbox` {
    @Test func `delivers every message of every thread once and in its sender's order`() async throws {
        let (senders, perSender) = (8, 4000)
        let received = Mutex<[[Int]]>(Array(repeating: [], count: senders))
        let box = Mutex<Mailbox<(sender: Int, number: Int)>?>(nil)
        let handle = try ReactorHandle.start(name: "mailbox") { reactor in
            let mailbox: Mailbox<(sender: Int, number: Int)> = reactor.makeMailbox(capacity: 1 << 20) { message in
                received.withLock { $0[message.sender].append(message.number) }
            }
            box.withLock { $0 = mailbox }
        }
        defer { handle.stop() }
        let mailbox = try #require(box.withLock { $0 })
        for sender in 0..<senders {
            Thread.detachNewThread {
                for number in 0..<perSender {
                    #expect(mailbox.send((sender, number)))
                    if number % 1000 == 0 { usleep(200) }  // let the Reactor fall asleep now and then
                }
            }
        }
        #expect(
            await eventually(within: .seconds(20)) { received.withLock { $0.allSatisfy { $0.count == perSender } } }
        )
        #expect(received.withLock { $0.allSatisfy { $0 == Array(0..<perSender) } })
    }

    @Test func `refuses what is over its capacity and everything after its Reactor's end`() async throws {
        let box = Mutex<Mailbox<Int>?>(nil)
        let handle = try ReactorHandle.start(name: "mailbox") { reactor in
            let mailbox: Mailbox<Int> = reactor.makeMailbox(capacity: 3) { _ in }
            // Nothing is received before this set-up has returned.
            let accepted = (0..<5).map { mailbox.send($0) }
            #expect(accepted == [true, true, true, false, false])
            box.withLock { $0 = mailbox }
        }
        handle.stop()
        #expect(box.withLock { $0?.send(1) } == false)
        #expect(handle.post { _ in Issue.record("nothing runs after the end") } == false)
    }

    @Test func `wakes a sleeping Reactor every time`() async throws {
        let handle = try ReactorHandle.start(name: "wake")
        defer { handle.stop() }
        for _ in 0..<500 {
            await withCheckedContinuation { continuation in
                handle.post { _ in continuation.resume() }
            }
        }
    }

    @Test func `lets a Reactor go with everything on it when it ends`() throws {
        final class Witness: Sendable {}
        weak var witness: Witness?
        do {
            let kept = Witness()
            witness = kept
            let handle = try ReactorHandle.start(name: "leak") { reactor in
                _ = reactor.schedule(after: .seconds(100)) { _ = (kept, reactor) }
                reactor.atEndOfEveryTurn { _ = (kept, reactor) }
                reactor.atStop { _ = (kept, reactor) }
            }
            handle.stop()
        }
        #expect(witness == nil)
    }
}
