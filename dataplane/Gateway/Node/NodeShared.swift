// What the node's thread and the others both touch: a status behind a lock that is held for a copy, records on their
// way to the shipper, and one atomic that the request path reads.

import Ledger
import Limits
import Reactor
import Synchronization

/// The meeting place of the agent's thread and all others.
final class NodeShared: Sendable {
    private struct Inbox {
        var records: [UsageRecord] = []
        var dropped: UInt64 = 0
        var isClosed = false
    }

    /// DESIGN §5: memory is believed for so long without a heartbeat or a poll that confirms it.
    private static let freshMilliseconds: Int64 = 30_000

    private let status = Mutex(NodeStatus())
    private let inbox = Mutex(Inbox())
    private let inboxCapacity: Int
    private let wakeCount: Int
    /// The number of nodes that serve, and in the lower half this one's rank: read together.
    private let packedPlace = Atomic<UInt64>(1 << 32)
    /// Until when what is enforced counts as fresh, by the wall clock in milliseconds: requests compare the time that
    /// they have read anyway, so that a process which was stopped for a while does not take itself for fresh.
    private let freshUntil = Atomic<Int64>(0)
    /// Set when a drain has nothing left to ship.
    let isDrained = Atomic<Bool>(false)

    init(inboxCapacity: Int, wakeCount: Int) {
        self.inboxCapacity = inboxCapacity
        self.wakeCount = wakeCount
    }

    /// A copy, with the records that wait in the inbox counted in.
    func currentStatus() -> NodeStatus {
        var current = status.withLock { $0 }
        inbox.withLock { inbox in
            current.usageQueued += inbox.records.count
            current.usageDropped += inbox.dropped
        }
        current.liveNodes = place.nodes
        return current
    }

    /// Which of how many nodes this is; set by the agent's thread.
    var place: FleetPlace {
        let packed = packedPlace.load(ordering: .relaxed)
        return FleetPlace(nodes: Int(packed >> 32), rank: Int(packed & 0xFFFF_FFFF))
    }

    /// Notes what the control plane said of the fleet.
    func setPlace(_ place: FleetPlace) {
        packedPlace.store(UInt64(place.nodes) << 32 | UInt64(place.rank), ordering: .relaxed)
    }

    /// Redis or the control plane says that nothing newer exists.
    func confirm() {
        status.withLock { $0.confirmedAt = .now }
        freshUntil.store(WallClock.milliseconds + Self.freshMilliseconds, ordering: .relaxed)
    }

    /// Whether what is enforced was confirmed within the last 30 s; costs one load.
    func isFresh(at milliseconds: Int64) -> Bool { milliseconds <= freshUntil.load(ordering: .relaxed) }

    /// Changes the status; only the agent's thread does.
    func update(_ change: (inout NodeStatus) -> Void) { status.withLock { change(&$0) } }

    /// Keeps a record for the shipper, or drops and counts it when too many wait; any thread.
    ///
    /// - Returns: whether the shipper should be woken: a batch is full now.
    func append(_ record: UsageRecord) -> Bool {
        inbox.withLock { inbox in
            guard !inbox.isClosed, inbox.records.count < inboxCapacity else {
                inbox.dropped += 1
                return false
            }
            inbox.records.append(record)
            return inbox.records.count == wakeCount
        }
    }

    /// Swaps the waiting records for the empty `records`; the lock is held for the swap alone.
    func takeRecords(into records: inout [UsageRecord]) {
        inbox.withLock { swap(&$0.records, &records) }
    }

    /// Makes every later record a dropped one: the last batch is on its way.
    func closeInbox() { inbox.withLock { $0.isClosed = true } }
}
