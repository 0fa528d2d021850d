// A fleet without Redis: what its nodes admit together, what they owe Redis afterwards, and what they forget.

import Testing

@testable import Limits

private let app = Array("a".utf8)

private func moment(
    _ now: Int64 = 5,
    nodes: Int = 1,
    rank: Int = 0
) -> LocalLimiter.Moment {
    LocalLimiter.Moment(now: now, place: FleetPlace(nodes: nodes, rank: rank))
}

/// Nodes that cannot ask each other.
private struct Fleet {
    var nodes: [LocalLimiter]
    var seen: [SeenCounters]

    init(_ count: Int) {
        nodes = Array(repeating: LocalLimiter(), count: count)
        seen = Array(repeating: SeenCounters(), count: count)
    }

    mutating func ask(_ node: Int, _ claims: [LimitClaim], at now: Int64) -> LocalOutcome {
        nodes[node].reserve(
            app: app,
            claims: claims,
            at: moment(now, nodes: nodes.count, rank: node),
            seen: [seen[node]]
        )
    }

    /// Asks every node as often as it admits, in turns; what all of them admitted.
    mutating func exhaust(_ claim: LimitClaim, at now: Int64) -> Int {
        var admitted = 0
        for node in nodes.indices {
            while ask(node, [claim], at: now).isAdmitted { admitted += 1 }
        }
        return admitted
    }

    /// What Redis told a node of a fixed window, whose charges come to `used`.
    mutating func tell(_ node: Int, _ claim: LimitClaim, used: Int64, at now: Int64) {
        let windowID = now / claim.windowMilliseconds
        let state = LimitState(
            remaining: max(0, claim.limit - used),
            resetMilliseconds: (windowID + 1) * claim.windowMilliseconds - now,
            windowID: windowID
        )
        _ = seen[node].note(app: app, claim, state, isCharged: false, now: now)
    }
}

@Suite struct `Nodes without Redis` {
    @Test(arguments: [1, 2, 3, 8], [0, 1, 2, 7, 8, 9, 100] as [Int64])
    func `admit the limit together in every window that begins in the outage`(nodes: Int, limit: Int64) {
        var fleet = Fleet(nodes)
        for window in 0..<20 as Range<Int64> {
            let claim = makeClaim("p", limit: limit, window: 60_000)
            #expect(fleet.exhaust(claim, at: window * 60_000 + 17) == limit)
        }
    }

    @Test(arguments: [(100, 37), (100, 100), (7, 3), (1, 0), (1, 1)] as [(Int64, Int64)])
    func `admit what was left when all of them had seen the counter`(limit: Int64, used: Int64) {
        var fleet = Fleet(8)
        let claim = makeClaim("p", limit: limit, window: 60_000)
        for node in 0..<8 { fleet.tell(node, claim, used: used, at: 30_000) }
        #expect(fleet.exhaust(claim, at: 31_000) == limit - used)
        #expect(fleet.exhaust(claim, at: 61_000) == limit)
    }

    @Test func `admit at most a share more for each node that had not seen the counter`() {
        var fleet = Fleet(8)
        let claim = makeClaim("p", limit: 80, window: 60_000)
        for node in 0..<7 { fleet.tell(node, claim, used: 80, at: 30_000) }
        #expect(fleet.exhaust(claim, at: 31_000) == 10)
    }

    @Test func `never count a state of another window`() {
        var fleet = Fleet(1)
        let claim = makeClaim("p", limit: 10, window: 60_000)
        fleet.tell(0, claim, used: 10, at: 59_999)
        #expect(fleet.exhaust(claim, at: 60_000) == 10)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `admit no more than the limit in any window that slides`(seed: UInt64) {
        var random = Random(state: seed)
        var fleet = Fleet(3)
        let limit = Int64.random(in: 1...20, using: &random)
        let claim = makeClaim("p", limit: limit, window: 1_000, .slidingWindow)
        let used = Int64.random(in: 0...limit, using: &random)
        for node in 0..<3 {
            let state = LimitState(remaining: limit - used, resetMilliseconds: 1_000, windowID: 500)
            _ = fleet.seen[node].note(app: app, claim, state, isCharged: true, now: 10_000)
        }
        // What Redis admitted before stands for the worst: all of it at the last moment.
        var times = Array(repeating: 10_000 as Int64, count: Int(used))
        var now: Int64 = 10_000
        while now < 14_000 {
            now += Int64.random(in: 0...30, using: &random)
            if fleet.ask(Int.random(in: 0..<3, using: &random), [claim], at: now).isAdmitted { times.append(now) }
        }
        for time in times { #expect(times.count { $0 >= time && $0 < time + 1_000 } <= limit) }
        #expect(times.count > used)
    }

    @Test(arguments: [1, 3, 8])
    func `fill a bucket together as fast as Redis would`(nodes: Int) {
        var fleet = Fleet(nodes)
        // 5 tokens a second, 24 at most.
        let claim = makeClaim("p", limit: 5, window: 1_000, .tokenBucket, burst: 24)
        #expect(fleet.exhaust(claim, at: 1_000) == 24)
        var admitted = 0
        for now in stride(from: 1_000, through: 61_000, by: 7) { admitted += fleet.exhaust(claim, at: Int64(now)) }
        // 60 s at 5 a second; a part of a token may be left with each node.
        #expect((300 - nodes...300).contains(admitted))
        #expect(fleet.exhaust(claim, at: 600_000) == 24)
    }

    @Test func `begin a bucket with what was left in it`() {
        var fleet = Fleet(4)
        let claim = makeClaim("p", limit: 1, window: 1_000, .tokenBucket, burst: 100)
        for node in 0..<4 {
            let state = LimitState(remaining: 12, resetMilliseconds: 88_000, windowID: 0)
            _ = fleet.seen[node].note(app: app, claim, state, isCharged: true, now: 1_000)
        }
        // 12 and 4 seconds' worth.
        #expect(fleet.exhaust(claim, at: 5_000) == 16)
    }

    @Test func `keep no more in flight than the limit, and give a place that Redis had given again`() throws {
        var fleet = Fleet(2)
        let claim = makeClaim("c", limit: 4, window: 0, .concurrency, unit: .inFlight)
        for node in 0..<2 {
            let state = LimitState(remaining: 2, resetMilliseconds: 1_000, windowID: 0)
            _ = fleet.seen[node].note(app: app, claim, state, isCharged: true, now: 1_000)
        }
        #expect(fleet.exhaust(claim, at: 2_000) == 2)
        let state = LimitState(remaining: 0, resetMilliseconds: 0, windowID: 0)
        let charge = try #require(SettledCharge(claim, state, used: 0))
        fleet.seen[0].noteEnd(app: app, charge)
        #expect(fleet.exhaust(claim, at: 2_000) == 1)
        // One of its own ends.
        let corrections = fleet.nodes[1].settle(app: app, charges: [charge], at: moment(2_000, nodes: 2, rank: 1))
        #expect(corrections.isEmpty)
        #expect(fleet.exhaust(claim, at: 2_000) == 1)
        #expect(!fleet.nodes[1].hasUnmerged)
    }

    /// What was seen before a burst ended counted for the whole outage, and what was not seen as all free, for which
    /// the requests in flight were given again when they ended.
    @Test func `divide the limit once nobody knows how many are in flight, each less its own`() throws {
        var fleet = Fleet(2)
        let claim = makeClaim("c", limit: 4, window: 0, .concurrency, unit: .inFlight)
        func note(_ node: Int, remaining: Int64, isCharged: Bool, at now: Int64) {
            let state = LimitState(remaining: remaining, resetMilliseconds: 1_000, windowID: 0)
            _ = fleet.seen[node].note(app: app, claim, state, isCharged: isCharged, now: now)
        }
        // Both have one open, in Redis, and neither has asked for long.
        for node in 0..<2 { note(node, remaining: 0, isCharged: true, at: 1_000) }
        #expect(fleet.exhaust(claim, at: 20_000) == 2)
        let charge = try #require(
            SettledCharge(claim, LimitState(remaining: 0, resetMilliseconds: 0, windowID: 0), used: 0)
        )
        fleet.seen[0].noteEnd(app: app, charge)
        #expect(fleet.exhaust(claim, at: 20_001) == 1)
        #expect(fleet.exhaust(claim, at: 90_000) == 0)
    }

    @Test func `believe the worker that asked last`() {
        let claim = makeClaim("p", limit: 10, window: 1_000, .tokenBucket)
        var seen = [SeenCounters(), SeenCounters()]
        for (worker, remaining) in [(0, 0), (1, 8)] as [(Int, Int64)] {
            let state = LimitState(remaining: remaining, resetMilliseconds: 5_000, windowID: 0)
            _ = seen[worker].note(app: app, claim, state, isCharged: true, now: Int64(1_000 + worker))
        }
        var limiter = LocalLimiter()
        let admitted = (0..<20).count { _ in
            limiter.reserve(app: app, claims: [claim], at: moment(1_001), seen: seen).isAdmitted
        }
        #expect(admitted == 8)
    }

    @Test func `follow a limit that is changed meanwhile`() {
        var fleet = Fleet(1)
        let claim = makeClaim("p", limit: 10, window: 60_000)
        fleet.tell(0, claim, used: 6, at: 1)
        #expect(fleet.exhaust(claim, at: 2) == 4)
        #expect(fleet.exhaust(makeClaim("p", limit: 15, window: 60_000), at: 3) == 5)
        #expect(fleet.exhaust(makeClaim("p", limit: 5, window: 60_000), at: 3) == 0)
    }
}

@Suite struct `A rule for outages` {
    @Test func `decides its own claim and no other's`() {
        var limiter = LocalLimiter()
        let share = makeClaim("share", limit: 1, window: 60_000)
        let allow = makeClaim("allow", limit: 1, window: 60_000, onRedisFailure: .allow)
        let deny = makeClaim("deny", limit: 1, window: 60_000, onRedisFailure: .deny)
        let shadow = makeClaim("deny", limit: 1, window: 60_000, isShadow: true, onRedisFailure: .deny)
        func ask(_ claims: LimitClaim...) -> LocalOutcome {
            limiter.reserve(app: app, claims: claims, at: moment(), seen: [])
        }
        #expect((0..<3).allSatisfy { _ in ask(allow).isAdmitted })
        #expect(ask(deny) == .unavailable(claim: 0))
        #expect(ask(allow, deny) == .unavailable(claim: 1))
        #expect(ask(share, deny) == .unavailable(claim: 1))
        // Nothing was charged by the refusal.
        #expect(ask(share, allow, shadow).isAdmitted)
        guard case .refused(claim: 0, _) = ask(share, allow) else {
            Issue.record("the share is used up")
            return
        }
        // The first claim that says no is the one that answers.
        guard case .refused(claim: 0, _) = ask(share, deny) else {
            Issue.record("the share is used up")
            return
        }
    }

    @Test func `never refuses for a claim in shadow mode`() {
        var limiter = LocalLimiter()
        let claim = makeClaim("p", limit: 1, window: 60_000, isShadow: true)
        let over = (0..<3).map { _ in limiter.reserve(app: app, claims: [claim], at: moment(), seen: []) }
        #expect(over.map(\.isAdmitted) == [true, true, true])
        #expect(over.map { $0.states[0].isOver } == [false, true, true])
    }
}

@Suite struct `The local limiter` {
    @Test func `charges all or none, and begins each window empty`() {
        var limiter = LocalLimiter()
        let wide = makeClaim("wide", limit: 10, window: 60_000)
        let narrow = makeClaim("narrow", limit: 1, window: 60_000)
        #expect(limiter.reserve(app: app, claims: [wide, narrow], at: moment(59_999), seen: []).isAdmitted)
        let refused = limiter.reserve(app: app, claims: [wide, narrow], at: moment(59_999), seen: [])
        guard case .refused(claim: 1, let states) = refused else {
            Issue.record("\(refused)")
            return
        }
        #expect(states.map(\.remaining) == [9, 0])
        #expect(states.map(\.resetMilliseconds) == [1, 1])
        let next = limiter.reserve(app: app, claims: [wide, narrow], at: moment(60_000), seen: [])
        #expect(next.isAdmitted)
        #expect(next.states.map(\.remaining) == [9, 0])
        #expect(next.states.map(\.windowID) == [1, 1])
    }

    @Test func `settles the window that was charged, never below 0`() throws {
        var limiter = LocalLimiter()
        let claim = makeClaim("p", limit: 100, window: 60_000, cost: 50)
        func ask(_ now: Int64) -> LimitState {
            limiter.reserve(app: app, claims: [claim], at: moment(now), seen: []).states[0]
        }
        let first = ask(0)
        let charge = try #require(SettledCharge(claim, first, used: 10))
        _ = limiter.settle(app: app, charges: [charge], at: moment(0))
        #expect(ask(0).remaining == 40)
        _ = limiter.settle(app: app, charges: [charge, charge], at: moment(0))
        #expect(ask(0).remaining == 50)
        _ = ask(60_000)
        _ = limiter.settle(app: app, charges: [charge], at: moment(60_000))
        #expect(ask(60_000).remaining == 0)
    }

    @Test func `is bounded per app and in all, and admits less when it is full, never more`() {
        var limiter = LocalLimiter(maxCounters: 100, maxCountersPerApp: 40)
        func ask(_ counter: String, of policy: String = "p", app: [UInt8] = app, at now: Int64 = 0) -> Bool {
            let claim = makeClaim("\(policy):\(counter)", limit: 5, window: 60_000)
            return limiter.reserve(app: app, claims: [claim], at: moment(now), seen: []).isAdmitted
        }
        for index in 0..<1_000 { _ = ask("h\(index)") }
        #expect(limiter.counterCount == 41)
        // What has no counter of its own shares one, which is used up.
        #expect(!ask("new"))
        // A counter that is known, another policy and another app are none the worse.
        #expect(ask("h3"))
        #expect(ask("new", of: "q"))
        #expect(ask("p", app: [98]))
        for index in 0..<1_000 { _ = ask("h\(index)", app: Array("\(index % 10)".utf8)) }
        #expect(limiter.counterCount <= 112)
        // The next window sweeps the ended ones out.
        _ = ask("p", at: 60_000)
        #expect(limiter.counterCount == 1)
    }

    /// Only a table half full was swept: an app at its own bound stayed in its overflow for the whole outage.
    @Test func `makes room for an app at its bound when windows end, and owes nothing of what it forgot`() {
        var limiter = LocalLimiter(maxCounters: 1_000, maxCountersPerApp: 10)
        for index in 0..<20 {
            let claim = makeClaim("p:\(index)", limit: 5, window: 1_000)
            _ = limiter.reserve(app: app, claims: [claim], at: moment(0), seen: [])
        }
        #expect(limiter.counterCount == 11)
        #expect(limiter.hasUnmerged)
        let claim = makeClaim("p:new", limit: 5, window: 1_000, onRedisFailure: .localShare)
        _ = limiter.reserve(app: app, claims: [claim], at: moment(2_000), seen: [])
        #expect(limiter.counterCount == 1)
        limiter.sweep(now: 4_000)
        #expect(!limiter.hasUnmerged)
    }

    /// By the rule's index alone they had one line, and each found the other's counter there and began anew.
    @Test func `keeps the overflow of policies apart that stand at one place for two keys`() {
        var limiter = LocalLimiter(maxCounters: 1_000, maxCountersPerApp: 1)
        func ask(_ policy: String, _ algorithm: LimitAlgorithm) -> Bool {
            let claim = makeClaim("\(policy):x", limit: 2, window: 60_000, algorithm)
            return limiter.reserve(app: app, claims: [claim], at: moment(), seen: []).isAdmitted
        }
        _ = ask("first", .fixedWindow)
        let admitted = (0..<10).count { _ in ask("p", .fixedWindow) }
        #expect(admitted == 2)
        let both = (0..<10).count { _ in
            _ = ask("p", .fixedWindow)
            return ask("q", .slidingWindow)
        }
        #expect(both == 2)
        #expect(!ask("p", .fixedWindow))
    }

    /// An outage let a client have as many counters as it had values.
    @Test func `gives values beyond the distinct bound one counter together`() throws {
        var limiter = LocalLimiter()
        var seen = SeenCounters()
        let bound = DistinctBound(max: 3, sharedCounter: Array("p:~".utf8))
        func claim(_ value: String) -> LimitClaim {
            makeClaim("p:\(value)", limit: 2, window: 60_000, distinct: bound)
        }
        func ask(_ value: String) -> LocalOutcome {
            limiter.reserve(app: app, claims: [claim(value)], at: moment(), seen: [seen])
        }
        let state = LimitState(remaining: 1, resetMilliseconds: 1, windowID: 0)
        _ = seen.note(app: app, claim("old"), state, isCharged: true, now: 4)
        let outcomes = (0..<10).map { ask("v\($0)") }
        #expect(outcomes.count(where: \.isAdmitted) == 3 + 2)
        #expect(outcomes.map { $0.states[0].isShared } == (0..<10).map { $0 >= 3 })
        // Known ones keep theirs.
        #expect(ask("v0").isAdmitted)
        #expect(ask("old").isAdmitted)
        #expect(!ask("old").isAdmitted)
        let taken = limiter.takeMerge(maxUses: 64, at: moment())
        let uses = try #require(taken).uses
        #expect(uses.first { $0.counter == bound.sharedCounter }?.used == 2)
    }

    @Test func `owes Redis what it admitted, once, and what settling made of it`() throws {
        var limiter = LocalLimiter()
        let requests = makeClaim("r", limit: 100, window: 60_000)
        let tokens = makeClaim("t", limit: 1_000, window: 60_000, cost: 100, unit: .tokens)
        var states: [LimitState] = []
        for _ in 0..<3 {
            states = limiter.reserve(app: app, claims: [requests, tokens], at: moment(), seen: []).states
        }
        let early = try #require(SettledCharge(tokens, states[1], used: 40))
        var corrections = limiter.settle(app: app, charges: [early], at: moment())
        #expect(corrections.isEmpty)
        let taken = limiter.takeMerge(maxUses: 64, at: moment())
        let batch = try #require(taken)
        #expect(batch.app == app)
        #expect(Dictionary(uniqueKeysWithValues: batch.uses.map { ($0.counter, $0.used) }) == [[114]: 3, [116]: 240])
        #expect(!limiter.hasUnmerged)
        // It was on its way when two more ended: what is less, Redis must take back; what is more is merged.
        let less = try #require(SettledCharge(tokens, states[1], used: 30))
        corrections = limiter.settle(app: app, charges: [less], at: moment())
        #expect(corrections.map(\.delta) == [-70])
        let more = try #require(SettledCharge(tokens, states[1], used: 150))
        corrections = limiter.settle(app: app, charges: [more], at: moment())
        #expect(corrections.isEmpty)
        limiter.finish(batch, now: 5)
        let takenThen = limiter.takeMerge(maxUses: 64, at: moment())
        let rest = try #require(takenThen)
        #expect(rest.uses.map(\.used) == [50])
        limiter.finish(rest, now: 5)
        #expect(!limiter.hasUnmerged)
    }

    @Test func `gives its uses out in bounded batches of one app each`() {
        var limiter = LocalLimiter()
        for index in 0..<150 {
            let app = Array("app\(index % 2)".utf8)
            _ = limiter.reserve(
                app: app,
                claims: [makeClaim("c\(index)", limit: 5, window: 60_000)],
                at: moment(),
                seen: []
            )
        }
        var sizes: [Int] = []
        while let batch = limiter.takeMerge(maxUses: 64, at: moment()) { sizes.append(batch.uses.count) }
        #expect(sizes.sorted() == [11, 11, 64, 64])
    }

    @Test func `owes nothing of a window that is over`() {
        var limiter = LocalLimiter()
        _ = limiter.reserve(app: app, claims: [makeClaim("p", limit: 5, window: 1_000)], at: moment(999), seen: [])
        let batch = limiter.takeMerge(maxUses: 64, at: moment(1_000))
        #expect(batch == nil)
        #expect(!limiter.hasUnmerged)
    }

    @Test func `counts what it has not told Redis yet when Redis goes again`() throws {
        var limiter = LocalLimiter()
        var seen = SeenCounters()
        let claim = makeClaim("p", limit: 10, window: 60_000)
        for _ in 0..<4 { _ = limiter.reserve(app: app, claims: [claim], at: moment(), seen: []) }
        // Redis came and went, and was told of nothing.
        let state = LimitState(remaining: 9, resetMilliseconds: 59_990, windowID: 0)
        _ = seen.note(app: app, claim, state, isCharged: true, now: 10)
        func admitted() -> Int {
            (0..<20).count { _ in
                limiter.reserve(app: app, claims: [claim], at: moment(20), seen: [seen]).isAdmitted
            }
        }
        #expect(admitted() == 5)
    }

    /// Only a new outage made it look again: a worker without a connection decided by what the last outage had left.
    @Test func `begins again with what Redis has said since, and not with what it said before a merge`() throws {
        var limiter = LocalLimiter()
        var seen = SeenCounters()
        let claim = makeClaim("p", limit: 10, window: 60_000)
        func tell(used: Int64, at now: Int64) {
            let state = LimitState(remaining: 10 - used, resetMilliseconds: 60_000 - now, windowID: 0)
            _ = seen.note(app: app, claim, state, isCharged: false, now: now)
        }
        func admitted(at now: Int64, of count: Int = 20) -> Int {
            (0..<count).count { _ in
                limiter.reserve(app: app, claims: [claim], at: moment(now), seen: [seen]).isAdmitted
            }
        }
        tell(used: 0, at: 1)
        #expect(admitted(at: 2, of: 4) == 4)
        // Another worker asked before the keeper merged those four.
        tell(used: 1, at: 3)
        let taken = limiter.takeMerge(maxUses: 64, at: moment(4))
        limiter.finish(try #require(taken), now: 5)
        #expect(admitted(at: 6) == 6)
        tell(used: 3, at: 7)
        #expect(admitted(at: 8, of: 1) == 1)
        tell(used: 10, at: 9)
        #expect(admitted(at: 10) == 0)
    }
}

@Suite struct `What was seen in Redis` {
    private let claim = makeClaim("p", limit: 10, window: 60_000)

    private func state(remaining: Int64, windowID: Int64 = 0) -> LimitState {
        LimitState(remaining: remaining, resetMilliseconds: 1, windowID: windowID)
    }

    @Test func `tells that a counter has lost what was put into it`() {
        var seen = SeenCounters()
        for used in 1...4 as ClosedRange<Int64> {
            #expect(seen.note(app: app, claim, state(remaining: 10 - used), isCharged: true, now: 5) == nil)
        }
        // Others charge, too.
        #expect(seen.note(app: app, claim, state(remaining: 2), isCharged: true, now: 5) == nil)
        // FLUSHALL: this is the first charge in a new counter.
        #expect(seen.note(app: app, claim, state(remaining: 9), isCharged: true, now: 5) == 5)
        // Told once.
        #expect(seen.note(app: app, claim, state(remaining: 8), isCharged: true, now: 5) == nil)
        // A new window is no loss.
        #expect(seen.note(app: app, claim, state(remaining: 9, windowID: 1), isCharged: true, now: 60_005) == nil)
    }

    @Test func `takes what was given back for no loss`() throws {
        var seen = SeenCounters()
        for used in 1...4 as ClosedRange<Int64> {
            _ = seen.note(app: app, claim, state(remaining: 10 - used), isCharged: true, now: 5)
        }
        let charge = try #require(SettledCharge(claim, state(remaining: 6), used: 0))
        seen.noteEnd(app: app, charge)
        #expect(seen.note(app: app, claim, state(remaining: 6), isCharged: true, now: 5) == nil)
        #expect(seen.note(app: app, claim, state(remaining: 6), isCharged: true, now: 5) == 1)
    }

    /// After a failover to a replica that was a little behind, all of it was put back, and the counter nearly doubled.
    @Test func `tells how much is lost, and no more`() {
        var seen = SeenCounters()
        let wide = makeClaim("p", limit: 1_000, window: 60_000)
        for used in 1...500 as ClosedRange<Int64> {
            _ = seen.note(app: app, wide, state(remaining: 1_000 - used), isCharged: true, now: 5)
        }
        #expect(seen.note(app: app, wide, state(remaining: 1_000 - 451), isCharged: true, now: 5) == 50)
    }

    /// Leases that lapsed while nothing could be renewed gave estimates back, and that passed for a loss.
    @Test func `counts tokens when they are settled, not while they are an estimate`() throws {
        var seen = SeenCounters()
        let tokens = makeClaim("t", limit: 1_000, window: 60_000, cost: 100, unit: .tokens)
        #expect(seen.note(app: app, tokens, state(remaining: 900), isCharged: true, now: 5) == nil)
        // The first has lapsed.
        #expect(seen.note(app: app, tokens, state(remaining: 900), isCharged: true, now: 5) == nil)
        let id = ReservationID(worker: 0, number: 1)
        let end = ReservationEnd.settled(tokens: 40)
        let settlement = Settlement(claims: [tokens], states: [state(remaining: 900)], id: id, end: end)
        var batch = SettlementBatch()
        batch.add(try #require(settlement))
        #expect(batch.charged.map(\.used) == [40])
        for (charge, used) in batch.charged { seen.noteSettled(app: app, charge, used: used) }
        #expect(seen.note(app: app, tokens, state(remaining: 860), isCharged: true, now: 5) == nil)
        // FLUSHALL: what was used is lost, and of the others nobody knows yet.
        #expect(seen.note(app: app, tokens, state(remaining: 900), isCharged: true, now: 5) == 40)
    }

    /// A loss in the shared counter was put into the counter of the client that noticed.
    @Test func `is put back into the counter that values beyond the distinct bound share`() throws {
        let bound = DistinctBound(max: 1, sharedCounter: Array("shared".utf8))
        let claim = makeClaim("own", limit: 10, window: 60_000, distinct: bound)
        var limiter = LocalLimiter()
        limiter.owe(app: app, claim, isShared: true, windowID: 0, amount: 3, at: moment())
        let taken = limiter.takeMerge(maxUses: 64, at: moment())
        let batch = try #require(taken)
        #expect(batch.uses.map(\.counter) == [bound.sharedCounter])
    }

    @Test func `is bounded, and makes room when windows end`() {
        var seen = SeenCounters(maxCounters: 50)
        for index in 0..<200 {
            _ = seen.note(
                app: app,
                makeClaim("c\(index)", limit: 10, window: 1_000),
                state(remaining: 1),
                isCharged: true,
                now: 5
            )
        }
        #expect(seen.counterCount == 50)
        let late = makeClaim("late", limit: 10, window: 1_000)
        _ = seen.note(app: app, late, state(remaining: 1, windowID: 2), isCharged: true, now: 2_005)
        #expect(seen.counterCount == 1)
    }
}

extension LocalOutcome {
    fileprivate var isAdmitted: Bool {
        if case .admitted = self { true } else { false }
    }

    fileprivate var states: [LimitState] {
        switch self {
        case .admitted(let states), .refused(_, let states): states
        case .unavailable: []
        }
    }
}

/// SplitMix64: the seed is the test's argument.
private struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
