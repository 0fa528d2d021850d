// A reservation was an estimate; this is what became of it. Giving back a reservation that never reached a provider is
// the same with nothing used.

/// A charge and what became of it.
public struct SettledCharge: Equatable, Sendable {
    /// How the counter counts.
    public let algorithm: LimitAlgorithm
    /// Names the counter within the app's slot.
    public let counter: [UInt8]
    /// The window's length.
    public let windowMilliseconds: Int64
    /// The window that was charged; when it is over, settling does nothing.
    public let windowID: Int64
    /// The bucket's rate; nil of other algorithms.
    public let rate: BucketRate?
    /// What was used less what was charged.
    public let delta: Int64
    /// What to charge when the charge was given back because its lease lapsed: the tokens that were used.
    public let deltaWhenLapsed: Int64
    /// An estimate until it is settled; all else is final once the request has left.
    let isOfTokens: Bool

    /// Makes the correction of one claim; nil when nothing is to correct: not charged, or final and used just so.
    ///
    /// - Parameters:
    ///   - claim: what was reserved.
    ///   - state: what the reservation answered.
    ///   - used: what the request turned out to use, in the claim's unit; 0 gives all of it back.
    public init?(_ claim: LimitClaim, _ state: LimitState, used: Int64) {
        let bounds = 0...ReserveScript.maxCount
        let cost = min(max(claim.cost, bounds.lowerBound), bounds.upperBound)
        let used = min(max(used, bounds.lowerBound), bounds.upperBound)
        delta = used - cost
        deltaWhenLapsed = claim.unit == .tokens ? used : 0
        isOfTokens = claim.unit == .tokens
        guard !state.isOver, delta != 0 || deltaWhenLapsed != 0 else { return nil }
        algorithm = claim.algorithm
        counter = state.isShared ? claim.distinct?.sharedCounter ?? claim.counter : claim.counter
        windowMilliseconds = claim.windowMilliseconds
        windowID = state.windowID
        rate = claim.algorithm == .tokenBucket ? BucketRate(claim) : nil
    }
}

extension SettledCharge {
    /// Another correction of the same counter and window.
    init(_ charge: SettledCharge, delta: Int64) {
        algorithm = charge.algorithm
        counter = charge.counter
        windowMilliseconds = charge.windowMilliseconds
        windowID = charge.windowID
        rate = charge.rate
        self.delta = delta
        deltaWhenLapsed = 0
        isOfTokens = charge.isOfTokens
    }
}

/// How a request ended, as its limits see it.
public enum ReservationEnd: Equatable, Sendable {
    /// It reached a provider and used so many tokens.
    case settled(tokens: Int64)
    /// It never did: all of it goes back.
    case released
}

/// What a finished request's reservation comes to; told to Redis once.
public struct Settlement: Equatable, Sendable {
    /// The open reservation that this closes; nil when nothing of it could be returned.
    public let reservation: ReservationID?
    /// What changes.
    public let charges: [SettledCharge]
    /// All of it goes back, and only Redis knows what that is.
    let isUnanswered: Bool

    /// Settles a reservation; nil when there is nothing to tell.
    ///
    /// - Parameters:
    ///   - claims: what was reserved.
    ///   - states: what the reservation answered.
    ///   - id: the reservation's.
    ///   - end: what became of the request.
    public init?(claims: [LimitClaim], states: [LimitState], id: ReservationID, end: ReservationEnd) {
        charges = zip(claims, states).compactMap { claim, state in
            let used =
                switch (end, claim.unit) {
                case (.released, _), (.settled, .inFlight): 0 as Int64
                case (.settled, .requests): claim.cost
                case (.settled(let tokens), .tokens): tokens
                }
            return SettledCharge(claim, state, used: used)
        }
        reservation = ReserveScript.needsLease(claims) ? id : nil
        isUnanswered = false
        guard reservation != nil || !charges.isEmpty else { return nil }
    }

    /// Takes back a reservation whose answer never came, in case it was made after all; nil when it would have left no
    /// trace by which to find it.
    ///
    /// - Parameters:
    ///   - claims: what was asked for.
    ///   - id: the reservation's.
    public init?(unanswered claims: [LimitClaim], id: ReservationID) {
        guard ReserveScript.needsLease(claims) else { return nil }
        charges = []
        reservation = id
        isUnanswered = true
    }

    /// Takes back what was merged and then turned out too much; without a lease, so not to be sent twice.
    public init(corrections: [SettledCharge]) {
        charges = corrections
        reservation = nil
        isUnanswered = false
    }
}
