// The breaker that threads share, and the board that shows it; plus the rules that keep Redis's from flapping.

import Synchronization
import Testing

@testable import Breaker

private let quick = BreakerConfiguration(
    failuresToTrip: 2,
    initialBackoff: .milliseconds(100),
    maxBackoff: .milliseconds(300),
    jitter: 0
)

@Suite struct `A shared breaker` {
    @Test func `that is not needed any more closes as new`() {
        let breaker = SharedBreaker("provider:p", quick)
        for _ in 0..<2 { breaker.failed(generation: 0, now: .seconds(1), reason: "reset") }
        #expect(!breaker.isClosed)
        breaker.forget(now: .seconds(2))
        #expect(breaker.isClosed && breaker.standing.closed == 1 && breaker.standing.since == .seconds(2))
        // What was under way before says nothing any more, and the first backoff is short again.
        #expect(breaker.failed(generation: 1, now: .seconds(3), reason: "reset") == .none)
        let generation = breaker.closedCallGeneration ?? 0
        breaker.failed(generation: generation, now: .seconds(3), reason: "reset")
        #expect(
            breaker.failed(generation: generation, now: .seconds(3), reason: "reset")
                == .stopUsing(until: .milliseconds(3_100))
        )
        let closed = SharedBreaker("provider:q", quick)
        closed.forget(now: .seconds(2))
        #expect(closed.isClosed && closed.standing.closed == 0 && closed.standing.since == nil)
    }

    @Test func `says when and why it opened, and how often`() {
        let breaker = SharedBreaker("redis", quick)
        #expect(breaker.admits(now: .zero) == .admitted(generation: 0))
        breaker.failed(generation: 0, now: .seconds(1), reason: "deadline")
        #expect(breaker.isClosed)
        #expect(
            breaker.failed(generation: 0, now: .seconds(2), reason: "oom") == .stopUsing(until: .milliseconds(2_100))
        )
        #expect(!breaker.isClosed)
        #expect(breaker.standing.reason == "oom")
        #expect(breaker.standing.since == .seconds(2))
        guard case .probe(let generation) = breaker.admits(now: .seconds(3)) else {
            Issue.record("no probe")
            return
        }
        // A probe that fails is no transition: it was out of use and stays so.
        breaker.failed(generation: generation, now: .seconds(3), reason: "deadline")
        #expect(breaker.standing.opened == 1)
        #expect(breaker.standing.since == .seconds(2))
        guard case .probe(let next) = breaker.admits(now: .seconds(4)) else {
            Issue.record("no probe")
            return
        }
        #expect(breaker.succeeded(generation: next, now: .seconds(4)) == .resume)
        #expect(breaker.standing.closed == 1)
        #expect(breaker.isClosed)
    }

    @Test func `forgets failures at a success, also on the path without the lock`() {
        let breaker = SharedBreaker("redis", quick)
        for _ in 0..<10 {
            #expect(breaker.succeeded(generation: 0, now: .zero) == .none)
            #expect(breaker.failed(generation: 0, now: .zero, reason: "x") == .none)
        }
        #expect(breaker.isClosed)
    }

    /// Workers that asked with `admits` took the keeper's probe and made none: half-open for the probe's whole timeout.
    @Test func `leaves the probe to the one that makes it`() {
        let breaker = SharedBreaker("redis", quick)
        #expect(breaker.closedCallGeneration == 0)
        breaker.failed(generation: 0, now: .zero, reason: "x")
        breaker.failed(generation: 0, now: .zero, reason: "x")
        #expect(breaker.closedCallGeneration == nil)
        // Its time is over, and still it is open until somebody takes the probe.
        #expect(breaker.standing.state == .open(until: .milliseconds(100)))
        guard case .probe(let generation) = breaker.admits(now: .seconds(1)) else {
            Issue.record("no probe")
            return
        }
        #expect(breaker.closedCallGeneration == nil)
        breaker.succeeded(generation: generation, now: .seconds(1))
        #expect(breaker.closedCallGeneration == generation + 1)
    }

    @Test func `tells its observers of each change`() {
        let breaker = SharedBreaker("redis", quick)
        let heard = Mutex<[Breaker.Action]>([])
        breaker.observe { action in heard.withLock { $0.append(action) } }
        breaker.failed(generation: 0, now: .zero, reason: "x")
        breaker.failed(generation: 0, now: .zero, reason: "x")
        breaker.failed(generation: 0, now: .zero, reason: "x")
        if case .probe(let generation) = breaker.admits(now: .seconds(1)) {
            breaker.succeeded(generation: generation, now: .seconds(1))
        }
        #expect(heard.withLock { $0 } == [.stopUsing(until: .milliseconds(100)), .resume])
    }

    @Test func `is one per dependency on its board, and the board shows it once`() {
        let shown = Mutex<[String]>([])
        let board = BreakerBoard { breaker in shown.withLock { $0.append(breaker.dependency) } }
        let redis = board.breaker(for: "redis", quick)
        #expect(board.breaker(for: "redis", quick) === redis)
        #expect(board.breaker(for: "control", quick) !== redis)
        #expect(shown.withLock { $0 } == ["redis", "control"])
        #expect(board.all.map(\.dependency) == ["control", "redis"])
    }
}

@Suite struct `A breaker that wants more than one success` {
    private static let configuration = BreakerConfiguration(
        failuresToTrip: 1,
        initialBackoff: .milliseconds(100),
        maxBackoff: .milliseconds(300),
        jitter: 0,
        calm: .seconds(20),
        successesToClose: 3,
        probeInterval: .milliseconds(50),
        successesAfterRelapse: 60,
        successesAfterRelapses: 200
    )

    /// Probes until it closes or `until`, with the outcome that `succeeds` gives each probe.
    private static func probe(
        _ breaker: inout Breaker,
        from start: Duration,
        until end: Duration,
        succeeds: (Duration) -> Bool
    ) -> Duration? {
        var now = start
        while now < end {
            switch breaker.admits(now: now) {
            case .admitted: return now
            case .refused(let until): now = until
            case .probe(let generation):
                if succeeds(now) {
                    if breaker.succeeded(generation: generation, now: now) == .resume { return now }
                } else {
                    _ = breaker.failed(generation: generation, now: now)
                }
            }
        }
        return nil
    }

    @Test func `closes after as many in a row, and begins again after one that failed`() {
        var breaker = Breaker(Self.configuration, seed: 1)
        _ = breaker.failed(generation: 0, now: .zero)
        var outcomes = [true, true, false, true, true, true].makeIterator()
        let closed = Self.probe(&breaker, from: .zero, until: .seconds(10)) { _ in outcomes.next() ?? false }
        // 100 and 150 succeed, 200 fails, then after a backoff of 200: 400, 450, 500.
        #expect(closed == .milliseconds(500))
    }

    @Test func `wants many more good probes after relapses, but not after outages`() {
        var breaker = Breaker(Self.configuration, seed: 1)
        _ = breaker.failed(generation: breaker.generation, now: .zero)
        #expect(Self.probe(&breaker, from: .zero, until: .seconds(9)) { _ in true } == .milliseconds(200))
        // It passed its probes at once and failed again: twice. From a backoff on, a probe each 50 ms.
        _ = breaker.failed(generation: breaker.generation, now: .seconds(1))
        #expect(Self.probe(&breaker, from: .seconds(1), until: .seconds(9)) { _ in true } == .milliseconds(4_150))
        _ = breaker.failed(generation: breaker.generation, now: .seconds(5))
        #expect(Self.probe(&breaker, from: .seconds(5), until: .seconds(99)) { _ in true } == .milliseconds(15_250))
        // One failed probe among good ones begins the count again, and is no outage.
        _ = breaker.failed(generation: breaker.generation, now: .seconds(16))
        let late = Self.probe(&breaker, from: .seconds(16), until: .seconds(99)) {
            $0 < .seconds(20) || $0 > .milliseconds(20_050)
        }
        #expect(late.map { $0 > .seconds(30) } == true)
        // An outage while it is closed again: it ends soon after the dependency is back.
        _ = breaker.failed(generation: breaker.generation, now: .seconds(90))
        let back = Duration.seconds(93)
        let closed = Self.probe(&breaker, from: .seconds(90), until: .seconds(99)) { $0 >= back }
        #expect(closed.map { $0 - back < .milliseconds(500) } == true)
        _ = breaker.failed(generation: breaker.generation, now: .seconds(95))
        #expect(Self.probe(&breaker, from: .seconds(95), until: .seconds(99)) { _ in true } == .milliseconds(95_400))
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func `makes at most six transitions a minute when one call in twenty is slow`(seed: UInt64) {
        var random = SplitMix64(state: seed)
        var configuration = Self.configuration
        configuration.jitter = 0.5
        var breaker = Breaker(configuration, seed: seed)
        var transitions: [Duration] = []
        var now = Duration.zero
        while now < .seconds(600) {
            now += .milliseconds(2)  // 500 calls a second
            let isSlow = UInt64.random(in: 0..<20, using: &random) == 0
            switch breaker.admits(now: now) {
            case .refused: break
            case .admitted(let generation):
                if isSlow, breaker.failed(generation: generation, now: now) != .none { transitions.append(now) }
            case .probe(let generation):
                if isSlow {
                    _ = breaker.failed(generation: generation, now: now)
                } else if breaker.succeeded(generation: generation, now: now) == .resume {
                    transitions.append(now)
                }
            }
        }
        for (index, time) in transitions.enumerated() {
            #expect(transitions[index...].prefix { $0 < time + .seconds(60) }.count <= 6)
        }
    }
}
