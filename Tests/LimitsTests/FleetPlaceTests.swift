// The division of a limit among nodes that cannot ask each other.

import Testing

@testable import Limits

@Suite struct `Shares of a limit` {
    @Test(arguments: [1, 2, 3, 7, 8, 100], [0, 1, 2, 7, 8, 99, 1_000, 1 << 53] as [Int64])
    func `add up to it over the fleet, whoever's turn it is`(nodes: Int, amount: Int64) {
        for turn in [0, 1, 6, 7, 12_345, .max] as [UInt64] {
            let shares = (0..<nodes).map { FleetPlace(nodes: nodes, rank: $0).share(of: amount, turn: turn) }
            #expect(shares.reduce(0, +) == amount)
            #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1)
        }
    }

    @Test func `take turns at what division leaves over`() {
        let poor = (0..<8).map { FleetPlace(nodes: 8, rank: 3).share(of: 1, turn: $0) }
        #expect(poor.reduce(0, +) == 1)
    }

    @Test(arguments: [(0, 0, 1, 0), (-1, 5, 1, 0), (3, 3, 3, 2), (3, -1, 3, 0), (20_000, 0, 10_000, 0)])
    func `are of a place within bounds`(nodes: Int, rank: Int, foundNodes: Int, foundRank: Int) {
        #expect(FleetPlace(nodes: nodes, rank: rank) == FleetPlace(nodes: foundNodes, rank: foundRank))
        #expect(FleetPlace(nodes: nodes, rank: rank).share(of: -5, turn: 0) == 0)
    }
}
