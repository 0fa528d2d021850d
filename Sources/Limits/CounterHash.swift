// A counter's name as one number, for tables that are touched by every request: no name is built, nothing allocated.
//
// FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv), the same on every node, since nodes take turns by it. Two counters that
// meet in 64 bits would share a line of a table; client text cannot aim for that, because it is hashed into counters.

/// Hashes of counters.
enum CounterHash {
    private static let basis: UInt64 = 0xCBF2_9CE4_8422_2325
    private static let prime: UInt64 = 0x0000_0100_0000_01B3

    /// The hash of an app's counter.
    static func of(app: [UInt8], _ algorithm: LimitAlgorithm, counter: [UInt8], windowMilliseconds: Int64) -> UInt64 {
        var hash = (basis ^ UInt64(algorithm.rawValue)) &* prime
        hash = (hash ^ UInt64(bitPattern: windowMilliseconds)) &* prime
        hash = add(app.span, to: hash)
        hash = (hash ^ UInt64(app.count)) &* prime
        return add(counter.span, to: hash)
    }

    /// The hash of the counter that a claim was charged in.
    static func of(app: [UInt8], _ claim: LimitClaim, isShared: Bool = false) -> UInt64 {
        of(
            app: app,
            claim.algorithm,
            counter: isShared ? claim.distinct?.sharedCounter ?? claim.counter : claim.counter,
            windowMilliseconds: claim.windowMilliseconds
        )
    }

    /// The hash of the line that an app's claims of a policy share when a table is full.
    ///
    /// Not the rule's index: keys of an app may have other rules at the same place.
    static func overflow(app: [UInt8], _ claim: LimitClaim) -> UInt64 {
        // The policy's id is what stands before the first colon (CounterScope).
        let policy = claim.counter.prefix { $0 != UInt8(ascii: ":") }
        let hash = of(
            app: app,
            claim.algorithm,
            counter: Array(policy),
            windowMilliseconds: claim.windowMilliseconds
        )
        return (hash ^ 0xFFFF_0000) &* prime
    }

    private static func add(_ bytes: Span<UInt8>, to start: UInt64) -> UInt64 {
        var hash = start
        for index in bytes.indices { hash = (hash ^ UInt64(bytes[index])) &* prime }
        return hash
    }
}
