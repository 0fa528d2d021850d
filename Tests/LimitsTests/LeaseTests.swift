// What can be returned is held under a lease: a dead node's comes back by itself, a stopped one's is not returned twice,
// and at every moment what was settled and what is open make up the counter.

import Foundation
import Testing

@testable import Limits

@Suite struct `A lease` {
    let redis: RedisClient
    let node: TestNode
    let other: TestNode

    init() throws {
        redis = try sharedServer.get().client()
        let app = makeApp()
        node = TestNode(redis, app: app)
        other = TestNode(redis, app: app)
    }

    private let tokens = makeClaim("t", limit: 1_000, window: 31 * 86_400_000, cost: 100, unit: .tokens)
    private let place = makePlace("c", limit: 10)
    private let requests = makeClaim("r", limit: 1_000, window: 31 * 86_400_000)

    @Test func `that lapsed gives back all that can be returned, to whoever asks next`() throws {
        for _ in 0..<10 { #expect(try node.reserve([requests, tokens, place]).isAdmitted) }
        #expect(!(try other.reserve([tokens]).isAdmitted))
        #expect(!(try other.reserve([place]).isAdmitted))
        try node.lapse()
        let reservation = try other.reserve([requests, tokens, place])
        #expect(reservation.isAdmitted)
        // A request that was admitted stays counted: it may have reached a provider.
        #expect(reservation.states.map(\.remaining) == [989, 900, 9])
        #expect(try node.openCount() == 0)
    }

    @Test(arguments: [(held: 500, returned: [200, 200, 100, 0]), (200, [200, 0]), (201, [200, 1, 0])])
    func `returns a bounded amount in one call, says so by 200, and the rest in the next`(
        held: Int,
        returned: [Int]
    ) throws {
        let claim = makeClaim("t", limit: 500, window: 31 * 86_400_000, unit: .tokens)
        for _ in 0..<held { #expect(try node.reserve([claim]).isAdmitted) }
        try node.lapse()
        // The field without a name, picked as one of the 200, once made it 199: as if nothing were left.
        #expect(try returned.map { _ in try other.renew().returned } == returned)
        #expect(try node.value(claim) == .text("0"))
        #expect(try redis.command([Array("EXISTS".utf8), CounterKeys(app: node.app).leases]) == .integer(0))
    }

    // The caller's own entry, lapsed because it holds nothing, was the first, and nobody looked behind it.
    @Test func `gives back another's although the caller's own lapsed before, idle`() throws {
        let first = try other.reserve([place])
        try other.end(first, as: .settled(tokens: 0))
        for _ in 0..<10 { #expect(try node.reserve([place]).isAdmitted) }
        try other.lapse()
        // Later than the other's.
        let leases = CounterKeys(app: node.app).leases
        #expect(
            try redis.command([Array("ZADD".utf8), leases, Array("XX".utf8), Array("1000".utf8), node.holder.name])
                == .integer(0)
        )
        #expect(try other.reserve([place]).isAdmitted)
    }

    // Each refusal gave back up to 400, a millisecond of Redis's time, and the others in the pipeline waited for it.
    @Test func `that lapsed is given back by a refusal in small portions, and only when that may help`() throws {
        let simulation = try Simulation()
        let node = simulation.node
        let other = TestNode(redis, app: node.app, clock: node.clock)
        let held = makeClaim("held", limit: 1_000, window: 31 * 86_400_000, unit: .tokens)
        for _ in 0..<500 { #expect(try node.reserve([held]).isAdmitted) }
        try node.lapse()
        // A window of requests is no fuller for what a dead node holds.
        let closed = makeClaim("r", limit: 0, window: 31 * 86_400_000)
        for claims in [[closed, tokens], [tokens, closed], [closed, makePlace("none", limit: 0)]] {
            #expect(!(try other.reserve(claims).isAdmitted))
        }
        #expect(try node.openCount() == 500)
        for (step, left) in [(0, 300), (0, 300), (4, 300), (1, 100), (0, 100), (5, 0)] as [(Int64, Int)] {
            try simulation.advance(step)
            #expect(!(try other.reserve([makePlace("none", limit: 0)]).isAdmitted))
            #expect(try node.openCount() == left, "after \(step) ms")
        }
        // Also a shadow's refusal; and a renewal does not wait.
        for _ in 0..<500 { #expect(try node.reserve([held]).isAdmitted) }
        try node.lapse()
        try simulation.advance(5)
        #expect(try other.reserve([makePlace("none", limit: 0, isShadow: true), tokens]).isAdmitted)
        #expect(try node.openCount() == 300)
        #expect(try (0..<3).map { _ in try other.renew().returned } == [200, 100, 0])
    }

    @Test func `comes back within ten seconds of a node's last sign of life`() throws {
        let app = String(decoding: node.app, as: UTF8.self)
        #expect(try node.reserve([makePlace(limit: 1)]).isAdmitted)
        let start = ContinuousClock.now
        #expect(try node.renew().open == 1)
        while !(try other.reserve([makePlace(limit: 1)]).isAdmitted) {
            try #require(ContinuousClock.now - start < .seconds(10), "\(app)")
            usleep(50_000)
        }
        #expect(ContinuousClock.now - start > .seconds(6))
    }

    @Test func `is renewed by each sign of life, and is none without anything open`() throws {
        let reservation = try node.reserve([tokens])
        try node.lapse()
        #expect(try node.renew() == (1, 0))
        #expect(try other.renew() == (0, 0))
        #expect(try node.openCount() == 1)
        // A lease that is about to end is renewed by a reservation, too.
        try node.lapse()
        let next = try node.reserve([tokens])
        #expect(try other.renew() == (0, 0))
        try node.end(reservation, next, as: .settled(tokens: 10))
        #expect(try node.renew() == (0, 0))
        #expect(try node.value(tokens) == .text("20"))
        #expect(try redis.command([Array("EXISTS".utf8), CounterKeys(app: node.app).leases]) == .integer(0))
    }

    @Test(arguments: [LimitAlgorithm.fixedWindow, .slidingWindow])
    func `of which less than five seconds are left is renewed by a reservation`(algorithm: LimitAlgorithm) throws {
        let claim = makeClaim("t", limit: 1_000, window: 31 * 86_400_000, algorithm, unit: .tokens)
        _ = try node.reserve([claim])
        let leases = CounterKeys(app: node.app).leases
        let time = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "
        func run(_ text: String) throws -> RESPValue {
            try redis.command([Array("EVAL".utf8), Array((time + text).utf8), [49], leases, node.holder.name])
        }
        #expect(try run("return redis.call('ZADD', KEYS[1], 'XX', now + 4900, ARGV[1])") == .integer(0))
        _ = try node.reserve([claim])
        guard case .integer(let left) = try run("return redis.call('ZSCORE', KEYS[1], ARGV[1]) - now") else {
            throw RESPError.unexpected
        }
        #expect(left > 4_900)
    }

    @Test func `that lapsed while its node was stopped is settled to the truth, once`() throws {
        let first = try node.reserve([requests, tokens, place])
        let second = try node.reserve([requests, tokens, place])
        try node.lapse()
        #expect(try other.renew().returned == 2)
        #expect(try node.value(tokens) == .text("0") && node.value(place) == .null)
        let taken = try other.reserve([place])
        for _ in 0..<3 { try node.end(first, as: .settled(tokens: 40)) }
        for _ in 0..<3 { try node.end(second, as: .released) }
        #expect(try node.value(tokens) == .text("40"))
        // The place was given to another, and is the other's alone.
        #expect(try node.value(place) == .text("1"))
        #expect(try node.value(requests) == .text("2"))
        try other.end(taken, as: .settled(tokens: 0))
    }

    @Test func `that lapsed unseen is settled as if nothing had been`() throws {
        let reservation = try node.reserve([tokens, place])
        try node.lapse()
        try node.end(reservation, as: .settled(tokens: 40))
        #expect(try other.renew().returned == 0)
        #expect(try node.value(tokens) == .text("40") && node.value(place) == .null)
    }

    @Test func `answers the same reservation again without charging it again`() throws {
        let claims = [requests, tokens, place, makeClaim("s", limit: 0, unit: .tokens, isShadow: true)]
        let first = try node.reserve(claims)
        _ = try other.reserve([tokens])
        let again = try node.reserve(claims, id: first.id)
        #expect(again.isAdmitted)
        #expect(again.states.map(\.windowID) == first.states.map(\.windowID))
        #expect(again.states.map(\.isOver) == [false, false, false, true])
        #expect(again.states.map(\.remaining) == [999, 800, 9, 0])
        #expect(try node.value(requests) == .text("1") && node.value(tokens) == .text("200"))
        // Also when there is no room for another.
        let full = makePlace("full", limit: 1)
        let only = try node.reserve([full])
        #expect(try node.reserve([full], id: only.id).isAdmitted)
        #expect(!(try node.reserve([full]).isAdmitted))
        try node.end(again, as: .settled(tokens: 30))
        #expect(try node.value(tokens) == .text("130"))
    }

    @Test func `tells the shared counter from a value's own when it answers again`() throws {
        let distinct = DistinctBound(max: 1, sharedCounter: Array("p:~".utf8))
        let claims = ["p:h1", "p:h2"].map {
            makeClaim($0, limit: 9, window: 31 * 86_400_000, cost: 2, unit: .tokens, distinct: distinct)
        }
        let reservations = try claims.map { try node.reserve([$0]) }
        let again = try reservations.map { try node.reserve($0.claims, id: $0.id) }
        #expect(again.map { $0.states[0].isShared } == [false, true])
        #expect(again.map(\.states).map { $0[0].remaining } == [7, 7])
    }

    @Test func `gives back a reservation whose answer was lost, if it was made`() throws {
        let id = node.makeID()
        let claims = [requests, tokens, place]
        _ = try node.reserve(claims, id: id)
        for lost in [id, id, node.makeID()] {
            var batch = SettlementBatch()
            batch.add(try #require(Settlement(unanswered: claims, id: lost)))
            try node.send(batch)
            #expect(try node.value(tokens) == .text("0") && node.value(place) == .null)
            #expect(try node.value(requests) == .text("0"))
        }
        #expect(Settlement(unanswered: [requests], id: id) == nil)
    }

    // Over the new connection it can come before what is still on its way over the old one, which nobody would close.
    @Test(arguments: [LimitAlgorithm.fixedWindow, .slidingWindow])
    func `takes no reservation that was given back before it came`(algorithm: LimitAlgorithm) throws {
        let tokens = makeClaim("t", limit: 1_000, window: 31 * 86_400_000, algorithm, cost: 100, unit: .tokens)
        let claims = [requests, tokens, place]
        let first = try node.reserve(claims)
        let late = node.makeID()
        var batch = SettlementBatch()
        batch.add(try #require(Settlement(unanswered: claims, id: late)))
        try node.send(batch)
        let reply = try node.run(ReserveScript.call(app: node.app, claims: claims, holder: node.holder, id: late))
        guard case .error(let message) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(message.contains("taken back"))
        #expect(try node.openCount() == 1)
        #expect(try node.value(requests) == .text("1") && node.value(place) == .text("1"))
        // It is remembered for a while, and says nothing of others.
        let app = String(decoding: node.app, as: UTF8.self)
        guard case .array(let names) = try redis.command("KEYS", "weir:{\(app)}:k:*"), names.count == 1,
            case .text(let name) = names[0], case .integer(let left) = try redis.command("PTTL", name)
        else { throw RESPError.unexpected }
        #expect((1...600_000).contains(left))
        #expect(try node.reserve(claims).isAdmitted)
        try node.end(first, as: .settled(tokens: 0))
    }

    @Test func `of a clock that was ahead does not outlast the difference`() throws {
        _ = try node.reserve([tokens])
        let leases = CounterKeys(app: node.app).leases
        let ahead = Decimal.bytes(Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000)
        _ = try redis.command([Array("ZADD".utf8), leases, ahead, node.holder.name])
        _ = try other.reserve([tokens])
        #expect(try other.renew() == (1, 0))
        guard
            case .text(let score) = try redis.command([Array("ZSCORE".utf8), leases, node.holder.name]),
            let deadline = Double(score)
        else { throw RESPError.unexpected }
        #expect(deadline <= Date().timeIntervalSince1970 * 1_000 + 7_000)
    }

    @Test func `gives the others their due when one counter is none any more`() throws {
        _ = try node.reserve([tokens, place])
        try node.set(tokens, "garbage", "KEEPTTL")
        try node.lapse()
        #expect(try other.renew().returned == 1)
        #expect(try node.value(place) == .null)
        #expect(try node.value(tokens) == .text("garbage"))
    }

    @Test func `leaves nothing without an expiry, and what it holds outlives what it names`() throws {
        let claims = [
            requests, tokens, place,
            makeClaim("s", limit: 9, window: 31 * 86_400_000, .slidingWindow, unit: .tokens),
            makeClaim("b", limit: 9, window: 31 * 86_400_000, .tokenBucket, unit: .tokens),
            makeClaim(
                "p:h",
                limit: 9,
                window: 31 * 86_400_000,
                unit: .tokens,
                distinct: DistinctBound(max: 1, sharedCounter: Array("p:~".utf8))
            ),
        ]
        let reservation = try node.reserve(claims)
        try node.end(reservation, as: .settled(tokens: 1))
        // Emptied, and filled again: the hash must not be without an expiry then.
        _ = try node.reserve(claims)
        _ = try other.reserve(claims)
        try node.lapse()
        _ = try other.renew()
        _ = try other.merge("m", try #require(LocalUse(claims[0], windowID: 0, used: 1)))
        let keys = try redis.command("KEYS", "weir:{\(String(decoding: node.app, as: UTF8.self))}:*")
        guard case .array(let names) = keys else { throw RESPError.unexpected }
        #expect(names.count == 11)
        for case .text(let name) in names {
            guard case .integer(let left) = try redis.command("PTTL", name) else { throw RESPError.unexpected }
            #expect(left > 0, "\(name)")
            if name.contains(":o:") || name.hasSuffix(":n") || name.contains(":c:") {
                #expect(left > 31 * 86_400_000, "\(name)")
            }
        }
    }

    // MARK: The books

    /// Sums what is open under all leases, by counter: the scripts' records, read as docs/limits.md describes them.
    private static let audit = """
        local sums, reply = {}, {}
        for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
          local entries = redis.call('HGETALL', key)
          for i = 2, #entries, 2 do
            local place = 1
            while place <= #entries[i] do
              local status, suffix, cost, mark
              status, suffix, cost, mark, place = struct.unpack('>BI2c0i8i8', entries[i], place)
              if status % 4 == 2 then sums[suffix] = (sums[suffix] or 0) + cost end
            end
          end
        end
        for suffix, sum in pairs(sums) do
          reply[#reply + 1] = suffix
          reply[#reply + 1] = sum
        end
        return reply
        """

    private func openSums() throws -> [String: Int64] {
        let app = String(decoding: node.app, as: UTF8.self)
        let reply = try redis.command("EVAL", Self.audit, "0", "weir:{\(app)}:o:*")
        guard case .array(let values) = reply else { throw RESPError.unexpected }
        var sums: [String: Int64] = [:]
        for index in stride(from: 0, to: values.count, by: 2) {
            guard case .text(let name) = values[index], case .integer(let sum) = values[index + 1] else {
                throw RESPError.unexpected
            }
            sums[name] = sum
        }
        return sums
    }

    private func counted(_ claim: LimitClaim) throws -> Int64 {
        let text =
            "local v = redis.call('GET', KEYS[1]) if not v then return 0 end if #v < 424 then return v + 0 end"
            + " local _, total = struct.unpack('>i8i8', v) return total"
        let reply = try redis.command([Array("EVAL".utf8), Array(text.utf8), [49], node.key(claim)])
        guard case .integer(let value) = reply else { throw RESPError.unexpected }
        return value
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `keeps the books: settled and open are the counter, after whatever happens`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let month: Int64 = 31 * 86_400_000
        let counters = [
            makeClaim("r", limit: 60, window: month), makeClaim("t", limit: 300, window: month, unit: .tokens),
            makeClaim("s", limit: 300, window: month, .slidingWindow, unit: .tokens), makePlace("c", limit: 12),
        ]
        let names = counters.map { claim in
            String(decoding: node.key(claim).drop { $0 != UInt8(ascii: "}") }.dropFirst(2), as: UTF8.self)
        }
        var settled = [Int64](repeating: 0, count: counters.count)
        var nodes = (0..<3).map { _ in TestNode(redis, app: node.app) }
        var open: [[TestReservation]] = [[], [], []]
        var lapsed: Set<ObjectIdentifier> = []
        var marks: [Int: Int64] = [:]

        func isOpen(_ reservation: TestReservation, _ node: TestNode) throws -> Bool {
            let key = CounterKeys(app: node.app).openReservations(of: node.holder)
            return try redis.command([Array("HEXISTS".utf8), key, reservation.id.name]) == .integer(1)
        }

        for step in 0..<150 {
            let index = Int.random(in: 0..<3, using: &random)
            let node = nodes[index]
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<6:
                let chosen = counters.indices.shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random))
                let claims = chosen.map { which in
                    let counter = counters[which]
                    return makeClaim(
                        String(decoding: counter.counter, as: UTF8.self),
                        limit: counter.limit,
                        window: counter.windowMilliseconds,
                        counter.algorithm,
                        cost: counter.unit == .tokens ? Int64.random(in: 0...40, using: &random) : 1,
                        unit: counter.unit
                    )
                }
                let reservation = try node.reserve(claims)
                for (which, state) in zip(chosen, reservation.states) {
                    // A month may end while the test runs; then there is nothing to learn.
                    guard marks[which] ?? state.windowID == state.windowID else { return }
                    marks[which] = state.windowID
                }
                guard reservation.isAdmitted else {
                    // Refused for want of room, and not because a dead node still held it.
                    let full = try zip(chosen, claims).contains { which, claim in
                        try counted(counters[which]) + claim.cost > claim.limit
                    }
                    #expect(full)
                    break
                }
                for (which, claim) in zip(chosen, claims) {
                    if claim.unit == .requests { settled[which] += 1 }
                    #expect(try counted(counters[which]) <= claim.limit)
                }
                if ReserveScript.needsLease(claims) { open[index].append(reservation) }
                lapsed.remove(ObjectIdentifier(node))
                if Int.random(in: 0..<4, using: &random) == 0, ReserveScript.needsLease(claims) {
                    #expect(try node.reserve(claims, id: reservation.id).isAdmitted)
                }
            case 6..<9:
                guard !open[index].isEmpty else { break }
                let reservation = open[index].remove(at: Int.random(in: 0..<open[index].count, using: &random))
                let wasOpen = try isOpen(reservation, node)
                #expect(wasOpen || lapsed.contains(ObjectIdentifier(node)) || step > 0)
                let isReleased = Int.random(in: 0..<4, using: &random) == 0
                let fraction = Int64.random(in: 0...100, using: &random)
                let most = reservation.claims.filter { $0.unit == .tokens }.map(\.cost).min() ?? 0
                let used = most * fraction / 100
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    try node.end(reservation, as: isReleased ? .released : .settled(tokens: used))
                }
                for claim in reservation.claims {
                    let which = try #require(counters.firstIndex { $0.counter == claim.counter })
                    if isReleased, claim.unit == .requests, wasOpen { settled[which] -= 1 }
                    if !isReleased, claim.unit == .tokens { settled[which] += used }
                }
            case 9:
                try node.renew()
                lapsed.remove(ObjectIdentifier(node))
            case 10:
                // Stopped: it may wake up and go on, or another life of the node takes its place.
                _ = try redis.command([
                    Array("ZADD".utf8), CounterKeys(app: node.app).leases, Array("XX".utf8), [48], node.holder.name,
                ])
                lapsed.insert(ObjectIdentifier(node))
            default:
                _ = try redis.command([
                    Array("ZADD".utf8), CounterKeys(app: node.app).leases, Array("XX".utf8), [48], node.holder.name,
                ])
                nodes[index] = TestNode(redis, app: node.app)
                open[index] = []
            }
            let sums = try openSums()
            for (which, claim) in counters.enumerated() {
                #expect(
                    try counted(claim) == settled[which] + sums[names[which], default: 0],
                    "\(names[which]) after step \(step)"
                )
            }
        }
        // All die; whoever comes next finds only what was settled.
        for node in nodes {
            _ = try redis.command([
                Array("ZADD".utf8), CounterKeys(app: node.app).leases, Array("XX".utf8), [48], node.holder.name,
            ])
        }
        for _ in 0..<40 { try other.renew() }
        #expect(try openSums() == [:])
        #expect(try counters.map { try counted($0) } == settled)
    }
}
