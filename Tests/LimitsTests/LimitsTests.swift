// What needs no server: names, arguments, what is believed of a reply, and the hint for clients.

import Testing

@testable import Limits

private func makeCall(_ claims: [LimitClaim], app: [UInt8] = [97]) -> ScriptCall {
    ReserveScript.call(
        app: app,
        claims: claims,
        holder: LeaseHolder("n1.b7"),
        id: ReservationID(worker: 3, number: .max)
    )
}

private func text(_ bytes: [[UInt8]]) -> [String] { bytes.map { String(decoding: $0, as: UTF8.self) } }

@Suite struct `A counter's key` {
    @Test(arguments: [
        ("app_1-Z", "weir:{app_1-Z}:l:p:60"), ("a}{b", "weir:{a%7d%7bb}:l:p:60"), ("a\r\n", "weir:{a%0d%0a}:l:p:60"),
        ("a%b", "weir:{a%25b}:l:p:60"), ("é", "weir:{%c3%a9}:l:p:60"), ("", "weir:{}:l:p:60"),
    ])
    func `lies in its app's slot, whatever the app's id`(app: String, key: String) {
        #expect(text(makeCall([makeClaim(limit: 1, window: 60_000)], app: Array(app.utf8)).keys) == [key])
    }
}

@Suite struct `The arguments` {
    @Test func `are cost, limit and window, a shadow's limit below 0`() {
        let claims = [
            makeClaim(limit: 100, window: 60_000, cost: 7), makeClaim(limit: 100, window: 1_000, isShadow: true),
            makeClaim(limit: 0, window: 60_000, cost: 0, isShadow: true),
            makeClaim(limit: .max, window: 60_000, cost: .max), makeClaim(limit: -1, window: 60_000, cost: .min),
        ]
        let big = "9007199254740992"
        #expect(
            text(makeCall(claims).arguments) == [
                "7", "100", "60000", "1", "-101", "1000", "0", "-1", "60000", big, "9007199254740991", "60000", "0",
                "0", "60000",
            ]
        )
    }

    @Test func `name each claim's kind, charge, limit, window and bounds, and a bucket's rate`() {
        let distinct = DistinctBound(max: 9, sharedCounter: Array("p:~".utf8))
        let claims = [
            makeClaim("p:h1", limit: 100, window: 60_000, distinct: distinct),
            makeClaim("t", limit: 1_000_000_000, window: 86_400_000, .tokenBucket, cost: 70, unit: .tokens, burst: 500),
            makeClaim("s", limit: 100, window: 1_000, .slidingWindow, isShadow: true),
            makeClaim("p", limit: 8, window: 0, .concurrency, unit: .inFlight),
        ]
        let call = makeCall(claims)
        #expect(call.script == .reserveAny)
        #expect(
            text(call.keys) == [
                "weir:{a}:n", "weir:{a}:o:n1.b7", "weir:{a}:l:p:h1:60", "weir:{a}:d:p:~:60", "weir:{a}:l:p:~:60",
                "weir:{a}:b:t:86400", "weir:{a}:s:s:1", "weir:{a}:c:p:0",
            ]
        )
        let expected = """
            n1.b7 3.18446744073709551615 0 l 0 1 100 60000 9 b 1 70 1000000000 86400000 0 625 54 27000 \
            s 0 1 -101 1000 0 c 1 1 8 0 0
            """
        #expect(text(call.arguments).joined(separator: " ") == expected)
        // Without anything to return there is no lease.
        #expect(text(Array(makeCall([claims[0]]).arguments.prefix(4))) == ["", "", "0", "l"])
        #expect(makeCall([claims[0]]).keys.count == 3)
        #expect(makeCall([makeClaim(limit: 1)]).script == .reserve)
        let tokens = makeCall([makeClaim(limit: 1), makeClaim("t", limit: 1, unit: .tokens)])
        #expect(tokens.script == .reserveAny && text(tokens.arguments)[2] == "1")
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
        let claims = [makeClaim(limit: 10, window: 60_000), makeClaim(limit: 5, window: 60_000, isShadow: true)]
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
                claims: [makeClaim(limit: 10, window: 60_000)]
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
        #expect(throws: LimitsError.self) {
            try ReserveScript.outcome(of: integers, claims: [makeClaim(limit: 10, window: 60_000)])
        }
    }

    @Test(arguments: 0..<2_000 as Range<UInt64>)
    func `never traps and never leaves the claim's bounds`(seed: UInt64) {
        var random = SeededGenerator(seed)
        let edges: [Int64] = [0, 1, -1, .min, .max, 1 << 53, -(1 << 53), Self.now, Self.last, Self.last + 60_000]
        let claims = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            makeClaim(limit: 10, window: 60_000, isShadow: Bool.random(using: &random))
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

@Suite struct `A reply about any counters` {
    private static let now: Int64 = 600_000_030_000
    private static let distinct = DistinctBound(max: 1, sharedCounter: [1])
    private static let algorithms: [LimitAlgorithm] = [.fixedWindow, .slidingWindow, .tokenBucket, .concurrency]

    private static func claim(_ algorithm: LimitAlgorithm, isShadow: Bool = false, shared: Bool = true) -> LimitClaim {
        makeClaim(
            limit: 10,
            window: algorithm == .concurrency ? 0 : 60_000,
            algorithm,
            unit: algorithm == .concurrency ? .inFlight : .tokens,
            isShadow: isShadow,
            distinct: shared && algorithm != .concurrency ? distinct : nil
        )
    }

    @Test func `says where each counter stands`() throws {
        let claims = Self.algorithms.map { Self.claim($0) }
        let outcome = try ReserveScript.outcome(
            of: [
                0, Self.now, 7, 29_999, 600_000_059_999, 0, 61_200, -500_000_026, 3, 1, 0, 9, 0, 0,
            ],
            claims: claims
        )
        #expect(
            outcome
                == .admitted([
                    LimitState(remaining: 7, resetMilliseconds: 29_999, windowID: 10_000_000),
                    LimitState(remaining: 0, resetMilliseconds: 61_200, windowID: 500_000_025, isShared: true),
                    LimitState(remaining: 3, resetMilliseconds: 1, windowID: 0),
                    LimitState(remaining: 9, resetMilliseconds: 0, windowID: 0),
                ])
        )
    }

    @Test(
        arguments: [
            (.fixedWindow, [0, now, 1, 1]), (.fixedWindow, [0, now, 1, 1, 600_000_059_999, 0]),
            (.fixedWindow, [0, now, 11, 1, 600_000_059_999]), (.fixedWindow, [0, now, 1, 60_001, 600_000_059_999]),
            (.fixedWindow, [0, now, 1, -1, 600_000_059_999]), (.fixedWindow, [0, now, 1, 1, 600_000_059_998]),
            (.fixedWindow, [0, now, 1, 1, 600_000_119_999]), (.fixedWindow, [0, now, -1, 1, 600_000_059_999]),
            (.fixedWindow, [1, now, 1, 1, 600_000_059_999]), (.fixedWindow, [2, now, -1, 1, 600_000_059_999]),
            (.slidingWindow, [0, now, 11, 1, 500_000_025]), (.slidingWindow, [0, now, 1, 61_201, 500_000_025]),
            (.slidingWindow, [0, now, 1, 1, 500_000_026]), (.slidingWindow, [0, now, 1, 1, .max]),
            (.tokenBucket, [0, now, 11, 1, 0]), (.tokenBucket, [0, now, 1, .max, 0]),
            (.tokenBucket, [0, now, 1, 1, 1]), (.concurrency, [0, now, 11, 0, 0]),
            (.concurrency, [0, now, 1, 1_001, 0]), (.concurrency, [0, now, 1, 0, -1]),
            (.tokenBucket, [0, now, .min, 1, 0]), (.tokenBucket, [0, 0, 1, 1, 0]), (.tokenBucket, [0, .max, 1, 1, 0]),
        ] as [(LimitAlgorithm, [Int64])]
    )
    func `is not believed when no script of ours gives it`(algorithm: LimitAlgorithm, integers: [Int64]) {
        #expect(throws: LimitsError.self) {
            try ReserveScript.outcome(of: integers, claims: [Self.claim(algorithm)])
        }
    }

    @Test func `is not believed about a shared counter where there is none`() {
        #expect(throws: LimitsError.self) {
            try ReserveScript.outcome(of: [0, Self.now, 1, 1, -1], claims: [Self.claim(.tokenBucket, shared: false)])
        }
    }

    @Test(arguments: 0..<2_000 as Range<UInt64>)
    func `never traps and never leaves the claim's bounds`(seed: UInt64) {
        var random = SeededGenerator(seed)
        let edges: [Int64] = [
            0, 1, -1, .min, .max, 1 << 53, -(1 << 53), Self.now, 600_000_059_999, -600_000_060_000, 500_000_025, 60_000,
        ]
        let claims = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            Self.claim(
                Self.algorithms[Int.random(in: 0..<4, using: &random)],
                isShadow: Bool.random(using: &random)
            )
        }
        let integers = (0..<2 + 3 * claims.count).map { _ in
            edges[Int.random(in: 0..<edges.count, using: &random)] &+ Int64.random(in: -1...1, using: &random)
        }
        do {
            for (claim, state) in zip(claims, try ReserveScript.outcome(of: integers, claims: claims).states) {
                #expect((0...claim.capacity).contains(state.remaining))
                #expect(state.resetMilliseconds >= 0)
                // Whatever it was, it can be settled.
                _ = SettledCharge(claim, state, used: 5)
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
            claims: [
                makeClaim(limit: 10, window: 60_000), makeClaim(limit: 10, window: 60_000),
                makeClaim(limit: 10, isShadow: true), makeClaim(limit: 10, window: 60_000),
            ],
            states: [state(1_500), state(2_001), state(50_000), state(40_000, over: false)]
        )
        #expect(hint.milliseconds == 2_001)
        #expect(hint.seconds == 3)
        #expect(hint.isWorthRetrying)
    }

    @Test(arguments: [(60_000, true), (60_001, false)])
    func `is worth it up to a minute`(reset: Int64, isWorth: Bool) {
        #expect(
            RetryAfter(claims: [makeClaim(limit: 10, window: 60_000)], states: [state(reset)]).isWorthRetrying
                == isWorth
        )
    }

    @Test func `is not worth it when the request is larger than the limit`() {
        #expect(!RetryAfter(claims: [makeClaim(limit: 10, cost: 11)], states: [state(5)]).isWorthRetrying)
        let bucket = makeClaim(limit: 10, window: 60_000, .tokenBucket, cost: 11, burst: 20)
        #expect(RetryAfter(claims: [bucket], states: [state(5)]).isWorthRetrying)
        #expect(RetryAfter(claims: [makeClaim(limit: 10, cost: 10)], states: [state(0)]).milliseconds == 1)
    }
}
