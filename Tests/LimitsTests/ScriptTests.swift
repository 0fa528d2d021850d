// The two scripts against a real Redis: exact under concurrency, all or nothing, by Redis's clock, and no harm from
// what else may lie in a counter's place.

import Foundation
import Synchronization
import Testing

@testable import Limits

@Suite struct `The reserve script` {
    let node: TestNode

    init() throws { node = TestNode(try sharedServer.get().client(), app: makeApp()) }

    enum Kind: CaseIterable {
        case fixed, tokens, sliding, bucket, places

        func claim(limit: Int64) -> LimitClaim {
            switch self {
            case .fixed: makeClaim(limit: limit, window: 31 * 86_400_000)
            case .tokens: makeClaim(limit: limit, window: 31 * 86_400_000, unit: .tokens)
            case .sliding: makeClaim(limit: limit, window: 86_400_000, .slidingWindow)
            // A token takes a day to come back.
            case .bucket: makeClaim(limit: 1, window: 86_400_000, .tokenBucket, burst: limit)
            case .places: makePlace(limit: limit)
            }
        }
    }

    @Test(arguments: Kind.allCases, [1, 100, 10_000] as [Int64])
    func `admits the limit exactly, whoever asks at the same time`(kind: Kind, limit: Int64) throws {
        let port = try sharedServer.get().port
        let claim = kind.claim(limit: limit)
        let admitted = Atomic<Int64>(0)
        let failures = Mutex<[String]>([])
        // One holder, whose lease whoever asks keeps: on a busy machine, that of the first to end lapsed before the last
        // had asked, and what it held was admitted again.
        DispatchQueue.concurrentPerform(iterations: 16) { [app = node.app] iteration in
            do {
                let node = TestNode(try RedisClient(port: port), app: app, "all")
                for number in 0..<UInt64(limit / 16 + 50) {
                    let id = ReservationID(worker: UInt16(iteration), number: number)
                    guard try node.reserve([claim], id: id).isAdmitted else { continue }
                    admitted.add(1, ordering: .relaxed)
                }
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        #expect(failures.withLock { $0 } == [])
        #expect(admitted.load(ordering: .relaxed) == limit)
        // A node that comes later finds nothing left.
        let late = try TestNode(node.redis, app: node.app).reserve([claim])
        #expect(!late.isAdmitted && late.states[0].remaining == 0)
    }

    @Test func `charges all claims or none, in any order`() throws {
        let wide = makeClaim("wide", limit: 100, cost: 7)
        let narrow = makeClaim("narrow", limit: 1)
        #expect(try node.reserve([wide, narrow]).isAdmitted)
        for (claims, index) in [([wide, narrow], 1), ([narrow, wide], 0)] {
            let outcome = try node.reserve(claims)
            guard case .refused(index, let states) = outcome.outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(states.map(\.remaining) == claims.map { $0.limit == 1 ? 0 : 93 })
            #expect(states.map(\.isOver) == claims.map { $0.limit == 1 })
            #expect(try node.value(wide) == .text("7"))
            #expect(try node.value(narrow) == .text("1"))
        }
    }

    @Test func `names the first claim that refuses and marks all that do not fit`() throws {
        let claims = [makeClaim("a", limit: 5, cost: 6), makeClaim("b", limit: 5, cost: 5), makeClaim("c", limit: 0)]
        let outcome = try node.reserve(claims)
        guard case .refused(claim: 0, let states) = outcome.outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(states.map(\.isOver) == [true, false, true])
        #expect(states.map(\.remaining) == [5, 5, 0])
    }

    @Test func `never refuses a shadow claim, and charges it only when it fits`() throws {
        let shadow = makeClaim("shadow", limit: 2, isShadow: true)
        let enforced = makeClaim("enforced", limit: 4)
        var over: [Bool] = []
        for _ in 0..<4 {
            let outcome = try node.reserve([shadow, enforced])
            #expect(outcome.isAdmitted)
            over.append(outcome.states[0].isOver)
        }
        #expect(over == [false, false, true, true])
        #expect(try node.value(shadow) == .text("2"))
        #expect(!(try node.reserve([shadow, enforced]).isAdmitted))
        #expect(try node.value(shadow) == .text("2"))
    }

    @Test func `gives back a shadow claim when another refuses`() throws {
        let shadow = makeClaim("shadow", limit: 2, isShadow: true)
        let closed = makeClaim("closed", limit: 0)
        #expect(!(try node.reserve([shadow, closed]).isAdmitted))
        #expect(try node.value(shadow) == .text("0"))
    }

    @Test func `keeps windows that begin at multiples of their length, and begins the next one empty`() throws {
        let claim = makeClaim(limit: 3, window: 1_000)
        var last: LimitState?
        var admitted: [Int64: Int] = [:]
        let deadline = ContinuousClock.now + .milliseconds(2_600)
        while ContinuousClock.now < deadline {
            let outcome = try node.reserve([claim])
            let state = outcome.states[0]
            if outcome.isAdmitted { admitted[state.windowID, default: 0] += 1 }
            #expect((1...1_000).contains(state.resetMilliseconds))
            if let last { #expect(state.windowID >= last.windowID) }
            last = state
        }
        #expect(admitted.count >= 3)
        #expect(admitted.values.allSatisfy { $0 == 3 }, "\(admitted)")
    }

    @Test func `lets a counter live exactly until its window ends`() throws {
        let claim = makeClaim(limit: 3, window: 60_000)
        let state = try node.reserve([claim]).states[0]
        #expect(try node.expiry(claim) == .integer((state.windowID + 1) * 60_000 - 1))
    }

    @Test func `stores a counter as a plain integer`() throws {
        let claim = makeClaim(limit: 1_000_000, cost: 123_456)
        _ = try node.reserve([claim])
        let key = node.key(claim)
        #expect(try node.redis.command([Array("OBJECT".utf8), Array("ENCODING".utf8), key]) == .text("int"))
    }

    @Test func `is exact up to 2^53`() throws {
        let limit: Int64 = (1 << 53) - 1
        let claim = makeClaim(limit: limit, cost: limit - 1)
        #expect(try node.reserve([claim]).states[0].remaining == 1)
        let one = makeClaim(limit: limit)
        #expect(try node.reserve([one]).states[0].remaining == 0)
        #expect(!(try node.reserve([one]).isAdmitted))
        #expect(!(try node.reserve([claim]).isAdmitted))
        #expect(!(try node.reserve([makeClaim(limit: .max, cost: .max)]).isAdmitted))
        #expect(try node.value(claim) == .text("9007199254740991"))
    }

    @Test(arguments: [0, 1], [LimitUnit.requests, .tokens])
    func `answers an error and charges nothing when a counter is no counter`(at index: Int, unit: LimitUnit) throws {
        let claims = ["a", "b"].map { makeClaim($0, limit: 10, window: 31 * 86_400_000, unit: unit) }
        let other = claims[1 - index]
        _ = try node.reserve([other])
        let key = node.key(claims[index])
        for (squat, text, isExpiring) in [
            (["RPUSH", "x"], "WRONGTYPE", false), (["SET", "garbage"], "not an integer", false),
            (["RPUSH", "x"], "WRONGTYPE", true), (["SET", "garbage"], "not an integer", true),
        ] {
            _ = try node.redis.command([Array("DEL".utf8), key])
            _ = try node.redis.command([Array(squat[0].utf8), key, Array(squat[1].utf8)])
            if isExpiring { _ = try node.redis.command([Array("PEXPIRE".utf8), key, Array("1000".utf8)]) }
            let reply = try node.run(
                ReserveScript.call(app: node.app, claims: claims, holder: node.holder, id: node.makeID())
            )
            guard case .error(let message) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(message.contains(text))
            #expect(try node.value(other) == .text("1"))
        }
    }

    // Lua takes more for a number than INCRBY does, which found that out when others were charged.
    @Test(arguments: ["0x10", "1e3", "007", "-0", "1.0"])
    func `takes for a counter what Redis can add to, and nothing else`(text: String) throws {
        let window: Int64 = 31 * 86_400_000
        let first = makeClaim("a", limit: 1_000, window: window, cost: 5, unit: .tokens)
        let plain = makeClaim("b", limit: 10_000, window: window, unit: .tokens)
        let bounded = makeClaim(
            "p:h",
            limit: 10_000,
            window: window,
            unit: .tokens,
            distinct: DistinctBound(max: 9_000, sharedCounter: Array("p:~".utf8))
        )
        _ = try node.reserve([first])
        let distinct = CounterKeys(app: node.app).distinctKey(
            try #require(bounded.distinct),
            windowMilliseconds: window
        )
        for (key, second) in [(node.key(plain), plain), (distinct, bounded), (node.key(bounded), bounded)] {
            // Beyond the first of a sliding window, the quick path is not asked.
            for claims in [
                [first, second], [first, second, makeClaim("s", limit: 9, window: window, .slidingWindow)],
            ] {
                let expiry = Array("3600000".utf8)
                #expect(
                    try node.redis.command([Array("SET".utf8), key, Array(text.utf8), Array("PX".utf8), expiry])
                        == .text("OK")
                )
                let reply = try node.run(
                    ReserveScript.call(app: node.app, claims: claims, holder: node.holder, id: node.makeID())
                )
                guard case .error(let message) = reply else {
                    Issue.record("\(reply)")
                    return
                }
                #expect(message.contains("not an integer"))
                #expect(try node.value(first) == .text("5"))
                #expect(try node.openCount() == 1)
            }
            _ = try node.redis.command([Array("DEL".utf8), key])
        }
        _ = try node.redis.command([Array("SET".utf8), distinct, Array("abc".utf8)])
        let call = ReserveScript.call(app: node.app, claims: [bounded], holder: node.holder, id: node.makeID())
        guard case .error = try node.run(call) else {
            Issue.record("no error")
            return
        }
        #expect(try node.value(bounded) == .null)
    }

    @Test func `takes no bucket without a price for one`() throws {
        let bucket = makeClaim("b", limit: 10, window: 60_000, .tokenBucket)
        let zeros = Array(repeating: UInt8(0), count: 40)
        #expect(try node.redis.command([Array("SET".utf8), node.key(bucket), zeros]) == .text("OK"))
        let claims = [makeClaim("a", limit: 10, unit: .tokens), bucket]
        let call = ReserveScript.call(app: node.app, claims: claims, holder: node.holder, id: node.makeID())
        guard case .error(let message) = try node.run(call) else {
            Issue.record("no error")
            return
        }
        #expect(message.contains("not an integer"))
        #expect(try node.value(claims[0]) == .null)
    }

    @Test func `answers an error and charges nothing when Redis is out of memory`() throws {
        // A server of its own: the setting is for all of it.
        let server = try RedisServer()
        let node = TestNode(try server.client(), app: makeApp())
        #expect(try node.redis.command("CONFIG", "SET", "maxmemory", "1") == .text("OK"))
        let claims = [makeClaim(limit: 10)]
        let reply = try node.run(
            ReserveScript.call(app: node.app, claims: claims, holder: node.holder, id: node.makeID())
        )
        guard case .error(let message) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(message.contains("OOM"))
        #expect(try node.value(claims[0]) == .null)
    }

    @Test func `mends a counter that lost its expiry, was negative, or is from a clock that was ahead`() throws {
        let claim = makeClaim(limit: 5)
        try node.set(claim, "4")
        #expect(try node.reserve([claim]).states[0].remaining == 0)
        #expect(!(try node.reserve([claim]).isAdmitted))
        try node.set(claim, "-40")
        #expect(try node.reserve([claim]).states[0].remaining == 4)
        // Two hours ahead, for windows of one hour: no window is longer than its length.
        try node.set(claim, "5", "PX", "7200000")
        let state = try node.reserve([claim]).states[0]
        #expect(state.remaining == 4)
        #expect(state.resetMilliseconds <= 3_600_000)
    }

    @Test func `says how little a lowered limit leaves`() throws {
        _ = try node.reserve([makeClaim(limit: 100, cost: 50)])
        let lowered = try node.reserve([makeClaim(limit: 10)])
        #expect(!lowered.isAdmitted)
        #expect(lowered.states[0].remaining == 0)
    }

    @Test func `separates windows of different lengths, and apps`() throws {
        let hour = makeClaim(limit: 1)
        let day = makeClaim(limit: 1, window: 86_400_000)
        #expect(try node.reserve([hour]).isAdmitted)
        #expect(try node.reserve([day]).isAdmitted)
        #expect(try TestNode(node.redis, app: makeApp()).reserve([hour]).isAdmitted)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `agrees with an obvious model in any order of calls`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let limits = (0..<4).map { _ in Int64.random(in: 0...60, using: &random) }
        var used: [String: Int64] = [:]
        // Of the one script or of the other.
        let isTokens = seed.isMultiple(of: 2)
        // A day's window: the test does not pass its end (nor does it mind midnight, see the guard).
        var window: Int64?
        for _ in 0..<80 {
            let claims = Array(0..<4).shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random)).map {
                makeClaim(
                    "c\($0)",
                    limit: limits[$0],
                    window: 86_400_000,
                    cost: Int64.random(in: 0...9, using: &random),
                    unit: isTokens ? .tokens : .requests,
                    isShadow: Int.random(in: 0..<4, using: &random) == 0
                )
            }
            let names = claims.map { String(decoding: $0.counter, as: UTF8.self) }
            let fits = zip(names, claims).map { used[$0, default: 0] + $1.cost <= $1.limit }
            let refused = zip(claims, fits).enumerated().first { !$1.0.isShadow && !$1.1 }?.offset
            let outcome = try node.reserve(claims)
            guard outcome.states[0].windowID == window ?? outcome.states[0].windowID else { return }
            window = outcome.states[0].windowID
            #expect(outcome.states.map(\.isOver) == fits.map { !$0 })
            if let refused {
                guard case .refused(refused, _) = outcome.outcome else {
                    Issue.record("\(outcome), not \(refused)")
                    return
                }
            } else {
                #expect(outcome.isAdmitted)
                for (index, name) in names.enumerated() where fits[index] {
                    used[name, default: 0] += claims[index].cost
                }
            }
            for (index, name) in names.enumerated() {
                #expect(outcome.states[index].remaining == max(0, claims[index].limit - used[name, default: 0]))
            }
            guard refused == nil else { continue }
            guard isTokens else { continue }
            let tokens = Int64.random(in: 0...12, using: &random)
            #expect(try node.end(outcome, as: .settled(tokens: tokens)).open == 1)
            for (index, name) in names.enumerated() where fits[index] {
                used[name, default: 0] += tokens - claims[index].cost
            }
        }
    }
}

@Suite struct `The settle script` {
    let node: TestNode

    init() throws { node = TestNode(try sharedServer.get().client(), app: makeApp()) }

    @Test(arguments: [(reserved: 100, used: 40, left: "40"), (100, 100, "100"), (100, 160, "160"), (100, 0, "0")])
    func `corrects the charge to what was used`(reserved: Int64, used: Int64, left: String) throws {
        let claim = makeClaim(limit: 1_000, cost: reserved, unit: .tokens)
        let reservation = try node.reserve([claim])
        try node.end(reservation, as: .settled(tokens: used))
        #expect(try node.value(claim) == .text(left))
        #expect(try node.expiry(claim) == .integer((reservation.states[0].windowID + 1) * 3_600_000 - 1))
        #expect(try node.openCount() == 0)
    }

    @Test(arguments: LimitAlgorithm.allCases) func `settles and releases once, however often it is told`(
        algorithm: LimitAlgorithm
    ) throws {
        let claim =
            algorithm == .concurrency
            ? makePlace(limit: 1_000)
            : makeClaim(limit: 1_000, window: 86_400_000, algorithm, cost: 100, unit: .tokens)
        let other = try node.reserve([claim])
        let reservation = try node.reserve([claim])
        let later = algorithm == .concurrency ? 1 : 100 as Int64
        for end in [ReservationEnd.settled(tokens: 30), .settled(tokens: 900), .released, .released] {
            try node.end(reservation, as: end)
            let left = try node.reserve([makeCopy(of: claim, cost: 0)])
            #expect(left.states[0].remaining == 1_000 - later - (algorithm == .concurrency ? 0 : 30))
            try node.end(left, as: .released)
        }
        #expect(try node.end(other, reservation, as: .released) == (1, 1))
    }

    private func makeCopy(of claim: LimitClaim, cost: Int64) -> LimitClaim {
        makeClaim(
            limit: claim.limit,
            window: claim.windowMilliseconds,
            claim.algorithm,
            cost: cost,
            unit: claim.unit
        )
    }

    @Test func `stops at 0 and at 2^53`() throws {
        let claim = makeClaim(limit: 1 << 53, cost: 1 << 52, unit: .tokens)
        let reservations = try (0..<3).map { _ in try node.reserve([claim]) }
        #expect(reservations.map(\.isAdmitted) == [true, false, false])
        try node.end(reservations[0], as: .settled(tokens: .max))
        #expect(try node.value(claim) == .text("9007199254740992"))
        try node.set(claim, "5", "KEEPTTL")
        let last = try node.reserve([makeClaim(limit: 1 << 53, cost: 100, unit: .tokens)])
        try node.set(claim, "5", "KEEPTTL")
        try node.end(last, as: .released)
        #expect(try node.value(claim) == .text("0"))
        #expect(try node.expiry(claim) == .integer((last.states[0].windowID + 1) * 3_600_000 - 1))
    }

    @Test func `changes no later window, and makes no counter`() throws {
        let claim = makeClaim(limit: 1_000, window: 1_000, cost: 100, unit: .tokens)
        let first = try node.reserve([claim])
        let deadline = ContinuousClock.now + .seconds(5)
        while try node.value(claim) != .null, ContinuousClock.now < deadline { usleep(5_000) }
        #expect(try node.end(first, as: .settled(tokens: 900)) == (1, 0))
        #expect(try node.value(claim) == .null)
        let second = try node.reserve([claim])
        #expect(second.states[0].windowID > first.states[0].windowID && second.states[0].remaining == 900)
    }

    @Test func `settles the others when a counter is no counter, and says so`() throws {
        let claims = ["a", "b"].map { makeClaim($0, limit: 10, cost: 5, unit: .tokens) }
        let reservation = try node.reserve(claims)
        try node.set(claims[0], "garbage", "KEEPTTL")
        let settlement = try #require(
            Settlement(claims: claims, states: reservation.states, id: reservation.id, end: .settled(tokens: 1))
        )
        var batch = SettlementBatch()
        batch.add(settlement)
        guard case .error(let message) = try node.run(batch.call(app: node.app, holder: node.holder)) else {
            Issue.record("no error")
            return
        }
        #expect(message.contains("not an integer"))
        #expect(try node.value(claims[1]) == .text("1"))
    }

    @Test func `adds up what one turn settles, with and without a lease`() throws {
        let tokens = makeClaim("t", limit: 10_000, cost: 100, unit: .tokens)
        let requests = makeClaim("r", limit: 10_000)
        let both = try (0..<5).map { _ in try node.reserve([requests, tokens]) }
        let alone = try (0..<5).map { _ in try node.reserve([requests]) }
        var batch = SettlementBatch()
        for (index, reservation) in (both + alone).enumerated() {
            let end: ReservationEnd = index % 5 == 4 ? .released : .settled(tokens: Int64(index))
            let settlement = Settlement(
                claims: reservation.claims,
                states: reservation.states,
                id: reservation.id,
                end: end
            )
            // A request of a window is final: there is nothing to tell.
            #expect((settlement == nil) == (index > 4 && index < 9))
            if let settlement { batch.add(settlement) }
        }
        #expect(batch.call(app: node.app, holder: node.holder).keys.count == 4)
        #expect(try node.send(batch) == (5, 2))
        #expect(try node.value(tokens) == .text("6"))
        #expect(try node.value(requests) == .text("8"))
    }

    @Test func `has nothing to do for what was not charged or was charged rightly`() {
        let claim = makeClaim(limit: 10, cost: 5, isShadow: true)
        let charged = LimitState(remaining: 5, resetMilliseconds: 1, windowID: 7)
        let over = LimitState(remaining: 2, resetMilliseconds: 1, windowID: 7, isOver: true)
        #expect(SettledCharge(claim, charged, used: 5) == nil)
        #expect(SettledCharge(claim, over, used: 3) == nil)
        #expect(SettledCharge(claim, charged, used: 3)?.delta == -2)
        #expect(SettledCharge(claim, charged, used: -1)?.delta == -5)
    }
}
