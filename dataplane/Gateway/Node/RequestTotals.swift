// How many requests a node brings to an end, and how: counted by workers, told to the control plane a second at a time,
// so that an admin sees the fleet's load where the nodes themselves cannot be reached.

public import Ledger

/// Metered requests since a node's start, by how they ended.
public struct RequestTotals: Sendable, Equatable {
    /// All that ended.
    public private(set) var requests: UInt64 = 0
    /// Those that a policy refused.
    public private(set) var refused: UInt64 = 0
    /// Those that the provider, the node or a deadline failed.
    public private(set) var failed: UInt64 = 0

    /// None yet.
    public init() {}

    /// Adds what ended in one way.
    public mutating func add(_ count: UInt64, of outcome: UsageRecord.Outcome) {
        requests &+= count
        switch outcome {
        case .refused: refused &+= count
        case .upstreamFailed, .interrupted, .timedOut: failed &+= count
        case .completed, .clientGone: break
        }
    }

    /// Adds another count's.
    public static func += (totals: inout RequestTotals, more: RequestTotals) {
        totals.requests &+= more.requests
        totals.refused &+= more.refused
        totals.failed &+= more.failed
    }
}

/// The same for each second of a while.
struct RequestRates {
    private(set) var requests = 0.0
    private(set) var refused = 0.0
    private(set) var failed = 0.0

    /// None, before there is a while.
    init() {}

    init(from before: RequestTotals, to now: RequestTotals, over duration: Duration) {
        let seconds = duration / .seconds(1)
        guard seconds > 0 else { return }
        // A tenth is as fine as anybody reads it.
        func rate(_ then: UInt64, _ now: UInt64) -> Double { (Double(now &- then) / seconds * 10).rounded() / 10 }
        requests = rate(before.requests, now.requests)
        refused = rate(before.refused, now.refused)
        failed = rate(before.failed, now.failed)
    }
}
