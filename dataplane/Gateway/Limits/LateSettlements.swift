// Settlements of reservations that Redis holds and that ended while it was out: kept until it is back, up to a bound.

import Limits
import Telemetry

/// A bounded queue of settlements, in batches of one app; first in, first out.
struct LateSettlements {
    /// Settlements that wait at most: some 10 MB.
    static let maxCount = 16_384

    private var batches: [(key: LeaseKey, batch: SettlementBatch)] = []
    private var head = 0
    private var count = 0
    private let lost: Counter

    /// - Parameter lost: counts settlements for which there was no room.
    init(lost: Counter) {
        self.lost = lost
    }

    /// Keeps one more, with the others of its app if the last batch is one.
    mutating func add(_ settlement: Settlement, _ key: LeaseKey) {
        if let last = batches.indices.last, last >= head, batches[last].key == key, !batches[last].batch.isFull {
            guard count < Self.maxCount else { return lost.add() }
            batches[last].batch.add(settlement)
            count += 1
            return
        }
        var batch = SettlementBatch()
        batch.add(settlement)
        add(batch, key)
    }

    /// Keeps a batch.
    mutating func add(_ batch: SettlementBatch, _ key: LeaseKey) {
        guard count + batch.count <= Self.maxCount else { return lost.add(UInt64(batch.count)) }
        batches.append((key, batch))
        count += batch.count
    }

    /// Nothing waits.
    var isEmpty: Bool { head == batches.count }

    /// Takes out the oldest.
    mutating func next() -> (key: LeaseKey, batch: SettlementBatch)? {
        guard head < batches.count else { return nil }
        let next = batches[head]
        head += 1
        count -= next.batch.count
        if head == batches.count {
            batches = []
            head = 0
        }
        return next
    }
}
