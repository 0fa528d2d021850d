// What a node admitted on its own is added once, to windows that are still the same, and never takes anything away.

import Foundation
import Testing

@testable import Limits

@Suite struct `A merge` {
    let node: TestNode

    init() throws { node = TestNode(try sharedServer.get().client(), app: makeApp()) }

    private func use(_ claim: LimitClaim, used: Int64, windowsAgo: Int64 = 0) throws -> LocalUse {
        let now = Int64(Date().timeIntervalSince1970 * 1_000)
        let current = claim.algorithm.windowID(at: now, windowMilliseconds: claim.windowMilliseconds)
        return try #require(LocalUse(claim, windowID: current - windowsAgo, used: used))
    }

    @Test(arguments: [LimitAlgorithm.fixedWindow, .slidingWindow, .tokenBucket])
    func `is added once, whether the counter was there or not`(algorithm: LimitAlgorithm) throws {
        let known = makeClaim("known", limit: 100, window: 31 * 86_400_000, algorithm)
        let new = makeClaim("new", limit: 100, window: 31 * 86_400_000, algorithm)
        _ = try node.reserve([known])
        for done in [2, nil] as [Int?] {
            #expect(try node.merge("h.1", use(known, used: 30), use(new, used: 40)) == done)
        }
        #expect(try node.reserve([known]).states[0].remaining == 68)
        #expect(try node.reserve([new]).states[0].remaining == 59)
        #expect(try node.merge("h.2", use(known, used: 1)) == 1)
        #expect(try node.reserve([known]).states[0].remaining == 66)
    }

    @Test(arguments: [LimitAlgorithm.fixedWindow, .slidingWindow, .tokenBucket])
    func `may pass the limit, and then admits nothing`(algorithm: LimitAlgorithm) throws {
        let claim = makeClaim(limit: 10, window: 31 * 86_400_000, algorithm)
        #expect(try node.merge("h.1", use(claim, used: 25)) == 1)
        let refused = try node.reserve([claim])
        #expect(!refused.isAdmitted && refused.states[0].remaining == 0)
        // A bucket is only emptied: one token is back after a tenth of the window, and not after 1.6 of it.
        if algorithm == .tokenBucket { #expect(refused.states[0].resetMilliseconds <= 31 * 8_640_000) }
    }

    // A node without Redis admits any value; what it then makes here must not come on top of the bound.
    @Test(arguments: [LimitAlgorithm.fixedWindow, .slidingWindow, .tokenBucket])
    func `counts the counters that it makes against the bound on distinct values`(algorithm: LimitAlgorithm) throws {
        let distinct = DistinctBound(max: 3, sharedCounter: Array("p:~".utf8))
        func claim(_ name: String) -> LimitClaim {
            makeClaim(name, limit: 9_000_000, window: 31 * 86_400_000, algorithm, distinct: distinct)
        }
        let known = try node.reserve([claim("p:h0")])
        #expect(!known.states[0].isShared)
        let shared = try #require(LocalUse(claim("p:h9"), isShared: true, windowID: known.states[0].windowID, used: 2))
        #expect(try node.merge("h.1", use(claim("p:h0"), used: 1), use(claim("p:h1"), used: 1), shared) == 3)
        #expect(try node.merge("h.2", use(claim("p:h1"), used: 1)) == 1)
        let key = CounterKeys(app: node.app).distinctKey(distinct, windowMilliseconds: 31 * 86_400_000)
        #expect(try node.redis.command([Array("GET".utf8), key]) == .text("2"))
        #expect(try !node.reserve([claim("p:h2")]).states[0].isShared)
        #expect(try node.reserve([claim("p:h3")]).states[0].isShared)
        #expect(try !node.reserve([claim("p:h1")]).states[0].isShared)
    }

    @Test func `lets its count of new counters expire with the window`() throws {
        let distinct = DistinctBound(max: 3, sharedCounter: Array("p:~".utf8))
        let claim = makeClaim("p:h", limit: 9, window: 31 * 86_400_000, distinct: distinct)
        #expect(try node.merge("h.1", use(claim, used: 1)) == 1)
        let key = CounterKeys(app: node.app).distinctKey(distinct, windowMilliseconds: 31 * 86_400_000)
        guard case .integer(let ends) = try node.redis.command([Array("PEXPIRETIME".utf8), key]) else {
            throw RESPError.unexpected
        }
        #expect(try node.expiry(claim) == .integer(ends - 1))
    }

    @Test func `passes by windows that are over`() throws {
        let fixed = makeClaim("f", limit: 10, window: 60_000)
        let sliding = makeClaim("s", limit: 10, window: 60_000, .slidingWindow)
        #expect(try node.merge("h.1", use(fixed, used: 5, windowsAgo: 1), use(sliding, used: 5, windowsAgo: 51)) == 0)
        #expect(try node.value(fixed) == .null && node.value(sliding) == .null)
        // A window that a node's clock takes for the present is not Redis's.
        #expect(try node.merge("h.2", use(fixed, used: 5, windowsAgo: -1)) == 0)
        // Half of a sliding window ago still counts, and what lies ahead counts as now.
        #expect(try node.merge("h.3", use(sliding, used: 2, windowsAgo: 25), use(fixed, used: 1)) == 2)
        #expect(try node.merge("h.4", use(sliding, used: 2, windowsAgo: -7)) == 1)
        #expect(try node.reserve([sliding]).states[0].remaining == 5)
    }

    @Test func `charges the others when a counter is none, and says so`() throws {
        let claims = ["a", "b"].map { makeClaim($0, limit: 10, window: 31 * 86_400_000, .slidingWindow) }
        try node.set(claims[0], "garbage")
        let uses = try claims.map { try use($0, used: 4) }
        let call = MergeScript.call(app: node.app, id: [1], uses: uses)
        guard case .error(let message) = try node.run(call) else {
            Issue.record("no error")
            return
        }
        #expect(message.contains("not an integer"))
        #expect(try node.reserve([claims[1]]).states[0].remaining == 5)
    }

    @Test func `has nothing to say of nothing, nor of requests in flight`() {
        #expect(LocalUse(makeClaim(limit: 1), windowID: 5, used: 0) == nil)
        #expect(LocalUse(makePlace(limit: 1), windowID: 0, used: 3) == nil)
        let distinct = DistinctBound(max: 1, sharedCounter: [7])
        #expect(LocalUse(makeClaim(limit: 1, distinct: distinct), isShared: true, windowID: 5, used: 1)?.counter == [7])
    }

    @Test func `expires with its day`() throws {
        _ = try node.merge("h.1", use(makeClaim(limit: 1), used: 1))
        let key = CounterKeys(app: node.app).merge(Array("h.1".utf8))
        guard case .integer(let left) = try node.redis.command([Array("PTTL".utf8), key]) else {
            throw RESPError.unexpected
        }
        #expect((86_000_000...86_400_000).contains(left))
    }

    @Test(arguments: [[-2], [201], [.max]] as [[Int64]]) func `is not believed when its answer cannot be`(
        integers: [Int64]
    ) {
        #expect(throws: LimitsError.self) { try MergeScript.outcome(of: integers[0]) }
    }
}
