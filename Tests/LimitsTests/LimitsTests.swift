// What needs no server: names, arguments, what is believed of a reply, the hint for clients, and the local limiter.

import Testing

@testable import Limits

private func makeClaim(
    _ counter: String = "p",
    rule: Int = 0,
    limit: Int64 = 10,
    window: Int64 = 60_000,
    cost: Int64 = 1,
    isShadow: Bool = false
) -> LimitClaim {
    LimitClaim(
        rule: rule,
        counter: Array(counter.utf8),
        limit: limit,
        windowMilliseconds: window,
        algorithm: .fixedWindow,
        unit: .requests,
        cost: cost,
        isShadow: isShadow
    )
}

private func text(_ bytes: [[UInt8]]) -> [String] { bytes.map { String(decoding: $0, as: UTF8.self) } }

@Suite struct `A counter's key` {
    @Test(arguments: [
        ("app_1-Z", "weir:{app_1-Z}:l:p:60"), ("a}{b", "weir:{a%7d%7bb}:l:p:60"), ("a\r\n", "weir:{a%0d%0a}:l:p:60"),
        ("a%b", "weir:{a%25b}:l:p:60"), ("é", "weir:{%c3%a9}:l:p:60"), ("", "weir:{}:l:p:60"),
    ])
    func `lies in its app's slot, whatever the app's id`(app: String, key: String) {
        #expect(text(ReserveScript.keys(app: Array(app.utf8), claims: [makeClaim()])) == [key])
    }
}

@Suite struct `The arguments` {
    @Test func `are cost, limit and window, a shadow's limit below 0`() {
        let claims = [
            makeClaim(limit: 100, cost: 7), makeClaim(limit: 100, window: 1_000, isShadow: true),
            makeClaim(limit: 0, cost: 0, isShadow: true), makeClaim(limit: .max, cost: .max),
            makeClaim(limit: -1, cost: .min),
        ]
        let big = "9007199254740992"
        #expect(
            text(ReserveScript.arguments(claims: claims)) == [
                "7", "100", "60000", "1", "-101", "1000", "0", "-1", "60000", big, "9007199254740991", "60000", "0",
                "0", "60000",
            ]
        )
    }

    @Test(arguments: [
        (0, "0"), (-7, "-7"), (10, "10"), (Int64.min, "-9223372036854775808"), (.max, "9223372036854775807"),
    ])
    func `are whole numbers in decimal`(value: Int64, expected: String) {
        #expect(String(decoding: Decimal.bytes(value), as: UTF8.self) == expected)
    }
}

@Suite struct `A reply` {
    private static let now: Int64 = 600_000_030_000
    private static let last: Int64 = 600_000_059_999

    @Test func `says where each counter stands`() throws {
        let claims = [makeClaim(), makeClaim(limit: 5, isShadow: true)]
        let outcome = try ReserveScript.outcome(of: [0, Self.now, 3, Self.last, -6, Self.last], claims: claims)
        #expect(
            outcome
                == .admitted([
                    LimitState(remaining: 7, resetMilliseconds: 30_000, windowID: 10_000_000),
                    LimitState(remaining: 0, resetMilliseconds: 30_000, windowID: 10_000_000, isOver: true),
                ])
        )
        guard
            case .refused(claim: 0, let states) = try ReserveScript.outcome(
                of: [1, Self.now, -11, Self.last],
                claims: [makeClaim()]
            )
        else {
            Issue.record("not refused")
            return
        }
        #expect(states[0].isOver && states[0].remaining == 0)
    }

    @Test(
        arguments: [
            [], [0], [0, now], [0, now, 1], [0, now, 1, last, 0], [0, now, 1, last, 0, last],  // count
            [2, now, -11, last], [-1, now, 1, last], [.max, now, 1, last],  // which claim
            [0, now, -11, last],  // an enforced claim over its limit refuses
            [1, now, 3, last],  // a claim that refuses is over its limit
            [0, now, (1 << 53) + 1, last], [0, now, .max, last], [0, now, .min, last],  // used
            [0, now, 1, now - 1], [0, now, 1, last + 60_000], [0, now, 1, last - 1], [0, now, 1, -1],  // window
            [0, 0, 1, last], [0, -1, 1, last], [0, .min, 1, last], [0, .max, 1, .max], [0, .min, 1, .max],  // now
        ] as [[Int64]]
    )
    func `is not believed when no script of ours gives it`(integers: [Int64]) {
        #expect(throws: LimitsError.self) { try ReserveScript.outcome(of: integers, claims: [makeClaim()]) }
    }

    @Test(arguments: 0..<2_000 as Range<UInt64>)
    func `never traps and never leaves the claim's bounds`(seed: UInt64) {
        var random = SeededGenerator(seed)
        let edges: [Int64] = [0, 1, -1, .min, .max, 1 << 53, -(1 << 53), Self.now, Self.last, Self.last + 60_000]
        let claims = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            makeClaim(isShadow: Bool.random(using: &random))
        }
        let integers = (0..<2 + 2 * claims.count).map { _ in
            edges[Int.random(in: 0..<edges.count, using: &random)] &+ Int64.random(in: -1...1, using: &random)
        }
        do {
            for (claim, state) in zip(claims, try ReserveScript.outcome(of: integers, claims: claims).states) {
                #expect((0...claim.limit).contains(state.remaining))
                #expect((1...claim.windowMilliseconds).contains(state.resetMilliseconds))
            }
        } catch {
            #expect(error == .wrongCount || error == .outOfBounds)
        }
    }
}

@Suite struct `A retry hint` {
    private func state(_ reset: Int64, over: Bool = true) -> LimitState {
        LimitState(remaining: 0, resetMilliseconds: reset, windowID: 0, isOver: over)
    }

    @Test func `waits for the last window that refused, and no other`() {
        let hint = RetryAfter(
            claims: [makeClaim(), makeClaim(), makeClaim(isShadow: true), makeClaim()],
            states: [state(1_500), state(2_001), state(50_000), state(40_000, over: false)]
        )
        #expect(hint.milliseconds == 2_001)
        #expect(hint.seconds == 3)
        #expect(hint.isWorthRetrying)
    }

    @Test(arguments: [(60_000, true), (60_001, false)])
    func `is worth it up to a minute`(reset: Int64, isWorth: Bool) {
        #expect(RetryAfter(claims: [makeClaim()], states: [state(reset)]).isWorthRetrying == isWorth)
    }

    @Test func `is not worth it when the request is larger than the limit`() {
        #expect(!RetryAfter(claims: [makeClaim(limit: 10, cost: 11)], states: [state(5)]).isWorthRetrying)
        #expect(RetryAfter(claims: [makeClaim(limit: 10, cost: 10)], states: [state(0)]).milliseconds == 1)
    }
}

@Suite struct `The local limiter` {
    private let app = Array("a".utf8)

    @Test(arguments: [(10, 1, 10), (10, 2, 5), (10, 3, 3), (10, 8, 1), (1, 8, 1), (0, 2, 0), (10, 0, 10)])
    func `admits this node's share`(limit: Int64, nodes: Int, admits: Int) {
        var limiter = LocalLimiter()
        let admitted = (0..<20).filter { _ in
            limiter.reserve(app: app, claims: [makeClaim(limit: limit)], share: nodes, nowMilliseconds: 5).isAdmitted
        }
        #expect(admitted.count == admits)
    }

    @Test func `charges all or none, and begins each window empty`() {
        var limiter = LocalLimiter()
        let wide = makeClaim("wide", limit: 10)
        let narrow = makeClaim("narrow", limit: 1)
        #expect(limiter.reserve(app: app, claims: [wide, narrow], share: 1, nowMilliseconds: 59_999).isAdmitted)
        let refused = limiter.reserve(app: app, claims: [wide, narrow], share: 1, nowMilliseconds: 59_999)
        guard case .refused(claim: 1, let states) = refused else {
            Issue.record("\(refused)")
            return
        }
        #expect(states.map(\.remaining) == [9, 0])
        #expect(states.map(\.resetMilliseconds) == [1, 1])
        let next = limiter.reserve(app: app, claims: [wide, narrow], share: 1, nowMilliseconds: 60_000)
        #expect(next.isAdmitted)
        #expect(next.states.map(\.remaining) == [9, 0])
        #expect(next.states.map(\.windowID) == [1, 1])
    }

    @Test func `settles the window that was charged, never below 0`() throws {
        var limiter = LocalLimiter()
        let claim = makeClaim(limit: 100, cost: 50)
        let state = limiter.reserve(app: app, claims: [claim], share: 1, nowMilliseconds: 0).states[0]
        let charge = try #require(SettledCharge(claim, state, used: 10))
        limiter.settle(app: app, charges: [charge])
        #expect(limiter.reserve(app: app, claims: [claim], share: 1, nowMilliseconds: 0).states[0].remaining == 40)
        limiter.settle(app: app, charges: [charge, charge])
        #expect(limiter.reserve(app: app, claims: [claim], share: 1, nowMilliseconds: 0).states[0].remaining == 50)
        _ = limiter.reserve(app: app, claims: [claim], share: 1, nowMilliseconds: 60_000)
        limiter.settle(app: app, charges: [charge])
        #expect(limiter.reserve(app: app, claims: [claim], share: 1, nowMilliseconds: 60_000).states[0].remaining == 0)
    }

    @Test func `is bounded per app and in all, and admits less when it is full, never more`() {
        var limiter = LocalLimiter(maxCounters: 100, maxCountersPerApp: 40)
        for index in 0..<1_000 {
            _ = limiter.reserve(app: app, claims: [makeClaim("h\(index)", limit: 5)], share: 1, nowMilliseconds: 0)
        }
        #expect(limiter.counterCount == 41)
        // What has no counter of its own shares one, which is used up.
        #expect(
            !limiter.reserve(app: app, claims: [makeClaim("new", limit: 5)], share: 1, nowMilliseconds: 0).isAdmitted
        )
        // A counter that is known, another rule and another app are none the worse.
        #expect(limiter.reserve(app: app, claims: [makeClaim("h3", limit: 5)], share: 1, nowMilliseconds: 0).isAdmitted)
        let other = makeClaim("new", rule: 1, limit: 5)
        #expect(limiter.reserve(app: app, claims: [other], share: 1, nowMilliseconds: 0).isAdmitted)
        #expect(limiter.reserve(app: [98], claims: [makeClaim()], share: 1, nowMilliseconds: 0).isAdmitted)
        for index in 0..<1_000 {
            let app = Array("\(index % 10)".utf8)
            _ = limiter.reserve(app: app, claims: [makeClaim("h\(index)")], share: 1, nowMilliseconds: 0)
        }
        #expect(limiter.counterCount <= 112)
        // The next window sweeps the ended ones out.
        _ = limiter.reserve(app: app, claims: [makeClaim()], share: 1, nowMilliseconds: 60_000)
        #expect(limiter.counterCount == 1)
    }

    @Test func `never refuses a shadow claim`() {
        var limiter = LocalLimiter()
        let claim = makeClaim(limit: 1, isShadow: true)
        let over = (0..<3).map { _ in
            limiter.reserve(app: app, claims: [claim], share: 1, nowMilliseconds: 0)
        }
        #expect(over.map(\.isAdmitted) == [true, true, true])
        #expect(over.map { $0.states[0].isOver } == [false, true, true])
    }
}

extension ReserveOutcome {
    fileprivate var isAdmitted: Bool {
        if case .admitted = self { true } else { false }
    }

    fileprivate var states: [LimitState] {
        switch self {
        case .admitted(let states), .refused(_, let states): states
        }
    }
}
