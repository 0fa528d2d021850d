// Stage 5 on the Reactor: shared limits in Redis while it answers, this node's share of them while it does not.

import Breaker
import Limits
import Logging
import Reactor
import Secrets
import Telemetry

/// Reserves, settles and releases.
///
/// Nothing here makes a request wait longer than one Redis deadline, and once the
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
            redisFailures = counters.counter(
                "weir_redis_failures_total",
                help: "commands that Redis did not answer well"
            )
            lostSettlements = counters.counter(
                "weir_ratelimit_lost_settlements_total",
                help: "settlements that did not reach Redis; the estimate stays charged until its window ends"
            )
        }
    }

    private static let scripts = LimitScript.allCases.map { RedisScript(source: $0.source) }

    /// Where a reservation was made, which is where it is settled.
    enum Origin: Sendable { case redis, local }

    /// One miss is enough: what waits behind it would miss, too.
    ///
    /// Probes are cheap, so they come early and often.
    private static let breakerConfiguration = BreakerConfiguration(
        failuresToTrip: 1,
        initialBackoff: .milliseconds(50),
        maxBackoff: .milliseconds(500)
    )

    private let reactor: Reactor
    private let liveNodes: LiveNodes
    private let workers: Int
    private let counters: Counters
    private let logger: Logger
    private var connection: RedisConnection
    private var breaker = Breaker(LimitGate.breakerConfiguration, seed: .random(in: .min ... .max))
    private var local = LocalLimiter()
    /// Settlements of this turn by app: those of one counter are added up and leave together.
    private var settlements: [[UInt8]: SettlementBatch] = [:]
    /// This gate of this start of the node, which renews its own leases.
    private let holder = LeaseHolder(hex(SecureRandom.bytes(12)))

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
            ),
            onStateChange: { _ in }
        )
        connection.connect()
        reactor.atEndOfEveryTurn { [unowned self] in flush() }
    }

    // MARK: Reserve

    /// Charges every claim or none; `done` runs within one Redis deadline, at once when the breaker is open.
    func reserve(
        app: [UInt8],
        claims: [LimitClaim],
        id: ReservationID,
        _ done: @escaping (ReserveOutcome, Origin) -> Void
    ) {
        guard breaker.isClosed else {
            done(reserveLocally(app, claims), .local)
            return
        }
        let generation = breaker.generation
        counters.checks.add()
        evaluate(ReserveScript.call(app: app, claims: claims, holder: holder, id: id)) { [self] result in
            switch Self.outcome(result, claims) {
            case .success(let outcome):
                apply(breaker.succeeded(generation: generation, now: reactor.now.sinceOrigin))
                done(outcome, .redis)
            case .failure(let failure):
                note(failure, generation: generation)
                done(reserveLocally(app, claims), .local)
            }
        }
    }

    private static func outcome(
        _ result: Result<RedisReply, RedisFailure>,
        _ claims: [LimitClaim]
    ) -> Result<ReserveOutcome, RedisFailure> {
        result.flatMap { reply in
            guard case .array(let elements) = reply else { return .failure(.protocolError) }
            var integers: [Int64] = []
            integers.reserveCapacity(elements.count)
            for element in elements {
                guard case .integer(let integer) = element else { return .failure(.protocolError) }
                integers.append(integer)
            }
            do throws(LimitsError) {
                return .success(try ReserveScript.outcome(of: integers, claims: claims))
            } catch {
                return .failure(.protocolError)
            }
        }
    }

    private func reserveLocally(_ app: [UInt8], _ claims: [LimitClaim]) -> ReserveOutcome {
        counters.localDecisions.add()
        return local.reserve(
            app: app,
            claims: claims,
            share: liveNodes.place.nodes * workers,
            nowMilliseconds: WallClock.milliseconds
        )
    }

    // MARK: Settle

    /// Corrects what a finished request was charged: tokens to what was used.
    func settle(_ reservation: HeldReservation, usedTokens: Int64) {
        end(reservation, .settled(tokens: usedTokens))
    }

    /// Gives back all that a request was charged which never reached a provider.
    func release(_ reservation: HeldReservation) { end(reservation, .released) }

    private func end(_ held: HeldReservation, _ end: ReservationEnd) {
        guard let settlement = Settlement(claims: held.claims, states: held.states, id: held.id, end: end) else {
            return
        }
        guard held.origin == .redis else {
            local.settle(app: held.appID, charges: settlement.charges)
            return
        }
        settlements[held.appID, default: SettlementBatch()].add(settlement)
        guard let batch = settlements[held.appID], batch.isFull else { return }
        settlements[held.appID] = nil
        send(batch, held.appID)
    }

    /// At the end of a turn: one script call per app.
    ///
    /// It leaves in the same write as the turn's reservations, before
    /// any that a client sends once it has seen its answer, so no request ever finds an answer's estimate uncorrected.
    private func flush() {
        guard !settlements.isEmpty else { return }
        for (app, batch) in settlements { send(batch, app) }
        settlements.removeAll(keepingCapacity: true)
    }

    private func send(_ batch: SettlementBatch, _ app: [UInt8]) {
        guard breaker.isClosed else {
            counters.lostSettlements.add(UInt64(batch.count))
            return
        }
        let generation = breaker.generation
        evaluate(batch.call(app: app, holder: holder)) { [self] result in
            guard case .failure(let failure) = result else { return }
            counters.lostSettlements.add(UInt64(batch.count))
            note(failure, generation: generation)
        }
    }

    private func evaluate(_ call: ScriptCall, _ done: @escaping (Result<RedisReply, RedisFailure>) -> Void) {
        connection.evaluate(
            Self.scripts[call.script.rawValue],
            keys: call.keys,
            arguments: call.arguments,
            done
        )
    }

    // MARK: Redis's health

    private func note(_ failure: RedisFailure, generation: UInt64) {
        counters.redisFailures.add()
        apply(breaker.failed(generation: generation, now: reactor.now.sinceOrigin), after: failure)
    }

    private func apply(_ action: Breaker.Action, after failure: RedisFailure? = nil) {
        switch action {
        case .none:
            break
        case .stopUsing(let until):
            logger.warning(
                "redis breaker open",
                metadata: ["reason": "\(failure.map { "\($0)" } ?? "")", "for": "\(until - reactor.now.sinceOrigin)"]
            )
            scheduleProbe(at: until)
        case .resume:
            logger.notice("redis breaker closed")
            local.removeAll()
        }
    }

    /// While the breaker is open only this asks Redis, with a whole command: a stopped server still accepts connections.
    private func scheduleProbe(at time: Duration) {
        _ = reactor.schedule(after: max(time - reactor.now.sinceOrigin, .zero)) { [self] in
            switch breaker.admits(now: reactor.now.sinceOrigin) {
            case .refused(let until): scheduleProbe(at: until)
            case .admitted: break  // closed by an answer that came after all
            case .probe(let generation):
                connection.command([Array("PING".utf8)]) { [self] result in
                    switch result {
                    case .success: apply(breaker.succeeded(generation: generation, now: reactor.now.sinceOrigin))
                    case .failure(let failure): note(failure, generation: generation)
                    }
                }
            }
        }
    }
}

/// What a request was charged, to be settled or released exactly once.
struct HeldReservation: Sendable {
    let id: ReservationID
    let appID: [UInt8]
    let claims: [LimitClaim]
    let states: [LimitState]
    let origin: LimitGate.Origin
}
