// The Swift side of schemas/redis/merge.lua: what a node admitted on its own while Redis was out, told once.

/// What a node admitted of one counter in one window.
public struct LocalUse: Equatable, Sendable {
    /// How the counter counts; not concurrency, whose requests end by themselves.
    public let algorithm: LimitAlgorithm
    /// Names the counter within the app's slot.
    public let counter: [UInt8]
    /// The window's length.
    public let windowMilliseconds: Int64
    /// The window in which the last was admitted, by the node's clock.
    ///
    /// Of a fixed window its start divided by its length, of a sliding one the number of the 50th, of a bucket 0.
    public let windowID: Int64
    /// Requests or tokens, 1...2⁵³.
    public let used: Int64
    /// The bucket's rate; nil of other algorithms.
    let rate: BucketRate?
    /// Counts it when it is new; nil when only the configuration makes such counters, or when it is the shared one.
    let distinct: DistinctBound?

    /// Makes a use; nil when there is nothing to merge.
    ///
    /// - Parameters:
    ///   - claim: a claim on the counter, whatever its cost.
    ///   - isShared: the claim was counted in the counter that values beyond the distinct bound share.
    ///   - windowID: see the property.
    ///   - used: what was admitted; more than 2⁵³ is cut.
    public init?(_ claim: LimitClaim, isShared: Bool = false, windowID: Int64, used: Int64) {
        guard claim.algorithm != .concurrency, used > 0 else { return nil }
        algorithm = claim.algorithm
        counter = isShared ? claim.distinct?.sharedCounter ?? claim.counter : claim.counter
        windowMilliseconds = claim.windowMilliseconds
        self.windowID = claim.algorithm == .tokenBucket ? 0 : max(windowID, 0)
        self.used = min(used, ReserveScript.maxCount)
        rate = claim.algorithm == .tokenBucket ? BucketRate(claim) : nil
        distinct = isShared ? nil : claim.distinct
    }
}

extension LimitAlgorithm {
    /// Which window a moment lies in, as `LimitState.windowID` and `LocalUse.windowID` count them.
    ///
    /// - Parameters:
    ///   - milliseconds: since the Unix epoch.
    ///   - windowMilliseconds: the window's length, whole seconds.
    /// - Returns: its number; 0 where there are no windows.
    public func windowID(at milliseconds: Int64, windowMilliseconds: Int64) -> Int64 {
        switch self {
        case .fixedWindow: milliseconds / windowMilliseconds
        case .slidingWindow: milliseconds / (windowMilliseconds / ReserveScript.grains)
        case .tokenBucket, .concurrency: 0
        }
    }
}

/// Adds local use to the shared counters.
public enum MergeScript {
    /// The most uses that one call takes: some 300 µs of Redis's time.
    public static let maxUses = 200

    /// One app's call.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - id: names the merge within the app, 1...128 bytes; holder, outage and batch, say. Done once for a day.
    ///   - uses: at most `maxUses`, no two of one counter and window.
    /// - Returns: what to ask of Redis.
    public static func call(app: [UInt8], id: [UInt8], uses: [LocalUse]) -> ScriptCall {
        precondition(uses.count <= maxUses && (1...128).contains(id.count), "a merge is bounded")
        let keys = CounterKeys(app: app)
        var names = [keys.merge(id)]
        var arguments: [[UInt8]] = []
        arguments.reserveCapacity(8 * uses.count)
        for use in uses {
            let window = use.windowMilliseconds
            names.append(keys.key(use.algorithm, counter: use.counter, windowMilliseconds: window))
            arguments.append([use.algorithm.kind])
            arguments.append(Decimal.bytes(use.used))
            arguments.append(Decimal.bytes(window))
            arguments.append(Decimal.bytes(use.algorithm.mark(windowID: use.windowID, windowMilliseconds: window)))
            arguments.append(contentsOf: BucketRate.arguments(use.rate))
            arguments.append([use.distinct == nil ? UInt8(ascii: "0") : UInt8(ascii: "1")])
            if let distinct = use.distinct { names.append(keys.distinctKey(distinct, windowMilliseconds: window)) }
        }
        return ScriptCall(script: .merge, keys: names, arguments: arguments)
    }

    /// What the reply, an integer, says.
    ///
    /// - Parameter integer: the reply, as it came.
    /// - Returns: how many counters were charged, the windows of the others being over; nil when it was done before.
    /// - Throws: when the script cannot have said it.
    public static func outcome(of integer: Int64) throws(LimitsError) -> Int? {
        guard (-1...Int64(maxUses)).contains(integer) else { throw .outOfBounds }
        return integer < 0 ? nil : Int(integer)
    }
}
