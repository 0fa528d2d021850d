// Holds a node's records until the control plane has acknowledged them. In memory and bounded: when the control plane
// is away for long, new records are dropped and counted rather than requests delayed. The durable spool (DESIGN §7)
// will stand behind this same interface.

/// The records that a node has not shipped yet, in order.
///
/// A plain value: its owner guards it when several threads append.
public struct UsageQueue: Sendable {
    /// About 30 MB at the usual 450 bytes a record.
    public static let defaultCapacity = 65_536

    /// The node whose records these are.
    public let nodeID: String
    /// The boot that numbers them.
    public let bootID: String
    /// The most records that are held.
    public let capacity: Int
    /// Records that were refused because the queue was full, since the start.
    public private(set) var droppedCount: UInt64 = 0
    /// Records that were acknowledged, since the start.
    public private(set) var acknowledgedCount: UInt64 = 0
    /// The sequence of the newest record; 0 before the first.
    public private(set) var lastSequence: UInt64 = 0

    /// Acknowledged records are cut off the front once they are half of it, so that each is moved once at most.
    private var records: [UsageRecord] = []
    private var head = 0

    /// Makes an empty queue.
    ///
    /// - Parameters:
    ///   - nodeID: at most `UsageBatch.maxIDBytes` bytes.
    ///   - bootID: at most `UsageBatch.maxIDBytes` bytes; another one for every boot, since sequences begin again.
    ///   - capacity: the most records that are held, 1 or more.
    public init(nodeID: String, bootID: String, capacity: Int = Self.defaultCapacity) {
        precondition(nodeID.utf8.count <= UsageBatch.maxIDBytes && bootID.utf8.count <= UsageBatch.maxIDBytes)
        precondition(capacity >= 1)
        self.nodeID = nodeID
        self.bootID = bootID
        self.capacity = capacity
    }

    /// Records waiting to be acknowledged.
    public var count: Int { records.count - head }

    /// Whether nothing waits.
    public var isEmpty: Bool { count == 0 }

    /// Gives the record its sequence and keeps it.
    ///
    /// - Returns: false when the queue was full: the record is dropped, counted, and takes no sequence.
    @discardableResult
    public mutating func append(_ record: UsageRecord) -> Bool {
        guard count < capacity else {
            droppedCount += 1
            return false
        }
        lastSequence += 1
        records.append(record)
        records[records.count - 1].sequence = lastSequence
        return true
    }

    /// The oldest records as a batch; they stay until they are acknowledged.
    ///
    /// - Parameter maxRecords: the most to take, 1 or more; never more than a batch may hold.
    /// - Returns: nil when nothing waits.
    public func makeBatch(maxRecords: Int = UsageBatch.maxRecords) -> UsageBatch? {
        precondition(maxRecords >= 1)
        guard !isEmpty else { return nil }
        var size = 2 * (UsageBatch.maxIDBytes + 2) + 16
        var end = head
        let limit = min(records.count, head + min(maxRecords, UsageBatch.maxRecords))
        while end < limit {
            size += records[end].encodedSizeBound
            guard size <= UsageBatch.maxBytes else { break }
            end += 1
        }
        return UsageBatch(nodeID: nodeID, bootID: bootID, records: Array(records[head..<end]))
    }

    /// Forgets every record up to a sequence; one that was forgotten already changes nothing.
    public mutating func acknowledge(upTo sequence: UInt64) {
        let start = head
        while head < records.count, records[head].sequence <= sequence {
            head += 1
        }
        acknowledgedCount += UInt64(head - start)
        guard head > 0, head * 2 >= records.count else { return }
        records.removeFirst(head)
        head = 0
    }
}
