// The breaker's rules, one test each, and a property test against a model that keeps the whole history.

import Testing

@testable import Breaker

private func makeBreaker(trip: Int = 3, jitter: Double = 0, seed: UInt64 = 1) -> Breaker {
    Breaker(
        BreakerConfiguration(
            failuresToTrip: trip,
            initialBackoff: .milliseconds(100),
            maxBackoff: .milliseconds(1_600),
            jitter: jitter,
            probeTimeout: .seconds(5),
            calm: .seconds(10)
        ),
        seed: seed
    )
}

@Suite struct `A breaker` {
    @Test func `trips after failures in a row, which a success interrupts`() {
        var breaker = makeBreaker(trip: 3)
        #expect(breaker.failed(generation: 0, now: .zero) == .none)
        #expect(breaker.failed(generation: 0, now: .zero) == .none)
        #expect(breaker.succeeded(generation: 0, now: .zero) == .none)
        #expect(breaker.failed(generation: 0, now: .zero) == .none)
        #expect(breaker.failed(generation: 0, now: .zero) == .none)
        #expect(breaker.isClosed)
        #expect(breaker.failed(generation: 0, now: .zero) == .stopUsing(until: .milliseconds(100)))
        #expect(!breaker.isClosed)
    }

    @Test func `refuses while it is open, then lets one probe out`() {
        var breaker = makeBreaker(trip: 1)
        #expect(breaker.failed(generation: 0, now: .zero) == .stopUsing(until: .milliseconds(100)))
        #expect(breaker.admits(now: .milliseconds(99)) == .refused(until: .milliseconds(100)))
        #expect(breaker.admits(now: .milliseconds(100)) == .probe(generation: 2))
        #expect(breaker.state == .halfOpen)
        #expect(breaker.admits(now: .milliseconds(101)) == .refused(until: .milliseconds(5_100)))
    }

    @Test func `closes when the probe succeeds`() {
        var breaker = makeBreaker(trip: 1)
        _ = breaker.failed(generation: 0, now: .zero)
        #expect(breaker.admits(now: .seconds(1)) == .probe(generation: 2))
        #expect(breaker.succeeded(generation: 2, now: .seconds(1)) == .resume)
        #expect(breaker.isClosed)
        #expect(breaker.admits(now: .seconds(1)) == .admitted(generation: 3))
    }

    @Test func `ignores answers of an earlier generation`() {
        var breaker = makeBreaker(trip: 1)
        _ = breaker.failed(generation: 0, now: .zero)
        // Calls that left before the trip, ending while it is open and while it is half-open.
        #expect(breaker.succeeded(generation: 0, now: .zero) == .none)
        #expect(breaker.failed(generation: 0, now: .zero) == .none)
        #expect(breaker.admits(now: .seconds(1)) == .probe(generation: 2))
        #expect(breaker.succeeded(generation: 0, now: .seconds(1)) == .none)
        #expect(breaker.failed(generation: 1, now: .seconds(1)) == .none)
        #expect(breaker.state == .halfOpen)
        #expect(breaker.succeeded(generation: 2, now: .seconds(1)) == .resume)
        // The probe's own generation is over too: reporting it twice changes nothing.
        #expect(breaker.failed(generation: 2, now: .seconds(1)) == .none)
        #expect(breaker.isClosed)
    }

    @Test func `stays open twice as long after each failed probe, up to the maximum`() {
        var breaker = makeBreaker(trip: 1)
        var now = Duration.zero
        var generation: UInt64 = 0
        for expected in [100, 200, 400, 800, 1_600, 1_600, 1_600] {
            #expect(
                breaker.failed(generation: generation, now: now)
                    == .stopUsing(until: now + .milliseconds(expected))
            )
            now += .milliseconds(expected)
            guard case .probe(let next) = breaker.admits(now: now) else {
                Issue.record("no probe after \(expected) ms")
                return
            }
            generation = next
        }
    }

    @Test(arguments: [(closedFor: 9_999, backoff: 200), (10_000, 100)])
    func `forgets earlier trips only after a calm time`(closedFor: Int, backoff: Int) {
        var breaker = makeBreaker(trip: 1)
        _ = breaker.failed(generation: 0, now: .zero)
        #expect(breaker.admits(now: .seconds(1)) == .probe(generation: 2))
        #expect(breaker.succeeded(generation: 2, now: .seconds(1)) == .resume)
        let now = Duration.seconds(1) + .milliseconds(closedFor)
        #expect(breaker.failed(generation: 3, now: now) == .stopUsing(until: now + .milliseconds(backoff)))
    }

    @Test func `gives up a probe that never reports`() {
        var breaker = makeBreaker(trip: 1)
        _ = breaker.failed(generation: 0, now: .zero)
        #expect(breaker.admits(now: .seconds(1)) == .probe(generation: 2))
        #expect(breaker.admits(now: .milliseconds(5_999)) == .refused(until: .seconds(6)))
        #expect(breaker.admits(now: .seconds(6)) == .probe(generation: 3))
        #expect(breaker.succeeded(generation: 2, now: .seconds(6)) == .none)
        #expect(breaker.succeeded(generation: 3, now: .seconds(6)) == .resume)
    }

    @Test func `spreads its backoff by the seed, within the jitter`() {
        var ends: Set<Duration> = []
        for seed in 0..<200 as Range<UInt64> {
            var breaker = makeBreaker(trip: 1, jitter: 0.5, seed: seed)
            guard case .stopUsing(let until) = breaker.failed(generation: 0, now: .zero) else {
                Issue.record("did not trip")
                return
            }
            #expect(until > .milliseconds(50) - .nanoseconds(1) && until <= .milliseconds(100))
            ends.insert(until)
        }
        #expect(ends.count > 190)
    }

    @Test func `gives the same answers for the same seed`() {
        var one = makeBreaker(trip: 1, jitter: 0.5, seed: 7)
        var other = makeBreaker(trip: 1, jitter: 0.5, seed: 7)
        #expect(one.failed(generation: 0, now: .zero) == other.failed(generation: 0, now: .zero))
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `agrees with a model that remembers everything`(seed: UInt64) {
        var random = SplitMix64(state: seed)
        var breaker = makeBreaker(trip: 3)
        // The model: outcomes since the last change of state, and which calls are from before it.
        var now = Duration.zero
        var calls: [(generation: UInt64, isCurrent: Bool)] = []
        var streak = 0
        var openUntil: Duration?
        var probe: UInt64?
        for _ in 0..<300 {
            now += .milliseconds(Int.random(in: 0...120, using: &random))
            if Bool.random(using: &random) || calls.isEmpty {
                switch breaker.admits(now: now) {
                case .admitted(let generation):
                    #expect(openUntil == nil && probe == nil)
                    calls.append((generation, true))
                case .probe(let generation):
                    #expect(probe == nil && openUntil.map { $0 <= now } ?? false)
                    openUntil = nil
                    probe = generation
                    calls.append((generation, true))
                case .refused(let until):
                    #expect(until > now && (openUntil == until || probe != nil))
                }
                // Keeps the probe from timing out, which another test covers.
                guard probe != nil else { continue }
            }
            let call =
                probe != nil ? calls.removeLast() : calls.remove(at: Int.random(in: 0..<calls.count, using: &random))
            if Bool.random(using: &random) {
                let action = breaker.succeeded(generation: call.generation, now: now)
                #expect((action == .resume) == (call.isCurrent && probe != nil))
                if call.isCurrent { streak = 0 }
                if action == .resume { probe = nil }
            } else {
                let action = breaker.failed(generation: call.generation, now: now)
                if call.isCurrent { streak += 1 }
                let trips = call.isCurrent && (probe != nil || streak == 3)
                if case .stopUsing(let until) = action {
                    #expect(trips)
                    (openUntil, probe, streak) = (until, nil, 0)
                    for index in calls.indices { calls[index].isCurrent = false }
                } else {
                    #expect(!trips)
                }
            }
        }
    }
}

/// The generator of the breaker's own jitter, as a Swift generator.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}

@Suite struct `A probe` {
    private static let configuration = BreakerConfiguration(
        failuresToTrip: 1,
        initialBackoff: .seconds(1),
        maxBackoff: .seconds(1),
        jitter: 0,
        probeTimeout: .seconds(10)
    )

    /// A breaker that has tripped at 0 s.
    private func open() -> Breaker {
        var breaker = Breaker(Self.configuration, seed: 1)
        _ = breaker.failed(generation: breaker.generation, now: .zero)
        return breaker
    }

    /// The generation of the probe that the breaker lets out.
    private func probe(_ breaker: inout Breaker, now: Duration) throws -> UInt64 {
        var generation: UInt64?
        if case .probe(let probe) = breaker.admits(now: now) { generation = probe }
        return try #require(generation)
    }

    @Test func `that was not made leaves room for another at once`() throws {
        var breaker = open()
        let generation = try probe(&breaker, now: .seconds(2))
        breaker.abandoned(generation: generation, now: .seconds(3))
        let second = try probe(&breaker, now: .seconds(3))
        // One that is reported twice takes nobody else's place.
        breaker.abandoned(generation: generation, now: .seconds(3))
        #expect(breaker.state == .halfOpen)
        #expect(breaker.succeeded(generation: second, now: .seconds(4)) == .resume)
    }

    @Test func `that was given up is believed when it ends well, unless another has failed since`() throws {
        var breaker = open()
        _ = try probe(&breaker, now: .seconds(2))
        let second = try probe(&breaker, now: .seconds(12))
        var other = breaker
        #expect(breaker.probeSucceeded(now: .seconds(13)) == .resume)
        #expect(breaker.isClosed)
        _ = other.failed(generation: second, now: .seconds(13))
        #expect(other.probeSucceeded(now: .seconds(13)) == .none)
        #expect(!other.isClosed)
    }
}
