// How nodes that cannot ask each other divide a limit, so that their shares add up to it: one of 1 is admitted by one
// node of eight, not by all of them.

/// Which of how many nodes this is, as the control plane last said.
public struct FleetPlace: Equatable, Sendable {
    /// Nodes that share the limits, 1...10,000.
    public let nodes: Int
    /// This node's index among them by id, 0..<nodes.
    public let rank: Int

    /// The most nodes of a fleet.
    public static let maxNodes = 10_000
    /// A node that knows of no other.
    public static let alone = FleetPlace(nodes: 1, rank: 0)

    /// Makes a place; what is out of range is brought into it.
    public init(nodes: Int, rank: Int) {
        self.nodes = min(max(nodes, 1), Self.maxNodes)
        self.rank = min(max(rank, 0), self.nodes - 1)
    }

    /// This node's share of an amount.
    ///
    /// Over all ranks the shares of one amount and turn add up to the amount, exactly.
    ///
    /// - Parameters:
    ///   - amount: what is to be divided; below 0 counts as 0.
    ///   - turn: who gets what division leaves over; should differ from counter to counter and window to window, so
    ///     that no node is always the poor one.
    /// - Returns: 0...amount.
    public func share(of amount: Int64, turn: UInt64) -> Int64 {
        guard amount > 0 else { return 0 }
        let count = Int64(nodes)
        let (whole, rest) = amount.quotientAndRemainder(dividingBy: count)
        let place = (UInt64(rank) + turn % UInt64(nodes)) % UInt64(nodes)
        return whole + (place < UInt64(rest) ? 1 : 0)
    }
}
