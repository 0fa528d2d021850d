// One counter as a node keeps it while Redis is out: what its share of the last known remainder still admits, and what
// it admitted that Redis has not been told.

/// A node's part of one counter.
struct LocalCounter: Sendable {
    let app: [UInt8]
    /// The newest claim on it; limits may be changed meanwhile.
    var claim: LimitClaim
    /// It is the one for claims that found no room in the table.
    var isOverflow = false
    /// It is the one that values beyond the claim's distinct bound share.
    var isShared = false
    /// Of a fixed window its number, of a sliding one the grain of the last use.
    private(set) var windowID: Int64 = 0
    /// What the whole fleet could still take when Redis went; of a window that began later, all of it.
    private(set) var base: Int64 = 0
    /// The limit that `base` was left of.
    private(set) var baseLimit: Int64 = 0
    /// Until when `base` says anything, milliseconds since the Unix epoch; of a sliding window, after it all is free.
    private(set) var baseEnd: Int64 = 0
    /// Of concurrency, the places that this node's requests held in Redis when `base` was left.
    private(set) var baseHeld: Int64 = 0
    /// Of concurrency, the places that this node's requests hold in Redis still.
    var held: Int64 = 0
    /// Taken of the share: in this window, or in flight and admitted here.
    private(set) var used: Int64 = 0
    /// Uses of a sliding window by grain, oldest first.
    private(set) var grains: [(grain: Int64, used: Int64)] = []
    /// What is in the share of a bucket at `at`, in the rate's units; below 0 is debt.
    private(set) var level: Int64 = 0
    private(set) var at: Int64 = 0
    /// When it was charged last, based or merged: what Redis said by then is known here, and more.
    private(set) var lastUsed: Int64 = 0
    /// Admitted here, and not in Redis yet.
    var unmerged: Int64 = 0
    /// The part of it that is on its way to Redis.
    var sending: Int64 = 0

    init(_ claim: LimitClaim, app: [UInt8]) {
        self.claim = claim
        self.app = app
    }

    /// Begins with what is known of the counter now; what Redis has not been told comes on top.
    mutating func rebase(_ moment: LocalLimiter.Moment, hash: UInt64, _ standing: SeenCounters.Standing?) {
        let now = moment.now
        let remaining = standing?.remaining
        lastUsed = now
        (base, baseLimit) = (min(remaining ?? claim.capacity, claim.capacity), claim.limit)
        windowID = claim.algorithm.windowID(at: now, windowMilliseconds: claim.windowMilliseconds)
        switch claim.algorithm {
        case .fixedWindow:
            baseEnd = (windowID + 1) * claim.windowMilliseconds
            used = max(0, unmerged)
        case .slidingWindow:
            baseEnd = now + claim.windowMilliseconds + claim.windowMilliseconds / ReserveScript.grains
            grains = unmerged > 0 ? [(windowID, unmerged)] : []
            used = max(0, unmerged)
        case .tokenBucket:
            let price = BucketRate(claim).price
            let share = moment.place.share(of: base, turn: hash)
            level = share.subtractingSaturating(max(0, unmerged)).multipliedSaturating(by: price)
            at = now
        case .concurrency:
            // What this node admitted on its own in an earlier outage is in flight still: `used` stays.
            baseEnd = standing?.end ?? now
            baseHeld = standing?.held ?? 0
        }
    }

    /// What of this counter Redis should be told now.
    func mergeable(_ place: FleetPlace, hash: UInt64) -> Int64 {
        let untold = max(0, unmerged - sending)
        switch claim.algorithm {
        case .fixedWindow: return untold
        // What has left the window is nobody's any more.
        case .slidingWindow: return min(untold, used)
        case .tokenBucket:
            // What has been filled up again since is nobody's either.
            let rate = BucketRate(claim)
            let capacity = place.share(of: claim.capacity, turn: hash).multipliedSaturating(by: rate.price)
            return min(untold, max(0, capacity.subtractingSaturating(level)) / rate.price)
        case .concurrency: return 0
        }
    }

    /// Whether a use of the window is one of the current.
    func isIn(_ windowID: Int64) -> Bool { claim.algorithm != .fixedWindow || self.windowID == windowID }

    /// What this node may still take.
    func room(_ place: FleetPlace, hash: UInt64, now: Int64) -> Int64 {
        let left = max(0, base + claim.limit - baseLimit)
        switch claim.algorithm {
        case .fixedWindow:
            return max(0, place.share(of: min(left, claim.limit), turn: hash &+ UInt64(bitPattern: windowID)) - used)
        case .slidingWindow:
            let shared = now < baseEnd ? min(left, claim.limit) : claim.limit
            return max(0, place.share(of: shared, turn: hash) - used)
        case .tokenBucket:
            return max(0, level) / BucketRate(claim).price
        case .concurrency:
            // The free places divided, and this node's own; once nobody knows how many are free, the limit divided.
            let isKnown = now < baseEnd
            let share = place.share(of: isKnown ? min(left, claim.limit) : claim.limit, turn: hash)
            return max(0, share + (isKnown ? baseHeld : 0) - held - used)
        }
    }

    /// Milliseconds until what is taken is free again or, of a claim that does not fit, until it would.
    func reset(_ place: FleetPlace, cost: Int64, isOver: Bool, now: Int64) -> Int64 {
        switch claim.algorithm {
        case .fixedWindow: return max(1, baseEnd - now)
        case .slidingWindow: return claim.windowMilliseconds
        case .concurrency: return ReserveScript.concurrencyResetMilliseconds
        case .tokenBucket:
            let rate = BucketRate(claim)
            let target = isOver ? cost.multipliedSaturating(by: rate.price) : rate.capacity / Int64(place.nodes)
            let missing = max(0, target.subtractingSaturating(level))
            return (missing / rate.refill + 1).multipliedSaturating(by: Int64(place.nodes))
        }
    }

    /// Brings it to `now`: ended windows and grains are forgotten, buckets filled.
    mutating func advance(_ place: FleetPlace, hash: UInt64, now: Int64) {
        switch claim.algorithm {
        case .fixedWindow:
            let current = LimitAlgorithm.fixedWindow.windowID(at: now, windowMilliseconds: claim.windowMilliseconds)
            guard current != windowID else { return }
            windowID = current
            (base, baseLimit) = (claim.limit, claim.limit)
            baseEnd = (current + 1) * claim.windowMilliseconds
            (used, unmerged, sending) = (0, 0, 0)
        case .slidingWindow:
            let grain = claim.windowMilliseconds / ReserveScript.grains
            let oldest = now / grain - ReserveScript.grains
            while let first = grains.first, first.grain < oldest {
                used -= first.used
                grains.removeFirst()
            }
            if grains.isEmpty { (used, unmerged) = (0, sending) }
        case .tokenBucket:
            // Whole turns of the fleet only: each gives every node one millisecond's worth, and nothing is rounded.
            let rate = BucketRate(claim)
            let turns = max(0, now - at) / Int64(place.nodes)
            at = now < at ? now : at + turns * Int64(place.nodes)
            let capacity = place.share(of: claim.capacity, turn: hash).multipliedSaturating(by: rate.price)
            level = min(capacity, level.addingSaturating(turns.multipliedSaturating(by: rate.refill)))
        case .concurrency:
            break
        }
    }

    /// Takes of the share, or gives back when `amount` is below 0.
    mutating func charge(_ amount: Int64, grain: Int64? = nil, now: Int64) {
        lastUsed = now
        switch claim.algorithm {
        case .fixedWindow, .concurrency: used = max(0, used.addingSaturating(amount))
        case .slidingWindow:
            let grain = grain ?? claim.algorithm.windowID(at: now, windowMilliseconds: claim.windowMilliseconds)
            if let index = grains.lastIndex(where: { $0.grain == grain }) {
                let before = grains[index].used
                grains[index].used = max(0, before.addingSaturating(amount))
                used = max(0, used.addingSaturating(grains[index].used - before))
            } else if amount > 0 {
                grains.append((max(grain, grains.last?.grain ?? grain), amount))
                used = used.addingSaturating(amount)
            }
            windowID = grains.last?.grain ?? grain
        case .tokenBucket:
            level = level.subtractingSaturating(amount.multipliedSaturating(by: BucketRate(claim).price))
        }
    }

    /// Redis has been told of a part of it.
    mutating func noteMerged(now: Int64) { lastUsed = max(lastUsed, now) }

    /// When the last use of a sliding window was.
    private var windowStart: Int64 { windowID * (claim.windowMilliseconds / ReserveScript.grains) }

    /// Whether nothing of it matters any more.
    func hasEnded(now: Int64) -> Bool {
        switch claim.algorithm {
        case .fixedWindow: baseEnd <= now
        case .slidingWindow: baseEnd <= now && now - claim.windowMilliseconds * 2 > windowStart
        // Full again, as far as this node's share fills; a long bucket stays in the table.
        case .tokenBucket: unmerged == 0 && now - at > BucketRate(claim).capacity / BucketRate(claim).refill
        case .concurrency: used <= 0 && baseEnd <= now
        }
    }
}

extension Int64 {
    func addingSaturating(_ other: Int64) -> Int64 {
        let (sum, overflows) = addingReportingOverflow(other)
        guard overflows else { return sum }
        return other > 0 ? .max : .min
    }

    func subtractingSaturating(_ other: Int64) -> Int64 {
        let (difference, overflows) = subtractingReportingOverflow(other)
        guard overflows else { return difference }
        return other > 0 ? .min : .max
    }

    func multipliedSaturating(by other: Int64) -> Int64 {
        let (product, overflows) = multipliedReportingOverflow(by: other)
        guard overflows else { return product }
        return (self > 0) == (other > 0) ? .max : .min
    }
}
