// Stage 5 on the Reactor: shared limits in Redis while it answers, this node's share of them while it does not.

import Breaker
import Limits
import Logging
import Policy
import Reactor
import Secrets
import Telemetry

/// Reserves, settles and releases for one worker.
///
/// Nothing here makes a request wait longer than one Redis deadline. When a command fails in a way that is the server's
/// fault, the breaker opens for all workers of the node, every connection is closed, what waits on them is decided by
/// this node's share at once, and nothing waits any more until the breaker closes (RedisKeeper sees to that).
final class LimitGate {
    /// Where a reservation was made, which is where it is settled.
    enum Origin: Sendable {
        /// Under which of the gate's names; see `LeaseKey`.
        case redis(life: UInt32)
        case local

        /// The same, as explanations have it.
        var decider: LimitDecider {
            switch self {
            case .redis: .redis
            case .local: .share
            }
        }
    }

    /// The end of a reservation, as the pipeline hears it.
    enum Outcome {
        case admitted([LimitState])
        case refused(claim: Int, [LimitState])
        /// The rule of this claim admits nothing while Redis is out.
        case unavailable(claim: Int)
    }

    private static let scripts = LimitScript.allCases.map { RedisScript(source: $0.source) }
    private static let mailboxCapacity = 1_024
    /// What could not be settled waits so long while Redis is in use.
    private static let latePause = Duration.milliseconds(50)

    private let reactor: Reactor
    private let node: NodeLimits
    private let seen: SeenTable
    private let metrics: LimitMetrics
    private var connection: RedisConnection?
    private var wasReady = false
    /// Settlements of this turn by app: those of one counter are added up and leave together.
    private var settlements: [LeaseKey: SettlementBatch] = [:]
    private var late: LateSettlements
    private var isSendingLate = false
    private var isLateDue = false
    private var leases: LeaseRenewer?
    /// This gate of this start of the node, which renews its own leases.
    private let name = hex(SecureRandom.bytes(12))
    private var life: UInt32 = 0
    private var holder: LeaseHolder

    init(reactor: Reactor, configuration: GatewayConfiguration, node: NodeLimits, metrics: LimitMetrics) {
        self.reactor = reactor
        self.node = node
        self.metrics = metrics
        holder = Self.holder(name, life)
        seen = node.makeTable()
        late = LateSettlements(lost: metrics.lostSettlements)
        let connection = RedisConnection(
            reactor: reactor,
            configuration: RedisConfiguration(
                host: configuration.redisHost,
                port: configuration.redisPort,
                commandDeadline: configuration.bounds.redisDeadline
            ),
            onStateChange: { [unowned self] in connectionChanged(to: $0) }
        )
        self.connection = connection
        leases = LeaseRenewer(reactor: reactor) { [unowned self] key, done in renew(key, done) }
        // By message, so that a connection is never closed inside one of its own callbacks.
        let mailbox = reactor.makeMailbox(capacity: Self.mailboxCapacity) { [unowned self] (_: Change) in
            breakerChanged()
        }
        node.breaker.observe { _ in _ = mailbox.send(Change()) }
        connection.connect()
        reactor.atEndOfEveryTurn { [unowned self] in flush() }
    }

    private struct Change: Sendable {}

    // MARK: Reserve

    /// Charges every claim or none; `done` runs within one Redis deadline, at once when the breaker is open.
    func reserve(
        app: [UInt8],
        claims: [LimitClaim],
        id: ReservationID,
        _ done: @escaping (Outcome, Origin) -> Void
    ) {
        guard let connection, connection.state == .ready, let generation = node.breaker.closedCallGeneration
        else { return done(reserveLocally(app, claims), .local) }
        metrics.checks.add()
        let life = life
        let key = LeaseKey(app: app, life: life)
        let call = ReserveScript.call(app: app, claims: claims, holder: holder(life), id: id)
        evaluate(call, on: connection) { [self] result in
            switch Self.outcome(result, claims) {
            case .success(let (outcome, redisNow)):
                node.breaker.succeeded(generation: generation, now: now)
                node.noteClock(redisNow)
                note(outcome, key, claims, redisNow: redisNow)
                switch outcome {
                case .admitted(let states): done(.admitted(states), .redis(life: life))
                case .refused(let claim, let states): done(.refused(claim: claim, states), .redis(life: life))
                }
            case .failure(let failure):
                note(failure, generation: generation)
                // It may have been carried out all the same, and then its charge is nobody's.
                if failure.leavesDoubt, let settlement = Settlement(unanswered: claims, id: id) {
                    late.add(settlement, key)
                    scheduleLate()
                }
                done(reserveLocally(app, claims), .local)
            }
        }
    }

    private static func outcome(
        _ result: Result<RedisReply, RedisFailure>,
        _ claims: [LimitClaim]
    ) -> Result<(ReserveOutcome, redisNow: Int64), RedisFailure> {
        result.flatMap { reply in
            guard let integers = reply.integers else { return .failure(.protocolError) }
            do throws(LimitsError) {
                return .success((try ReserveScript.outcome(of: integers, claims: claims), integers[1]))
            } catch {
                return .failure(.protocolError)
            }
        }
    }

    private func holder(_ life: UInt32) -> LeaseHolder {
        life == self.life ? holder : Self.holder(name, life)
    }

    private static func holder(_ name: String, _ life: UInt32) -> LeaseHolder { LeaseHolder("\(name)-\(life)") }

    private func note(_ outcome: ReserveOutcome, _ key: LeaseKey, _ claims: [LimitClaim], redisNow: Int64) {
        let app = key.app
        let (states, isCharged) =
            switch outcome {
            case .admitted(let states): (states, true)
            case .refused(_, let states): (states, false)
            }
        if isCharged, ReserveScript.needsLease(claims) { leases?.opened(key) }
        let lost = seen.note(app: app, claims: claims, states: states, isCharged: isCharged, now: redisNow)
        for (claim, amount) in lost ?? [] {
            metrics.epochResets.add()
            node.owe(app: app, claims[claim], states[claim], shortfall: amount, except: seen)
        }
    }

    private func reserveLocally(_ app: [UInt8], _ claims: [LimitClaim]) -> Outcome {
        metrics.localDecisions.add()
        switch node.reserve(app: app, claims: claims) {
        case .admitted(let states):
            if claims.contains(where: { $0.onRedisFailure == .allow }) { metrics.allowedUnchecked.add() }
            return .admitted(states)
        case .refused(let claim, let states):
            return .refused(claim: claim, states)
        case .unavailable(let claim):
            metrics.deniedUnchecked.add()
            return .unavailable(claim: claim)
        }
    }

    // MARK: Settle

    /// Corrects what a finished request was charged: tokens to what was used.
    func settle(_ reservation: HeldReservation, usedTokens: Int64) {
        end(reservation, .settled(tokens: usedTokens))
    }

    /// Gives back all that a request was charged which never reached a provider.
    func release(_ reservation: HeldReservation) { end(reservation, .released) }

    private func end(_ held: HeldReservation, _ end: ReservationEnd) {
        guard var settlement = Settlement(claims: held.claims, states: held.states, id: held.id, end: end) else {
            return
        }
        var key = LeaseKey(app: held.appID, life: life)
        switch held.origin {
        case .redis(let life):
            key = LeaseKey(app: held.appID, life: life)
            if settlement.reservation != nil { leases?.closed(key) }
            seen.noteEnd(app: held.appID, settlement.charges)
        case .local:
            let corrections = node.settle(app: held.appID, charges: settlement.charges)
            guard !corrections.isEmpty else { return }
            settlement = Settlement(corrections: corrections)
        }
        settlements[key, default: SettlementBatch()].add(settlement)
        guard let batch = settlements[key], batch.isFull else { return }
        settlements[key] = nil
        send(batch, key)
    }

    /// At the end of a turn: one script call per app.
    ///
    /// It leaves in the same write as the turn's reservations, before
    /// any that a client sends once it has seen its answer, so no request ever finds an answer's estimate uncorrected.
    private func flush() {
        guard !settlements.isEmpty else { return }
        for (key, batch) in settlements { send(batch, key) }
        settlements.removeAll(keepingCapacity: true)
    }

    private func send(_ batch: SettlementBatch, _ key: LeaseKey) {
        guard let connection, connection.state == .ready, let generation = node.breaker.closedCallGeneration
        else { return keep(batch, key) }
        evaluate(batch.call(app: key.app, holder: holder(key.life)), on: connection) { [self] result in
            guard case .failure(let failure) = result else { return seen.noteSettled(app: key.app, batch) }
            note(failure, generation: generation)
            retry(batch, key, after: failure)
        }
    }

    /// Sends again later what does no harm twice.
    ///
    /// Of what may have been carried out those are the ends of reservations with a lease. Lost, they would hold their
    /// places for as long as this gate renews.
    private func retry(_ batch: SettlementBatch, _ key: LeaseKey, after failure: RedisFailure) {
        // All but the counter that is none was settled.
        guard failure.fault.blame != .key else { return metrics.lostSettlements.add(UInt64(batch.count)) }
        var batch = batch
        if failure.fault.blame == .server { metrics.lostSettlements.add(UInt64(batch.dropLeaseless())) }
        if batch.count > 0 { keep(batch, key) }
    }

    private func keep(_ batch: SettlementBatch, _ key: LeaseKey) {
        late.add(batch, key)
        scheduleLate()
    }

    /// While Redis is out this comes to nothing; the next connection sends what waits.
    private func scheduleLate() {
        guard !isLateDue else { return }
        isLateDue = true
        _ = reactor.schedule(after: Self.latePause) { [weak self] in
            self?.isLateDue = false
            self?.sendNextLate()
        }
    }

    /// One at a time: a thousand at once would take Redis longer than other requests may wait.
    private func sendNextLate() {
        guard !isSendingLate, let connection, connection.state == .ready,
            let generation = node.breaker.closedCallGeneration,
            let (key, batch) = late.next()
        else { return }
        isSendingLate = true
        metrics.lateSettlements.add(UInt64(batch.count))
        evaluate(batch.call(app: key.app, holder: holder(key.life)), on: connection) { [self] result in
            isSendingLate = false
            switch result {
            case .success: seen.noteSettled(app: key.app, batch)
            case .failure(let failure):
                note(failure, generation: generation)
                retry(batch, key, after: failure)
                guard failure.fault.blame == .key else { return }
            }
            sendNextLate()
        }
    }

    // MARK: Leases

    private func renew(_ key: LeaseKey, _ done: @escaping (_ isRenewed: Bool) -> Void) {
        guard let connection, connection.state == .ready, let generation = node.breaker.closedCallGeneration
        else { return done(false) }
        let closedBefore = leases?.closedCount(of: key)
        let settling = settlements[key]?.count ?? 0
        let isComparable = late.isEmpty && !isSendingLate
        evaluate(RenewScript.call(app: key.app, holder: holder(key.life)), on: connection) { [self] result in
            switch Self.renewal(result) {
            case .success(let (open, returned)):
                if isComparable, late.isEmpty, !isSendingLate, let closedBefore {
                    compare(key, openInRedis: open, closedBefore: closedBefore, settling: settling)
                }
                metrics.leasesReturned.add(UInt64(returned))
                // A dead node held more: all of it is to be back within ten seconds.
                guard returned < RenewScript.mostReturned else { return renew(key, done) }
                done(true)
            case .failure(let failure):
                note(failure, generation: generation)
                done(false)
            }
        }
    }

    /// Under a new name this gate renews what is open under the old one only until that has ended; then the old lease
    /// lapses, and what nobody will close goes back with it.
    private func compare(_ key: LeaseKey, openInRedis: Int, closedBefore: Int, settling: Int) {
        guard
            leases?.isLeaking(key, openInRedis: openInRedis, closedBefore: closedBefore, settling: settling) == true,
            key.life == life
        else { return }
        life &+= 1
        holder = Self.holder(name, life)
        node.warn("redis holds reservations open that this node has closed: their lease is left to lapse")
    }

    private static func renewal(_ result: Result<RedisReply, RedisFailure>) -> Result<
        (open: Int, returned: Int), RedisFailure
    > {
        result.flatMap { reply in
            guard let integers = reply.integers else { return .failure(.protocolError) }
            do throws(LimitsError) {
                return .success(try RenewScript.outcome(of: integers))
            } catch {
                return .failure(.protocolError)
            }
        }
    }

    // MARK: Redis's health

    private func evaluate(
        _ call: Limits.ScriptCall,
        on connection: RedisConnection,
        _ done: @escaping (Result<RedisReply, RedisFailure>) -> Void
    ) {
        let script = Self.scripts[call.script.rawValue]
        guard let roundTrip = metrics.roundTrip else {
            return connection.evaluate(script, keys: call.keys, arguments: call.arguments, done)
        }
        // By the turns' own readings of the clock: what lies between them is what a request waits.
        let start = reactor.now
        connection.evaluate(script, keys: call.keys, arguments: call.arguments) { [reactor] result in
            roundTrip.record(reactor.now.nanoseconds &- start.nanoseconds)
            done(result)
        }
    }

    private func note(_ failure: RedisFailure, generation: UInt64) {
        let fault = failure.fault
        metrics.count(fault)
        switch fault.blame {
        case .server: node.breaker.failed(generation: generation, now: now, reason: fault.rawValue)
        case .key:
            node.warn("a counter in redis is none; its limit is this node's share", ["class": "\(fault.rawValue)"])
        case .nobody: break
        }
    }

    /// A lost connection with commands on it speaks through them; one without is made again, and only when that fails
    /// is Redis out.
    private func connectionChanged(to state: RedisState) {
        metrics.connected.set(state == .ready ? 1 : 0)
        switch state {
        case .ready:
            wasReady = true
            // In the next turn, when everybody has heard of the connection.
            _ = reactor.schedule(after: .zero) { [weak self] in self?.catchUp() }
        case .waiting(let failure):
            defer { wasReady = false }
            guard !wasReady, let generation = node.breaker.closedCallGeneration else { return }
            note(failure, generation: generation)
        case .closed: wasReady = false
        case .connecting: break
        }
    }

    private func breakerChanged() {
        if node.asksRedis { connection?.connect() } else { connection?.close() }
    }

    private func catchUp() {
        leases?.renewAll()
        sendNextLate()
    }

    private var now: Duration { reactor.now.sinceOrigin }
}

/// What a request was charged, to be settled or released exactly once.
struct HeldReservation: Sendable {
    let id: ReservationID
    let appID: [UInt8]
    let claims: [LimitClaim]
    let states: [LimitState]
    let origin: LimitGate.Origin
}

extension RedisFailure {
    /// Whether the command may have been carried out all the same.
    fileprivate var leavesDoubt: Bool {
        switch self {
        case .deadline, .connectionLost, .protocolError: true
        // An error in place of an answer, and nothing charged; or nothing sent.
        case .server, .notConnected, .tooManyCommands: false
        }
    }
}
