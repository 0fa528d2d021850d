// What each algorithm admits, against a model that keeps every request: windows that slide and buckets that fill, over
// hours that the test makes up. The scripts' one call of TIME is replaced by a list in Redis; all else is as it runs.

import Foundation
import Testing

@testable import Limits

/// A node on a clock of the test's.
final class Simulation {
    let node: TestNode
    private(set) var now: Int64
    private let clockKey: [UInt8]

    init() throws {
        let app = makeApp()
        let name = "clock_\(String(decoding: app, as: UTF8.self))"
        clockKey = Array(name.utf8)
        let redis = try sharedServer.get().client()
        node = TestNode(redis, app: app, clock: "call('LRANGE', '\(name)', 0, 1)")
        // Ahead of Redis, so that no expiry is past however far the test goes.
        now = Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000
        try advance(0)
    }

    func advance(_ milliseconds: Int64) throws {
        now += milliseconds
        _ = try node.redis.command([Array("DEL".utf8), clockKey])
        let time = [Decimal.bytes(now / 1_000), Decimal.bytes(now % 1_000 * 1_000)]
        #expect(try node.redis.command([Array("RPUSH".utf8), clockKey] + time) == .integer(2))
    }
}

@Suite struct `A sliding window` {
    private struct Taken {
        let time: Int64
        let grain: Int64
        var cost: Int64
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `never admits more than its limit in any window, and little less`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let simulation = try Simulation()
        let window: Int64 = [1_000, 10_000, 60_000][Int.random(in: 0..<3, using: &random)]
        let grain = window / 50
        let limit = Int64.random(in: 1...20, using: &random)
        var taken: [Taken] = []
        var open: [(index: Int, reservation: TestReservation)] = []
        for _ in 0..<150 {
            try simulation.advance(Int64.random(in: 0...window / 12, using: &random))
            if Int.random(in: 0..<20, using: &random) == 0 { try simulation.advance(window) }
            let now = simulation.now
            let cost = Int64.random(in: 1...4, using: &random)
            let reservation = try simulation.node.reserve([
                makeClaim(limit: limit, window: window, .slidingWindow, cost: cost, unit: .tokens)
            ])
            let state = reservation.states[0]
            func counted(at time: Int64) -> Int64 {
                taken.filter { $0.grain >= time / grain - 50 }.reduce(0) { $0 + $1.cost }
            }
            #expect(reservation.isAdmitted == (counted(at: now) + cost <= limit))
            if reservation.isAdmitted {
                taken.append(Taken(time: now, grain: now / grain, cost: cost))
                open.append((taken.count - 1, reservation))
                #expect(state.remaining == limit - counted(at: now))
                #expect(state.resetMilliseconds == (now / grain + 51) * grain - now)
                #expect(state.windowID == now / grain)
            } else {
                // It was right to refuse: within the window and a 50th there is no room.
                let recent = taken.filter { $0.time > now - window - grain }.reduce(0) { $0 + $1.cost }
                #expect(recent + cost > limit)
                #expect(state.remaining == limit - counted(at: now))
                // And it says when there will be, not a millisecond early or late.
                let free = now + state.resetMilliseconds
                if cost <= limit {
                    #expect(counted(at: free) + cost <= limit && counted(at: free - 1) + cost > limit)
                } else {
                    #expect(counted(at: free) == 0)
                }
            }
            // The rule itself, whatever the model above says.
            let inWindow = taken.filter { $0.time > now - window }.reduce(0) { $0 + $1.cost }
            #expect(inWindow <= limit)
            if !open.isEmpty, Bool.random(using: &random) {
                let (index, reservation) = open.remove(at: Int.random(in: 0..<open.count, using: &random))
                let used = Int64.random(in: 0...taken[index].cost, using: &random)
                try simulation.node.end(reservation, as: .settled(tokens: used))
                taken[index].cost = used
            }
        }
        #expect(taken.count > 10)
    }

    @Test(arguments: [500, 5_000, 3_600_000] as [Int64])
    func `holds nothing longer than a window and a 50th when the clock is set back`(step: Int64) throws {
        let simulation = try Simulation()
        let claim = makeClaim(limit: 3, window: 1_000, .slidingWindow)
        for _ in 0..<3 { #expect(try simulation.node.reserve([claim]).isAdmitted) }
        try simulation.advance(-step)
        #expect(!(try simulation.node.reserve([claim]).isAdmitted))
        try simulation.advance(999)
        #expect(!(try simulation.node.reserve([claim]).isAdmitted))
        try simulation.advance(21)
        #expect(try simulation.node.reserve([claim]).states[0].remaining == 2)
    }

    @Test func `takes no more room and no more time for a million than for one`() throws {
        let node = TestNode(try sharedServer.get().client(), app: makeApp())
        let claim = makeClaim(limit: 1 << 52, window: 86_400_000, .slidingWindow, cost: 1_000_000)
        for _ in 0..<3 { _ = try node.reserve([claim]) }
        #expect(try node.redis.command([Array("STRLEN".utf8), node.key(claim)]) == .integer(424))
    }
}

@Suite struct `A token bucket` {
    @Test(arguments: 0..<40 as Range<UInt64>)
    func `fills and empties as exact fractions say`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let simulation = try Simulation()
        let window = [1_000, 7_000, 60_000, 86_400_000][Int.random(in: 0..<4, using: &random)] as Int64
        let limit = Int64.random(in: 1...50, using: &random)
        let burst = Int64.random(in: 1...60, using: &random)
        // The level in tokens times the window's length, not reduced as the script's numbers are.
        var level = burst * window
        var open: [TestReservation] = []
        for _ in 0..<120 {
            let step = Int64.random(in: 0...2 * window / limit, using: &random)
            try simulation.advance(step)
            level = min(burst * window, level + step * limit)
            let cost = Int64.random(in: 1...8, using: &random)
            let reservation = try simulation.node.reserve([
                makeClaim(limit: limit, window: window, .tokenBucket, cost: cost, unit: .tokens, burst: burst)
            ])
            let state = reservation.states[0]
            #expect(reservation.isAdmitted == (cost * window <= level))
            if reservation.isAdmitted {
                level -= cost * window
                open.append(reservation)
                #expect(state.resetMilliseconds == (burst * window - level + limit - 1) / limit)
            } else {
                let needed = min(cost, burst) * window
                #expect(state.resetMilliseconds == (needed - level + limit - 1) / limit)
            }
            #expect(state.remaining == max(0, level / window))
            if !open.isEmpty, Int.random(in: 0..<3, using: &random) == 0 {
                let reservation = open.remove(at: 0)
                let used = Int64.random(in: 0...12, using: &random)
                try simulation.node.end(reservation, as: .settled(tokens: used))
                // May go below empty: what was used was used.
                level = min(burst * window, level + (reservation.claims[0].cost - used) * window)
            }
        }
    }

    @Test func `admits over a long time just what its rate says`() throws {
        let simulation = try Simulation()
        let claim = makeClaim(limit: 7, window: 60_000, .tokenBucket, burst: 3)
        var admitted: Int64 = 0
        let begin = simulation.now
        for _ in 0..<400 {
            while try simulation.node.reserve([claim]).isAdmitted { admitted += 1 }
            #expect(admitted == 3 + (simulation.now - begin) * 7 / 60_000)
            try simulation.advance(977)
        }
    }

    @Test func `settles a charge although it was full again in the meantime`() throws {
        let simulation = try Simulation()
        let claim = makeClaim(limit: 10, window: 1_000, .tokenBucket, cost: 5, unit: .tokens)
        let reservation = try simulation.node.reserve([claim])
        #expect(try simulation.node.redis.command([Array("DEL".utf8), simulation.node.key(claim)]) == .integer(1))
        try simulation.advance(60_000)
        try simulation.node.end(reservation, as: .settled(tokens: 30))
        let next = try simulation.node.reserve([claim])
        // 10, less the 25 that were used beyond the estimate: 15 in debt, 20 short, which is 2 s.
        #expect(!next.isAdmitted && next.states[0].remaining == 0 && next.states[0].resetMilliseconds == 2_000)
    }

    @Test func `neither fills nor sticks when the clock is set back`() throws {
        let simulation = try Simulation()
        let claim = makeClaim(limit: 1, window: 1_000, .tokenBucket)
        #expect(try simulation.node.reserve([claim]).isAdmitted)
        try simulation.advance(-3_600_000)
        #expect(!(try simulation.node.reserve([claim]).isAdmitted))
        try simulation.advance(999)
        #expect(!(try simulation.node.reserve([claim]).isAdmitted))
        try simulation.advance(1)
        #expect(try simulation.node.reserve([claim]).isAdmitted)
    }

    @Test func `keeps its level when its limit changes`() throws {
        let simulation = try Simulation()
        let old = makeClaim(limit: 100, window: 60_000, .tokenBucket, cost: 50)
        #expect(try simulation.node.reserve([old]).states[0].remaining == 50)
        let raised = makeClaim(limit: 77, window: 60_000, .tokenBucket, burst: 200)
        #expect(try simulation.node.reserve([raised]).states[0].remaining == 49)
        let lowered = makeClaim(limit: 77, window: 60_000, .tokenBucket, burst: 10)
        #expect(try simulation.node.reserve([lowered]).states[0].remaining == 9)
    }
}

@Suite struct `Requests in flight` {
    let node: TestNode

    init() throws { node = TestNode(try sharedServer.get().client(), app: makeApp()) }

    @Test func `are as many as may be, and each that ends makes room for one`() throws {
        let place = makePlace(limit: 2)
        let first = try node.reserve([place])
        let second = try node.reserve([place])
        #expect(first.states[0].remaining == 1 && second.states[0].remaining == 0)
        let full = try node.reserve([place])
        #expect(!full.isAdmitted && full.states[0].isOver && full.states[0].resetMilliseconds == 1_000)
        try node.end(first, as: .settled(tokens: 7))
        #expect(try node.reserve([place]).isAdmitted)
        #expect(!(try node.reserve([place]).isAdmitted))
        try node.end(second, as: .released)
        #expect(try node.reserve([place]).isAdmitted)
    }

    @Test func `leave nothing behind when the last has ended`() throws {
        let place = makePlace(limit: 2)
        let reservations = try (0..<2).map { _ in try node.reserve([place]) }
        for reservation in reservations { try node.end(reservation, as: .settled(tokens: 0)) }
        #expect(try node.value(place) == .null)
        _ = try node.renew()
        #expect(try node.redis.command("KEYS", "weir:{\(String(decoding: node.app, as: UTF8.self))}:*") == .array([]))
    }

    @Test func `take their place together with a window or not at all`() throws {
        let window = makeClaim(limit: 2)
        let place = makePlace(limit: 1)
        let first = try node.reserve([window, place])
        #expect(first.isAdmitted)
        guard case .refused(claim: 1, let states) = try node.reserve([window, place]).outcome else {
            Issue.record("not refused")
            return
        }
        #expect(states.map(\.isOver) == [false, true] && states[0].remaining == 1)
        try node.end(first, as: .settled(tokens: 0))
        #expect(try node.reserve([window, place]).isAdmitted)
        #expect(try node.value(window) == .text("2"))
    }
}

@Suite struct `A bound on distinct values` {
    let node: TestNode
    private let bound = DistinctBound(max: 3, sharedCounter: Array("p:~".utf8))

    init() throws { node = TestNode(try sharedServer.get().client(), app: makeApp()) }

    @Test(arguments: [LimitAlgorithm.fixedWindow, .slidingWindow, .tokenBucket])
    func `gives further values one counter, and known ones their own`(algorithm: LimitAlgorithm) throws {
        func claim(_ name: String) -> LimitClaim {
            makeClaim(name, limit: 2, window: 31 * 86_400_000, algorithm, distinct: bound)
        }
        for index in 0..<3 {
            let state = try node.reserve([claim("p:h\(index)")]).states[0]
            #expect(!state.isShared && state.remaining == 1)
        }
        let further = try (3..<6).map { try node.reserve([claim("p:h\($0)")]) }
        #expect(further.allSatisfy { $0.states[0].isShared })
        #expect(further.map(\.isAdmitted) == [true, true, false])
        #expect(further.map { $0.states[0].remaining } == [1, 0, 0])
        #expect(try node.reserve([claim("p:h1")]).states[0].isShared == false)
        let keys = try node.redis.command("KEYS", "weir:{\(String(decoding: node.app, as: UTF8.self))}:*")
        guard case .array(let names) = keys else { throw RESPError.unexpected }
        #expect(names.count == 5)
    }

    @Test func `is settled where it was charged`() throws {
        let claims = (0..<5).map {
            makeClaim("p:h\($0)", limit: 100, window: 31 * 86_400_000, cost: 10, unit: .tokens, distinct: bound)
        }
        let reservations = try claims.map { try node.reserve([$0]) }
        for reservation in reservations { try node.end(reservation, as: .settled(tokens: 1)) }
        let shared = makeClaim("p:~", limit: 100, window: 31 * 86_400_000, unit: .tokens)
        #expect(try node.value(shared) == .text("2"))
        #expect(try claims.map { try node.value($0) } == [.text("1"), .text("1"), .text("1"), .null, .null])
    }

    // A bucket that was full again was gone, and its value new: one client that asked now and then used up the bound.
    @Test(arguments: [LimitUnit.requests, .tokens])
    func `counts a value once in a window, although its bucket is full again between requests`(
        unit: LimitUnit
    ) throws {
        // A thousand come back each millisecond.
        func claim(_ name: String) -> LimitClaim {
            makeClaim(
                name,
                limit: 86_400_000_000,
                window: 86_400_000,
                .tokenBucket,
                unit: unit,
                burst: 5,
                distinct: bound
            )
        }
        for _ in 0..<6 {
            let reservation = try node.reserve([claim("p:h0")])
            #expect(reservation.states[0].remaining == 4 && !reservation.states[0].isShared)
            try node.end(reservation, as: .settled(tokens: 0))
            usleep(5_000)
        }
        #expect(try !node.reserve([claim("p:h1")]).states[0].isShared)
        #expect(try !node.reserve([claim("p:h2")]).states[0].isShared)
        #expect(try node.reserve([claim("p:h3")]).states[0].isShared)
    }

    @Test func `begins anew with each window`() throws {
        let claims = (0..<4).map { makeClaim("p:h\($0)", limit: 1, window: 1_000, distinct: bound) }
        let deadline = ContinuousClock.now + .seconds(5)
        var shared: [Bool] = []
        while shared.filter({ !$0 }).count < 7, ContinuousClock.now < deadline {
            for claim in claims {
                let state = try node.reserve([claim]).states[0]
                shared.append(state.isShared)
            }
        }
        #expect(shared.contains(true))
        #expect(shared.filter { !$0 }.count >= 6)
    }
}
