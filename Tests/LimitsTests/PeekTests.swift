// Looking at a counter says what a reservation would find, and changes nothing.

import Testing

@testable import Limits

@Suite struct `A look at counters` {
    /// All that an app has in Redis, as it is stored.
    private func dump(_ node: TestNode) throws -> [String] {
        let pattern = "weir:{\(String(decoding: node.app, as: UTF8.self))}:*"
        guard case .array(let keys) = try node.redis.command("KEYS", pattern) else { throw RESPError.unexpected }
        return try keys.map { key in
            guard case .text(let name) = key else { throw RESPError.unexpected }
            let digest = "return redis.sha1hex(redis.call('DUMP', KEYS[1])) .. redis.call('PEXPIRETIME', KEYS[1])"
            return "\(name) \(try node.redis.command("EVAL", digest, "1", name))"
        }
        .sorted()
    }

    private func peek(_ node: TestNode, _ claims: [LimitClaim]) throws -> [LimitState] {
        let reply = try node.run(PeekScript.call(app: node.app, claims: claims))
        return try PeekScript.states(of: try #require(reply.integers, "\(reply)"), claims: claims)
    }

    @Test(arguments: LimitAlgorithm.allCases)
    func `says what a reservation would, and changes nothing`(algorithm: LimitAlgorithm) throws {
        let node = TestNode(try sharedServer.get().client(), app: makeApp())
        let claims = [
            algorithm == .concurrency
                ? makePlace(limit: 3)
                : makeClaim(limit: 3, algorithm, unit: algorithm == .tokenBucket ? .tokens : .requests, burst: nil)
        ]
        #expect(try peek(node, claims)[0].remaining == 3)
        #expect(try dump(node).isEmpty, "not even a key")
        for used in 1...3 as ClosedRange<Int64> {
            _ = try node.reserve(claims)
            let before = try dump(node)
            let state = try peek(node, claims)[0]
            #expect(state.remaining == 3 - used && state.isOver == (used == 3))
            #expect(try dump(node) == before)
        }
        guard case .refused(let index, let states) = try node.reserve(claims).outcome else {
            Issue.record("admitted")
            return
        }
        #expect(index == 0 && states[0].remaining == 0)
    }

    @Test func `tells claims of several kinds apart`() throws {
        let node = TestNode(try sharedServer.get().client(), app: makeApp())
        let claims = [
            makeClaim("a", limit: 5), makeClaim("b", limit: 100, .slidingWindow, cost: 30, unit: .tokens),
            makePlace("c", limit: 1), makeClaim("d", limit: 0, isShadow: true),
        ]
        _ = try node.reserve(claims)
        let states = try peek(node, claims)
        #expect(states.map(\.remaining) == [4, 70, 0, 0])
        #expect(states.map(\.isOver) == [false, false, true, true])
    }
}
