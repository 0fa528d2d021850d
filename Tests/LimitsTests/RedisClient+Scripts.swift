// The scripts as the gateway calls them, on the tests' blocking client; and claims in one line.

import Foundation
import Testing

@testable import Limits

/// One server for all script tests; each test works in an app of its own.
let sharedServer = Result { try RedisServer() }

/// An app of its own for each test.
func makeApp() -> [UInt8] { Array("app_\(UUID().uuidString)".utf8) }

func makeClaim(
    _ counter: String = "p",
    rule: Int = 0,
    limit: Int64,
    window: Int64 = 3_600_000,
    _ algorithm: LimitAlgorithm = .fixedWindow,
    cost: Int64 = 1,
    unit: LimitUnit = .requests,
    burst: Int64? = nil,
    isShadow: Bool = false,
    distinct: DistinctBound? = nil,
    onRedisFailure: OutageRule = .localShare
) -> LimitClaim {
    LimitClaim(
        rule: rule,
        counter: Array(counter.utf8),
        limit: limit,
        windowMilliseconds: window,
        algorithm: algorithm,
        unit: unit,
        cost: cost,
        burst: burst,
        isShadow: isShadow,
        distinct: distinct,
        onRedisFailure: onRedisFailure
    )
}

/// A claim on requests in flight.
func makePlace(_ counter: String = "p", limit: Int64, isShadow: Bool = false) -> LimitClaim {
    makeClaim(counter, limit: limit, window: 0, .concurrency, unit: .inFlight, isShadow: isShadow)
}

/// A node as Redis sees it; what it does goes through one connection.
final class TestNode {
    let redis: RedisClient
    let app: [UInt8]
    let holder: LeaseHolder
    private var number: UInt64 = 0
    /// What stands in for `call('TIME')`; nil for Redis's own clock.
    let clock: String?

    init(_ redis: RedisClient, app: [UInt8], _ name: String = UUID().uuidString, clock: String? = nil) {
        self.redis = redis
        self.app = app
        self.clock = clock
        holder = LeaseHolder(name)
    }

    func run(_ call: ScriptCall) throws -> RESPValue {
        var source = String(decoding: call.script.source, as: UTF8.self)
        if let clock { source = source.replacing("call('TIME')", with: clock) }
        return try redis.command(
            [Array("EVAL".utf8), Array(source.utf8), Array(String(call.keys.count).utf8)] + call.keys + call.arguments
        )
    }

    func makeID() -> ReservationID {
        number += 1
        return ReservationID(worker: 0, number: number)
    }

    func reserve(_ claims: [LimitClaim], id: ReservationID? = nil) throws -> TestReservation {
        let id = id ?? makeID()
        let reply = try run(ReserveScript.call(app: app, claims: claims, holder: holder, id: id))
        let integers = try #require(reply.integers, "\(reply)")
        return TestReservation(
            id: id,
            claims: claims,
            outcome: try ReserveScript.outcome(of: integers, claims: claims)
        )
    }

    @discardableResult
    func end(_ reservations: TestReservation..., as end: ReservationEnd) throws -> (open: Int, adjusted: Int) {
        var batch = SettlementBatch()
        for reservation in reservations {
            let settlement = Settlement(
                claims: reservation.claims,
                states: reservation.outcome.states,
                id: reservation.id,
                end: end
            )
            if let settlement { batch.add(settlement) }
        }
        return try send(batch)
    }

    @discardableResult
    func send(_ batch: SettlementBatch) throws -> (open: Int, adjusted: Int) {
        let reply = try run(batch.call(app: app, holder: holder))
        return try SettlementBatch.outcome(of: try #require(reply.integers, "\(reply)"))
    }

    @discardableResult
    func renew() throws -> (open: Int, returned: Int) {
        let reply = try run(RenewScript.call(app: app, holder: holder))
        return try RenewScript.outcome(of: try #require(reply.integers, "\(reply)"))
    }

    func merge(_ id: String, _ uses: LocalUse...) throws -> Int? {
        let reply = try run(MergeScript.call(app: app, id: Array(id.utf8), uses: uses))
        guard case .integer(let integer) = reply else { throw RESPError.unexpected }
        return try MergeScript.outcome(of: integer)
    }

    /// As if the node had not renewed for so long that its lease is over.
    func lapse() throws {
        #expect(
            try redis.command([Array("ZADD".utf8), CounterKeys(app: app).leases, Array("XX".utf8), [48], holder.name])
                == .integer(0)
        )
    }

    func key(_ claim: LimitClaim) -> [UInt8] {
        CounterKeys(app: app).key(
            claim.algorithm,
            counter: claim.counter,
            windowMilliseconds: claim.windowMilliseconds
        )
    }

    func value(_ claim: LimitClaim) throws -> RESPValue { try redis.command([Array("GET".utf8), key(claim)]) }

    func expiry(_ claim: LimitClaim) throws -> RESPValue { try redis.command([Array("PEXPIRETIME".utf8), key(claim)]) }

    func set(_ claim: LimitClaim, _ text: String, _ more: String...) throws {
        let reply = try redis.command([Array("SET".utf8), key(claim), Array(text.utf8)] + more.map { Array($0.utf8) })
        #expect(reply == .text("OK"))
    }

    /// What the node has open in Redis.
    func openCount() throws -> Int {
        let reply = try redis.command([Array("HKEYS".utf8), CounterKeys(app: app).openReservations(of: holder)])
        guard case .array(let ids) = reply else { throw RESPError.unexpected }
        return ids.filter { $0 != .text("") }.count
    }
}

struct TestReservation {
    let id: ReservationID
    let claims: [LimitClaim]
    let outcome: ReserveOutcome

    var isAdmitted: Bool { outcome.isAdmitted }
    var states: [LimitState] { outcome.states }
}

extension ReserveOutcome {
    var isAdmitted: Bool {
        if case .admitted = self { true } else { false }
    }

    var states: [LimitState] {
        switch self {
        case .admitted(let states), .refused(_, let states): states
        }
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
