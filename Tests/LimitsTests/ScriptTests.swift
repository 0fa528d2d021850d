// The two scripts against a real Redis: exact under concurrency, all or nothing, by Redis's clock, and no harm from
// what else may lie in a counter's place.

import Foundation
import Synchronization
import Testing

@testable import Limits

/// One server for all tests of this file; each test works in an app of its own.
private let server = Result { try RedisServer() }

/// An app of its own for each test.
private func makeApp() -> [UInt8] { Array("app_\(UUID().uuidString)".utf8) }

private func makeClaim(
    _ counter: String = "p",
    limit: Int64,
    window: Int64 = 3_600_000,
    cost: Int64 = 1,
    unit: LimitUnit = .requests,
    isShadow: Bool = false
) -> LimitClaim {
    LimitClaim(
        rule: 0,
        counter: Array(counter.utf8),
        limit: limit,
        windowMilliseconds: window,
        algorithm: .fixedWindow,
        unit: unit,
        cost: cost,
        isShadow: isShadow
    )
}

extension RedisClient {
    fileprivate func raw(_ script: [UInt8], _ keys: [[UInt8]], _ arguments: [[UInt8]]) throws -> RESPValue {
        try command([Array("EVAL".utf8), script, Array(String(keys.count).utf8)] + keys + arguments)
    }

    fileprivate func reserve(_ app: [UInt8], _ claims: [LimitClaim]) throws -> ReserveOutcome {
        let reply = try raw(
            ReserveScript.source,
            ReserveScript.keys(app: app, claims: claims),
            ReserveScript.arguments(claims: claims)
        )
        let integers = try #require(reply.integers, "\(reply)")
        return try ReserveScript.outcome(of: integers, claims: claims)
    }

    fileprivate func settle(_ app: [UInt8], _ charges: [SettledCharge]) throws -> RESPValue {
        try raw(
            SettleScript.source,
            SettleScript.keys(app: app, charges: charges),
            SettleScript.arguments(charges: charges)
        )
    }

    fileprivate func value(_ app: [UInt8], _ claim: LimitClaim) throws -> RESPValue {
        try command([Array("GET".utf8)] + ReserveScript.keys(app: app, claims: [claim]))
    }

    fileprivate func expiry(_ app: [UInt8], _ claim: LimitClaim) throws -> RESPValue {
        try command([Array("PEXPIRETIME".utf8)] + ReserveScript.keys(app: app, claims: [claim]))
    }

    fileprivate func set(_ app: [UInt8], _ claim: LimitClaim, _ text: String, _ more: String...) throws {
        let key = ReserveScript.keys(app: app, claims: [claim])[0]
        #expect(
            try command([Array("SET".utf8), key, Array(text.utf8)] + more.map { Array($0.utf8) }) == .text("OK")
        )
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

@Suite struct `The reserve script` {
    let redis: RedisClient
    let app = makeApp()

    init() throws { redis = try server.get().client() }

    @Test func `admits the limit exactly, whoever asks at the same time`() throws {
        let port = try server.get().port
        let claim = makeClaim(limit: 1_000)
        let admitted = Atomic<Int>(0)
        let failures = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 16) { [app] _ in
            do {
                let redis = try RedisClient(port: port)
                for _ in 0..<150 where try redis.reserve(app, [claim]).isAdmitted {
                    admitted.add(1, ordering: .relaxed)
                }
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        #expect(failures.withLock { $0 } == [])
        #expect(admitted.load(ordering: .relaxed) == 1_000)
        #expect(try redis.value(app, claim) == .text("1000"))
    }

    @Test func `charges all claims or none, in any order`() throws {
        let wide = makeClaim("wide", limit: 100, cost: 7)
        let narrow = makeClaim("narrow", limit: 1)
        #expect(try redis.reserve(app, [wide, narrow]).isAdmitted)
        for (claims, index) in [([wide, narrow], 1), ([narrow, wide], 0)] {
            let outcome = try redis.reserve(app, claims)
            guard case .refused(index, let states) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(states.map(\.remaining) == claims.map { $0.limit == 1 ? 0 : 93 })
            #expect(states.map(\.isOver) == claims.map { $0.limit == 1 })
            #expect(try redis.value(app, wide) == .text("7"))
            #expect(try redis.value(app, narrow) == .text("1"))
        }
    }

    @Test func `names the first claim that refuses and marks all that do not fit`() throws {
        let claims = [makeClaim("a", limit: 5, cost: 6), makeClaim("b", limit: 5, cost: 5), makeClaim("c", limit: 0)]
        let outcome = try redis.reserve(app, claims)
        guard case .refused(claim: 0, let states) = outcome else {
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
            let outcome = try redis.reserve(app, [shadow, enforced])
            #expect(outcome.isAdmitted)
            over.append(outcome.states[0].isOver)
        }
        #expect(over == [false, false, true, true])
        #expect(try redis.value(app, shadow) == .text("2"))
        #expect(!(try redis.reserve(app, [shadow, enforced]).isAdmitted))
        #expect(try redis.value(app, shadow) == .text("2"))
    }

    @Test func `gives back a shadow claim when another refuses`() throws {
        let shadow = makeClaim("shadow", limit: 2, isShadow: true)
        let closed = makeClaim("closed", limit: 0)
        #expect(!(try redis.reserve(app, [shadow, closed]).isAdmitted))
        #expect(try redis.value(app, shadow) == .text("0"))
    }

    @Test func `keeps windows that begin at multiples of their length, and begins the next one empty`() throws {
        let claim = makeClaim(limit: 3, window: 1_000)
        var last: LimitState?
        var admitted: [Int64: Int] = [:]
        let deadline = ContinuousClock.now + .milliseconds(2_600)
        while ContinuousClock.now < deadline {
            let outcome = try redis.reserve(app, [claim])
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
        let state = try redis.reserve(app, [claim]).states[0]
        #expect(try redis.expiry(app, claim) == .integer((state.windowID + 1) * 60_000 - 1))
    }

    @Test func `stores a counter as a plain integer`() throws {
        let claim = makeClaim(limit: 1_000_000, cost: 123_456)
        _ = try redis.reserve(app, [claim])
        let key = ReserveScript.keys(app: app, claims: [claim])[0]
        #expect(try redis.command([Array("OBJECT".utf8), Array("ENCODING".utf8), key]) == .text("int"))
    }

    @Test func `is exact up to 2^53`() throws {
        let limit: Int64 = (1 << 53) - 1
        let claim = makeClaim(limit: limit, cost: limit - 1)
        #expect(try redis.reserve(app, [claim]).states[0].remaining == 1)
        let one = makeClaim(limit: limit)
        #expect(try redis.reserve(app, [one]).states[0].remaining == 0)
        #expect(!(try redis.reserve(app, [one]).isAdmitted))
        #expect(!(try redis.reserve(app, [claim]).isAdmitted))
        #expect(!(try redis.reserve(app, [makeClaim(limit: .max, cost: .max)]).isAdmitted))
        #expect(try redis.value(app, claim) == .text("9007199254740991"))
    }

    @Test(arguments: [0, 1]) func `answers an error and charges nothing when a counter is no counter`(at index: Int)
        throws
    {
        let claims = [makeClaim("a", limit: 10), makeClaim("b", limit: 10)]
        let other = claims[1 - index]
        _ = try redis.reserve(app, [other])
        let key = ReserveScript.keys(app: app, claims: claims)[index]
        for (squat, text) in [(["RPUSH", "x"], "WRONGTYPE"), (["SET", "garbage"], "not an integer")] {
            _ = try redis.command([Array("DEL".utf8), key])
            _ = try redis.command([Array(squat[0].utf8), key, Array(squat[1].utf8)])
            let reply = try redis.raw(
                ReserveScript.source,
                ReserveScript.keys(app: app, claims: claims),
                ReserveScript.arguments(claims: claims)
            )
            guard case .error(let message) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(message.contains(text))
            #expect(try redis.value(app, other) == .text("1"))
        }
    }

    @Test func `answers an error and charges nothing when Redis is out of memory`() throws {
        // A server of its own: the setting is for all of it.
        let server = try RedisServer()
        let redis = try server.client()
        #expect(try redis.command("CONFIG", "SET", "maxmemory", "1") == .text("OK"))
        let claims = [makeClaim(limit: 10)]
        let reply = try redis.raw(
            ReserveScript.source,
            ReserveScript.keys(app: app, claims: claims),
            ReserveScript.arguments(claims: claims)
        )
        guard case .error(let message) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(message.contains("OOM"))
        #expect(try redis.value(app, claims[0]) == .null)
    }

    @Test func `mends a counter that lost its expiry, was negative, or is from a clock that was ahead`() throws {
        let claim = makeClaim(limit: 5)
        try redis.set(app, claim, "4")
        #expect(try redis.reserve(app, [claim]).states[0].remaining == 0)
        #expect(!(try redis.reserve(app, [claim]).isAdmitted))
        try redis.set(app, claim, "-40")
        #expect(try redis.reserve(app, [claim]).states[0].remaining == 4)
        // Two hours ahead, for windows of one hour: no window is longer than its length.
        try redis.set(app, claim, "5", "PX", "7200000")
        let state = try redis.reserve(app, [claim]).states[0]
        #expect(state.remaining == 4)
        #expect(state.resetMilliseconds <= 3_600_000)
    }

    @Test func `says how little a lowered limit leaves`() throws {
        _ = try redis.reserve(app, [makeClaim(limit: 100, cost: 50)])
        let lowered = try redis.reserve(app, [makeClaim(limit: 10)])
        #expect(!lowered.isAdmitted)
        #expect(lowered.states[0].remaining == 0)
    }

    @Test func `separates windows of different lengths, and apps`() throws {
        let hour = makeClaim(limit: 1)
        let day = makeClaim(limit: 1, window: 86_400_000)
        #expect(try redis.reserve(app, [hour]).isAdmitted)
        #expect(try redis.reserve(app, [day]).isAdmitted)
        #expect(try redis.reserve(makeApp(), [hour]).isAdmitted)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `agrees with an obvious model in any order of calls`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let limits = (0..<4).map { _ in Int64.random(in: 0...60, using: &random) }
        var used: [String: Int64] = [:]
        // A day's window: the test does not pass its end (nor does it mind midnight, see the guard).
        var window: Int64?
        for _ in 0..<80 {
            let claims = Array(0..<4).shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random)).map {
                makeClaim(
                    "c\($0)",
                    limit: limits[$0],
                    window: 86_400_000,
                    cost: Int64.random(in: 0...9, using: &random),
                    isShadow: Int.random(in: 0..<4, using: &random) == 0
                )
            }
            let names = claims.map { String(decoding: $0.counter, as: UTF8.self) }
            let fits = zip(names, claims).map { used[$0, default: 0] + $1.cost <= $1.limit }
            let refused = zip(claims, fits).enumerated().first { !$1.0.isShadow && !$1.1 }?.offset
            let outcome = try redis.reserve(app, claims)
            guard outcome.states[0].windowID == window ?? outcome.states[0].windowID else { return }
            window = outcome.states[0].windowID
            #expect(outcome.states.map(\.isOver) == fits.map { !$0 })
            if let refused {
                guard case .refused(refused, _) = outcome else {
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
            // Settles some of what was charged, to more or to less.
            let charges = zip(claims, outcome.states).compactMap { claim, state in
                SettledCharge(claim, state, used: Int64.random(in: 0...12, using: &random))
            }
            #expect(try redis.settle(app, charges) == .integer(Int64(charges.count)))
            for charge in charges {
                let name = String(decoding: charge.counter, as: UTF8.self)
                used[name] = max(0, used[name, default: 0] + charge.delta)
            }
        }
    }
}

@Suite struct `The settle script` {
    let redis: RedisClient
    let app = makeApp()

    init() throws { redis = try server.get().client() }

    @Test(arguments: [(reserved: 100, used: 40, left: "40"), (100, 160, "160"), (100, 0, "0")])
    func `corrects the charge to what was used`(reserved: Int64, used: Int64, left: String) throws {
        let claim = makeClaim(limit: 1_000, cost: reserved, unit: .tokens)
        let state = try redis.reserve(app, [claim]).states[0]
        let charge = try #require(SettledCharge(claim, state, used: used))
        #expect(try redis.settle(app, [charge]) == .integer(1))
        #expect(try redis.value(app, claim) == .text(left))
        #expect(try redis.expiry(app, claim) == .integer((state.windowID + 1) * 3_600_000 - 1))
    }

    @Test func `never goes below 0`() throws {
        let claim = makeClaim(limit: 1_000, cost: 100, unit: .tokens)
        let state = try redis.reserve(app, [claim]).states[0]
        let charge = try #require(SettledCharge(claim, state, used: 0))
        for _ in 0..<2 { #expect(try redis.settle(app, [charge]) == .integer(1)) }
        #expect(try redis.value(app, claim) == .text("0"))
        #expect(try redis.expiry(app, claim) == .integer((state.windowID + 1) * 3_600_000 - 1))
    }

    @Test func `stops at 2^53`() throws {
        let claim = makeClaim(limit: 1 << 53, cost: 1 << 52, unit: .tokens)
        let state = try redis.reserve(app, [claim]).states[0]
        let charge = try #require(SettledCharge(claim, state, used: .max))
        #expect(charge.delta == 1 << 52)
        for _ in 0..<3 { #expect(try redis.settle(app, [charge]) == .integer(1)) }
        #expect(try redis.value(app, claim) == .text("9007199254740992"))
        #expect(try redis.expiry(app, claim) == .integer((state.windowID + 1) * 3_600_000 - 1))
    }

    @Test func `changes no later window, and makes no counter`() throws {
        let claim = makeClaim(limit: 1_000, window: 1_000, cost: 100, unit: .tokens)
        let state = try redis.reserve(app, [claim]).states[0]
        let charge = try #require(SettledCharge(claim, state, used: 900))
        let deadline = ContinuousClock.now + .seconds(5)
        while try redis.value(app, claim) != .null, ContinuousClock.now < deadline { usleep(5_000) }
        #expect(try redis.settle(app, [charge]) == .integer(0))
        #expect(try redis.value(app, claim) == .null)
        let next = try redis.reserve(app, [claim]).states[0]
        #expect(next.windowID > state.windowID)
        #expect(try redis.settle(app, [charge]) == .integer(0))
        #expect(next.remaining == 900)
    }

    @Test func `settles the others when a counter is no counter, and says so`() throws {
        let claims = [makeClaim("a", limit: 10, cost: 5), makeClaim("b", limit: 10, cost: 5)]
        let states = try redis.reserve(app, claims).states
        let charges = zip(claims, states).compactMap { SettledCharge($0, $1, used: 1) }
        try redis.set(app, claims[0], "garbage", "KEEPTTL")
        guard case .error(let message) = try redis.settle(app, charges) else {
            Issue.record("no error")
            return
        }
        #expect(message.contains("not an integer"))
        #expect(try redis.value(app, claims[1]) == .text("1"))
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

/// SplitMix64: the failing seed is in the test's name.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
