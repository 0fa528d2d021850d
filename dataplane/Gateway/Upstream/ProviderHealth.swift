// How each provider fares, for the whole node: one breaker for all workers, since what one has seen fail the others need
// not try. It outlives snapshots, which come with every change of anything.

import Breaker
import Reactor
import Snapshot
private import Synchronization
import Telemetry

/// A provider's breaker and what is counted of it; any thread.
final class ProviderHealth: Sendable {
    /// Ten in a row, which are five requests where each is tried twice, so that what a few clients provoke stops nobody
    /// else; longer than for Redis, since a probe is a client's request.
    ///
    /// A model may think for minutes before its first byte; a probe that does is not waited for, but believed when it
    /// ends (`Breaker.probeSucceeded`).
    private static let breakerConfiguration = BreakerConfiguration(
        failuresToTrip: 10,
        initialBackoff: .seconds(1),
        maxBackoff: .seconds(30),
        probeTimeout: .seconds(10),
        calm: .seconds(60)
    )

    let name: String
    let breaker: SharedBreaker
    private let metrics: MetricRegistry
    private let retries = Mutex<[AttemptFailure.Reason: Counter]>([:])

    init(_ provider: EnforcedProvider, board: BreakerBoard, metrics: MetricRegistry) {
        name = provider.name
        breaker = board.breaker(for: "provider:\(provider.name)", Self.breakerConfiguration)
        self.metrics = metrics
    }

    /// Whether an attempt may be made.
    enum Answer {
        case admitted(AttemptAdmission)
        /// The breaker is open; it may be asked again at this time.
        case refused(until: Duration)
    }

    /// Asks for an attempt, whose end is to be reported.
    ///
    /// Costs an atomic load while all is well.
    func ask(now: MonotonicTime) -> Answer {
        switch breaker.admits(now: now.sinceOrigin) {
        case .admitted(let generation): .admitted(AttemptAdmission(generation: generation, isProbe: false))
        case .probe(let generation): .admitted(AttemptAdmission(generation: generation, isProbe: true))
        case .refused(let until): .refused(until: until)
        }
    }

    /// The attempt was answered.
    func succeeded(_ admission: AttemptAdmission, now: MonotonicTime) {
        if admission.isProbe {
            breaker.probeSucceeded(now: now.sinceOrigin)
        } else {
            breaker.succeeded(generation: admission.generation, now: now.sinceOrigin)
        }
    }

    /// The attempt failed in a way that tells against the provider.
    func failed(_ admission: AttemptAdmission, now: MonotonicTime, reason: String) {
        breaker.failed(generation: admission.generation, now: now.sinceOrigin, reason: reason)
    }

    /// The attempt says nothing of the provider: it was not made, or its client left.
    func abandon(_ admission: AttemptAdmission, now: MonotonicTime) {
        guard admission.isProbe else { return }
        breaker.abandoned(generation: admission.generation, now: now.sinceOrigin)
    }

    /// Counts an attempt that followed a failed one of this provider; rare, so that a lock is no matter.
    func countRetry(after reason: AttemptFailure.Reason) {
        let counter = retries.withLock { retries in
            if let counter = retries[reason] { return counter }
            let counter = metrics.counter(
                "weir.upstream.retries",
                help: "attempts that followed a failed one, by the provider that failed",
                labels: [MetricLabel("provider", name), MetricLabel("reason", reason.rawValue)]
            )
            retries[reason] = counter
            return counter
        }
        counter.add()
    }
}

/// Leave to make one attempt; its end is reported once.
struct AttemptAdmission: Sendable {
    let generation: UInt64
    /// Whether it decides if the breaker closes.
    let isProbe: Bool
}

/// All providers of the node.
final class ProviderHealths: Sendable {
    private let board: BreakerBoard
    private let metrics: MetricRegistry
    private let known = Mutex<[String: ProviderHealth]>([:])

    init(board: BreakerBoard, metrics: MetricRegistry) {
        self.board = board
        self.metrics = metrics
    }

    /// The health of a snapshot's providers, in their order; others are forgotten.
    ///
    /// - Parameters:
    ///   - providers: all of the snapshot.
    ///   - used: the indices of those that some route leads to. The breaker of another would stay open for ever, since
    ///     only requests probe it, and would page for a provider that its operators have taken out.
    /// - Returns: one for each provider.
    func healths(of providers: [EnforcedProvider], used: Set<Int>) -> [ProviderHealth] {
        known.withLock { known in
            let healths = providers.map { provider in
                // A renamed one is shown under its new name.
                if let health = known[provider.id], health.name == provider.name { return health }
                return ProviderHealth(provider, board: board, metrics: metrics)
            }
            let usedBreakers = Set(used.map { ObjectIdentifier(healths[$0].breaker) })
            for health in Array(known.values) + healths where !usedBreakers.contains(ObjectIdentifier(health.breaker)) {
                health.breaker.forget(now: MonotonicTime.now.sinceOrigin)
            }
            known = Dictionary(zip(providers.map(\.id), healths)) { first, _ in first }
            return healths
        }
    }
}
