// The Swift side of schemas/redis/reserve.lua and reserve_any.lua: what goes in, and what a reply means. A reply comes
// from another machine and is believed only within the bounds that the script can produce.

/// Charges all claims of a request, or none.
public enum ReserveScript {
    /// Counters are exact up to here, a Lua number's exact range; costs and limits are held to it.
    static let maxCount: Int64 = 1 << 53

    /// A sliding window is cut into so many grains.
    static let grains: Int64 = 50

    /// How long to wait for a request in flight to end: nobody knows.
    static let concurrencyResetMilliseconds: Int64 = 1_000

    /// Whether a charge of these can be returned later, so that the reservation must be settled or released.
    public static func needsLease(_ claims: [LimitClaim]) -> Bool { claims.contains { $0.isReturnable } }

    /// The call that reserves.
    ///
    /// Sent again with the same id, it is answered again and not charged again, as long as the reservation is open;
    /// claims that need no lease leave no trace and are charged by each call.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claims: what the request takes.
    ///   - holder: who renews the reservation's lease.
    ///   - id: names the reservation.
    /// - Returns: what to ask of Redis.
    public static func call(app: [UInt8], claims: [LimitClaim], holder: LeaseHolder, id: ReservationID) -> ScriptCall {
        let keys = CounterKeys(app: app)
        guard !isPlain(claims) else { return plainCall(keys, claims) }
        return call(keys, claims, lease: needsLease(claims) ? (holder, id) : nil)
    }

    /// The call that charges without a lease, so that nothing of it can be returned.
    static func leaselessCall(app: [UInt8], claims: [LimitClaim]) -> ScriptCall {
        call(CounterKeys(app: app), claims, lease: nil)
    }

    private static func call(
        _ keys: CounterKeys,
        _ claims: [LimitClaim],
        lease: (holder: LeaseHolder, id: ReservationID)?
    ) -> ScriptCall {
        let hasLease = lease != nil
        var names = lease.map { [keys.leases, keys.openReservations(of: $0.holder)] } ?? []
        let isQuick =
            hasLease
            && claims.allSatisfy { claim in
                (claim.algorithm == .fixedWindow || claim.algorithm == .concurrency) && claim.distinct == nil
            }
        var arguments = lease.map { [$0.holder.name, $0.id.name] } ?? [[], []]
        arguments.append([isQuick ? UInt8(ascii: "1") : UInt8(ascii: "0")])
        for claim in claims {
            let window = claim.windowMilliseconds
            names.append(keys.key(claim.algorithm, counter: claim.counter, windowMilliseconds: window))
            arguments.append([claim.algorithm.kind])
            arguments.append([claim.isReturnable ? UInt8(ascii: "1") : UInt8(ascii: "0")])
            arguments.append(Decimal.bytes(clamped(claim.cost)))
            arguments.append(limit(of: claim))
            arguments.append(Decimal.bytes(window))
            arguments.append(Decimal.bytes(claim.distinct?.max ?? 0))
            if let distinct = claim.distinct {
                names.append(keys.distinctKey(distinct, windowMilliseconds: window))
                names.append(keys.key(claim.algorithm, counter: distinct.sharedCounter, windowMilliseconds: window))
            }
            if claim.algorithm == .tokenBucket {
                let rate = BucketRate(claim)
                arguments.append(Decimal.bytes(rate.refill))
                arguments.append(Decimal.bytes(rate.price))
                arguments.append(Decimal.bytes(rate.capacity))
            }
        }
        return ScriptCall(script: .reserveAny, keys: names, arguments: arguments)
    }

    /// Fixed windows of requests alone: the short script.
    private static func isPlain(_ claims: [LimitClaim]) -> Bool {
        claims.allSatisfy { $0.algorithm == .fixedWindow && !$0.isReturnable && $0.distinct == nil }
    }

    private static func plainCall(_ keys: CounterKeys, _ claims: [LimitClaim]) -> ScriptCall {
        var arguments: [[UInt8]] = []
        arguments.reserveCapacity(3 * claims.count)
        for claim in claims {
            arguments.append(Decimal.bytes(clamped(claim.cost)))
            arguments.append(limit(of: claim))
            arguments.append(Decimal.bytes(claim.windowMilliseconds))
        }
        return ScriptCall(
            script: .reserve,
            keys: claims.map {
                keys.key(.fixedWindow, counter: $0.counter, windowMilliseconds: $0.windowMilliseconds)
            },
            arguments: arguments
        )
    }

    /// A shadow's below 0.
    private static func limit(of claim: LimitClaim) -> [UInt8] {
        // One below, so that the first count over the limit is a number that Lua can tell from it.
        let limit = min(clamped(claim.limit), maxCount - 1)
        return Decimal.bytes(claim.isShadow ? -1 - limit : limit)
    }

    private static func clamped(_ value: Int64) -> Int64 { min(max(value, 0), maxCount) }

    // MARK: Replies

    /// What the script's reply says.
    ///
    /// - Parameters:
    ///   - integers: the reply, as it came.
    ///   - claims: the claims that were sent.
    /// - Returns: the outcome, each state within its claim's bounds.
    /// - Throws: when the script cannot have said it.
    public static func outcome(of integers: [Int64], claims: [LimitClaim]) throws(LimitsError) -> ReserveOutcome {
        let isPlain = isPlain(claims)
        guard integers.count == 2 + (isPlain ? 2 : 3) * claims.count else { throw .wrongCount }
        let refused = integers[0]
        let now = integers[1]
        guard (0...Int64(claims.count)).contains(refused), claims.isEmpty || (1...maxCount).contains(now) else {
            throw .outOfBounds
        }
        var states: [LimitState] = []
        states.reserveCapacity(claims.count)
        for (index, claim) in claims.enumerated() {
            let state =
                isPlain
                ? try state(used: integers[2 + 2 * index], last: integers[3 + 2 * index], now: now, claim)
                : try state(
                    standing: integers[2 + 3 * index],
                    reset: integers[3 + 3 * index],
                    mark: integers[4 + 3 * index],
                    now: now,
                    claim
                )
            // An enforced claim that does not fit refuses, and only such a claim does.
            guard claim.isShadow || !state.isOver || refused > 0, refused != index + 1 || state.isOver else {
                throw .outOfBounds
            }
            states.append(state)
        }
        guard refused > 0 else { return .admitted(states) }
        let claim = Int(refused) - 1
        guard !claims[claim].isShadow else { throw .outOfBounds }
        return .refused(claim: claim, states)
    }

    private static func state(
        used encoded: Int64,
        last: Int64,
        now: Int64,
        _ claim: LimitClaim
    ) throws(LimitsError) -> LimitState {
        let isOver = encoded < 0
        // -1 - used: the complement, which cannot overflow.
        let used = isOver ? ~encoded : encoded
        guard used <= maxCount, last >= now, last - now < claim.windowMilliseconds, last < maxCount,
            (last + 1) % claim.windowMilliseconds == 0
        else { throw .outOfBounds }
        return LimitState(
            // A limit that was lowered during its window finds more used than it admits.
            remaining: max(0, claim.limit - used),
            resetMilliseconds: last + 1 - now,
            windowID: (last + 1) / claim.windowMilliseconds - 1,
            isOver: isOver
        )
    }

    private static func state(
        standing: Int64,
        reset: Int64,
        mark encoded: Int64,
        now: Int64,
        _ claim: LimitClaim
    ) throws(LimitsError) -> LimitState {
        let isOver = standing < 0
        let isShared = encoded < 0
        let remaining = isOver ? ~standing : standing
        let mark = isShared ? ~encoded : encoded
        guard remaining <= min(claim.capacity, maxCount), mark < maxCount, !isShared || claim.distinct != nil,
            (0...longestReset(claim)).contains(reset)
        else { throw .outOfBounds }
        let window = claim.windowMilliseconds
        var windowID: Int64 = 0
        switch claim.algorithm {
        case .fixedWindow:
            // Of a reservation that is answered again the window may be over.
            guard (mark + 1) % window == 0, mark - now < window else { throw .outOfBounds }
            windowID = (mark + 1) / window - 1
        case .slidingWindow:
            guard mark <= now / (window / grains) else { throw .outOfBounds }
            windowID = mark
        case .tokenBucket, .concurrency:
            guard mark == 0 else { throw .outOfBounds }
        }
        return LimitState(
            remaining: remaining,
            resetMilliseconds: reset,
            windowID: windowID,
            isOver: isOver,
            isShared: isShared
        )
    }

    private static func longestReset(_ claim: LimitClaim) -> Int64 {
        switch claim.algorithm {
        case .fixedWindow: claim.windowMilliseconds
        case .slidingWindow: claim.windowMilliseconds + claim.windowMilliseconds / grains
        // A bucket in debt waits for as long as its debt is deep.
        case .tokenBucket: 2 * maxCount
        case .concurrency: concurrencyResetMilliseconds
        }
    }
}
