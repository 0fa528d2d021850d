// Stage 5 on the Reactor: shared limits in Redis while it answers, this node's share of them while it does not.

import Breaker
import Limits
import Logging
import Reactor
import Telemetry

/// Reserves, settles and releases. Nothing here makes a request wait longer than one Redis deadline, and once the
/// breaker is open, nothing waits at all.
final class LimitGate {
    /// The gate's cells of the node's metrics.
    struct Counters: Sendable {
        let checks: Counter
        let localDecisions: Counter
        let redisFailures: Counter
        let lostSettlements: Counter

        init(_ counters: Telemetry.Counters) {
            checks = counters.counter("weir_ratelimit_checks_total", help: "reservations asked of Redis")
            localDecisions = counters.counter(
                "weir_ratelimit_local_decisions_total",
                help: "reservations decided by this node's share"
            )
            redisFailures = counters.counter("weir_redis_failures_total", help: "commands that Redis did not answer well")
            lostSettlements = counters.counter(
                "weir_ratelimit_lost_settlements_total",
                help: "settlements that did not reach Redis; the estimate stays charged until its window ends"
            )
        }
    }

    private static let reserveScript = RedisScript(source: ReserveScript.source)
    private static let settleScript = RedisScript(source: SettleScript.source)

    private let reactor: Reactor
    private let liveNodes: LiveNodes
    private let workers: Int
    private let counters: Counters
    private let logger: Logger
    private var connection: RedisConnection?
    private var breaker = Breaker(BreakerConfiguration())
    private var local = LocalLimiter()

    init(
        reactor: Reactor,
        configuration: GatewayConfiguration,
        liveNodes: LiveNodes,
        counters: Counters,
        logger: Logger
    ) {
        self.reactor = reactor
        self.liveNodes = liveNodes
        self.counters = counters
        self.logger = logger
        workers = configuration.workers
        connection = RedisConnection(
            reactor: reactor,
            configuration: RedisConfiguration(
                host: configuration.redisHost,
                port: configuration.redisPort,
                commandDeadline: configuration.bounds.redisDeadline
            )
        )
        connection?.connect()
    }

    // MARK: Reserve

    /// Charges every claim or none; `done` runs within one Redis deadline, at once when the breaker is open.
    func reserve(app: [UInt8], claims: [LimitClaim], _ done: @escaping (ReserveOutcome) -> Void) {
        guard let generation = admission(), let connection else {
            done(reserveLocally(claims))
            return
        }
        counters.checks.add()
        connection.evaluate(
            Self.reserveScript,
            keys: ReserveScript.keys(app: app, claims: claims),
            arguments: ReserveScript.arguments(claims: claims)
        ) { [self] result in
            do throws(LimitGateFailure) {
                let outcome = try Self.outcome(result, claims)
                breaker.succeeded(generation: generation, now: reactor.now.sinceOrigin)
                done(outcome)
            } catch {
                note(error, generation: generation)
                done(reserveLocally(claims))
            }
        }
    }

    private func reserveLocally(_ claims: [LimitClaim]) -> ReserveOutcome {
        counters.localDecisions.add()
        return local.reserve(
            claims: claims,
            share: liveNodes.value * workers,
            nowMilliseconds: WallClock.milliseconds
        )
    }

    // MARK: Settle

    /// Corrects what a finished request was charged: tokens to what was used.
    func settle(app: [UInt8], claims: [LimitClaim], states: [LimitState], usedTokens: Int64) {
        let charges = zip(claims, states).compactMap { claim, state -> SettledCharge? in
            guard claim.unit == .tokens, usedTokens != claim.cost else { return nil }
            return SettledCharge(claim: claim, windowID: state.windowID, delta: usedTokens - claim.cost)
        }
        correct(app: app, charges)
    }

    /// Gives back all that a request was charged which never reached a provider.
    func release(app: [UInt8], claims: [LimitClaim], states: [LimitState]) {
        correct(app: app, zip(claims, states).map { SettledCharge(claim: $0, windowID: $1.windowID, delta: -$0.cost) })
    }

    private func correct(app: [UInt8], _ charges: [SettledCharge]) {
        guard !charges.isEmpty else { return }
        local.settle(charges)
        guard let generation = admission(), let connection else {
            counters.lostSettlements.add()
            return
        }
        connection.evaluate(
            Self.settleScript,
            keys: SettleScript.keys(app: app, charges: charges),
            arguments: SettleScript.arguments(charges: charges)
        ) { [self] result in
            guard case .failure(let failure) = result else { return }
            counters.lostSettlements.add()
            note(.redis(failure), generation: generation)
        }
    }

    // MARK: Redis's health
}
