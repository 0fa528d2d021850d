// Stops using what does not answer, and finds out when it does again. A pure state machine with the semantics of
// sony/gobreaker: closed, open, half-open; each change begins a generation, and what belongs to an earlier generation
// says nothing.
//
//              `failuresToTrip` failures in a row
//     closed ────────────────────────────────────▶ open ◀──────────┐
//        ▲                                           │ backoff over │ the probe failed
//        └────────── the probe succeeded ─────── half-open ────────┘
//
// Two things differ from gobreaker. The time it stays open doubles with each trip, with jitter, so that a fleet does
// not probe in step; trips are forgotten only after the breaker was closed for `calm`, so that a dependency that
// comes and goes is probed ever less. And a probe that never reports is given up after `probeTimeout`: a lost answer
// must not leave the breaker half-open for ever.
//
// What is slow now and then passes a few probes and fails the next burst of calls: that is a relapse, told from an
// outage by probes that did not fail in a row. After a relapse within `calm` it wants many more good probes before it
// closes, and each one that fails begins the count again: callers do not pay for one miss after the other, and what was
// really out is used as soon as it is back.

/// How a breaker trips and recovers.
public struct BreakerConfiguration: Equatable, Sendable {
    /// Failures in a row that trip it, at least 1.
    public var failuresToTrip: Int
    /// How long it stays open the first time.
    public var initialBackoff: Duration
    /// The longest it stays open.
    public var maxBackoff: Duration
    /// How much of the backoff is left to chance, 0...1: it lasts between (1 - jitter) and 1 times its length.
    public var jitter: Double
    /// When a probe counts as lost.
    public var probeTimeout: Duration
    /// How long it must have been closed for earlier trips to be forgotten.
    public var calm: Duration
    /// Probes in a row that must succeed before it closes, at least 1; gobreaker's `MaxRequests`.
    public var successesToClose: Int
    /// From one successful probe to the next while more are wanted.
    public var probeInterval: Duration
    /// Probes in a row that must succeed after a first relapse; not less than `successesToClose`.
    public var successesAfterRelapse: Int
    /// The same after each further relapse.
    public var successesAfterRelapses: Int

    /// Failed probes in a row that make an outage of what else could be a relapse.
    static let probesOfOutage = 4

    /// Makes a configuration; the defaults suit a server in the same network.
    public init(
        failuresToTrip: Int = 5,
        initialBackoff: Duration = .milliseconds(100),
        maxBackoff: Duration = .seconds(2),
        jitter: Double = 0.5,
        probeTimeout: Duration = .seconds(5),
        calm: Duration = .seconds(10),
        successesToClose: Int = 1,
        probeInterval: Duration = .zero,
        successesAfterRelapse: Int = 1,
        successesAfterRelapses: Int = 1
    ) {
        precondition(failuresToTrip >= 1, "a breaker trips after at least one failure")
        precondition(initialBackoff > .zero && maxBackoff >= initialBackoff, "a backoff grows from above zero")
        precondition((0...1).contains(jitter), "jitter is a share of the backoff")
        precondition(successesToClose >= 1, "a breaker closes after at least one success")
        self.failuresToTrip = failuresToTrip
        self.initialBackoff = initialBackoff
        self.maxBackoff = maxBackoff
        self.jitter = jitter
        self.probeTimeout = probeTimeout
        self.calm = calm
        self.successesToClose = successesToClose
        self.probeInterval = probeInterval
        self.successesAfterRelapse = max(successesToClose, successesAfterRelapse)
        self.successesAfterRelapses = max(self.successesAfterRelapse, successesAfterRelapses)
    }
}

/// A circuit breaker.
///
/// Time is passed in, from any origin that does not go back.
public struct Breaker: Sendable {
    /// Where a breaker stands.
    public enum State: Equatable, Sendable {
        /// Calls pass.
        case closed
        /// Calls are refused until the time.
        case open(until: Duration)
        /// One call, the probe, is out; others are refused.
        case halfOpen
    }

    /// Whether a call may be made.
    public enum Admission: Equatable, Sendable {
        /// Yes; its end is reported with the generation.
        case admitted(generation: UInt64)
        /// Yes, and it decides whether the breaker closes; its end is reported with the generation.
        case probe(generation: UInt64)
        /// No; asking again before the time gives the same answer.
        case refused(until: Duration)
    }

    /// What an event changed.
    public enum Action: Equatable, Sendable {
        /// Nothing.
        case none
        /// The breaker opened: stop using the dependency until the time.
        case stopUsing(until: Duration)
        /// The breaker closed: use it again.
        case resume
    }

    private let configuration: BreakerConfiguration
    private var random: UInt64
    private var failures = 0
    /// Since when a probe is out; meaningful while half-open.
    private var probeStart: Duration = .zero
    private var closedSince: Duration?
    private var trips = 0
    private var relapses = 0
    private var successfulProbes = 0
    private var failedProbes = 0
    /// Whether probes failed often enough since the last trip from closed for it to have been an outage.
    private var wasOutage = false

    /// Where it stands, as of the last event; an open one whose time is over stays open until it is asked.
    public private(set) var state = State.closed
    /// Grows with each change of state and each probe.
    public private(set) var generation: UInt64 = 0
    /// Failures since the last success or change of state, while closed.
    var failuresInARow: Int { failures }

    /// Makes a closed breaker.
    ///
    /// - Parameters:
    ///   - configuration: how it trips and recovers.
    ///   - seed: chooses the jitter; different on each node.
    public init(_ configuration: BreakerConfiguration, seed: UInt64) {
        self.configuration = configuration
        random = seed
    }

    /// Whether calls pass: what the request path asks where a background prober makes the probes.
    public var isClosed: Bool { state == .closed }

    /// Asks for a call; when the backoff is over, the answer is the probe.
    public mutating func admits(now: Duration) -> Admission {
        switch state {
        case .closed:
            return .admitted(generation: generation)
        case .open(let until) where now < until:
            return .refused(until: until)
        case .halfOpen where now < probeStart + configuration.probeTimeout:
            return .refused(until: probeStart + configuration.probeTimeout)
        case .open, .halfOpen:
            state = .halfOpen
            generation += 1
            probeStart = now
            return .probe(generation: generation)
        }
    }

    /// A call of the generation ended well.
    public mutating func succeeded(generation: UInt64, now: Duration) -> Action {
        guard generation == self.generation else { return .none }
        switch state {
        case .closed:
            failures = 0
            return .none
        case .halfOpen:
            successfulProbes += 1
            failedProbes = 0
            self.generation += 1
            guard successfulProbes >= successesToClose else {
                state = .open(until: now + configuration.probeInterval)
                return .none
            }
            state = .closed
            failures = 0
            closedSince = now
            return .resume
        case .open:
            return .none
        }
    }

    /// A call of the generation failed in a way that tells against the dependency.
    public mutating func failed(generation: UInt64, now: Duration) -> Action {
        guard generation == self.generation else { return .none }
        switch state {
        case .closed:
            failures += 1
            return failures < configuration.failuresToTrip ? .none : trip(now: now)
        case .halfOpen:
            return trip(now: now)
        case .open:
            return .none
        }
    }

    /// A probe that was not made, or says nothing of the dependency: the next call may be one.
    public mutating func abandoned(generation: UInt64, now: Duration) {
        guard generation == self.generation, state == .halfOpen else { return }
        state = .open(until: now)
    }

    /// A probe ended well, be it one that had been given up: for dependencies that may take long to answer.
    ///
    /// - Returns: `none` when the breaker is not waiting for a probe: one since then has failed, or has closed it.
    public mutating func probeSucceeded(now: Duration) -> Action {
        state == .halfOpen ? succeeded(generation: generation, now: now) : .none
    }

    /// Closes it, as new: nobody uses the dependency any more, so nobody would find out that it is back.
    ///
    /// - Returns: `resume` when it was not closed.
    public mutating func forget() -> Action {
        let wasClosed = state == .closed
        state = .closed
        generation += 1
        (failures, trips, relapses, successfulProbes, failedProbes) = (0, 0, 0, 0, 0)
        (closedSince, wasOutage) = (nil, false)
        return wasClosed ? .none : .resume
    }

    private mutating func trip(now: Duration) -> Action {
        if state == .closed { noteTripFromClosed(now: now) } else { noteFailedProbe() }
        let until = now + backoff()
        trips += 1
        state = .open(until: until)
        generation += 1
        failures = 0
        successfulProbes = 0
        return .stopUsing(until: until)
    }

    private mutating func noteTripFromClosed(now: Duration) {
        if let closedSince {
            let isCalm = now - closedSince >= configuration.calm
            if isCalm { trips = 0 }
            relapses = isCalm || wasOutage ? 0 : relapses + 1
        }
        wasOutage = false
        failedProbes = 0
    }

    private mutating func noteFailedProbe() {
        failedProbes += 1
        guard failedProbes >= BreakerConfiguration.probesOfOutage else { return }
        wasOutage = true
        relapses = 0
    }

    private var successesToClose: Int {
        switch relapses {
        case 0: configuration.successesToClose
        case 1: configuration.successesAfterRelapse
        default: configuration.successesAfterRelapses
        }
    }

    /// The time to stay open: doubled for each trip so far, less a random share of at most `jitter`.
    private mutating func backoff() -> Duration {
        var backoff = configuration.initialBackoff
        for _ in 0..<trips where backoff < configuration.maxBackoff {
            backoff = min(backoff * 2, configuration.maxBackoff)
        }
        return backoff * (1 - configuration.jitter * nextFraction())
    }

    /// 0..<1, by SplitMix64 (Steele, Lea, Flood 2014): chance for spreading probes needs no better.
    private mutating func nextFraction() -> Double {
        random &+= 0x9E37_79B9_7F4A_7C15
        var bits = random
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return Double(bits >> 11) * 0x1p-53
    }
}
