// A limit over a window, as rate_limit and token_limit share it: its config fields, its part of a program, its claim.

import Codec
import Limits

/// A limit over a window: what it admits, for how long, and how that is counted.
struct WindowLimit: Sendable {
    let limit: Int64
    let windowMilliseconds: Int64
    let algorithm: LimitAlgorithm
    /// Of a token bucket what it holds when full, else the limit.
    let burst: Int64
    /// The most header values with a counter of their own, per app and window.
    let maxDistinct: Int64

    /// 10¹⁵: below 2⁵³, a Lua number's exact range, with room to add.
    static let limitRange: ClosedRange<Int64> = 1...1_000_000_000_000_000
    static let windowRange: ClosedRange<Int64> = 1_000...(31 * 86_400_000)
    /// A million counters are some 150 MB of Redis, of sliding windows 600 MB.
    static let distinctRange: ClosedRange<Int64> = 1...1_000_000
    static let defaultMaxDistinct: Int64 = 10_000
    static let fields = ["limit", "window", "algorithm", "burst", "max_distinct"]

    /// What a window can be configured as; concurrency has no window.
    private static let algorithms: [(name: StaticString, algorithm: LimitAlgorithm)] = [
        ("fixed_window", .fixedWindow), ("sliding_window", .slidingWindow), ("token_bucket", .tokenBucket),
    ]

    // MARK: Config

    /// Whether the config has any of its fields.
    static func isPresent(_ config: borrowing ConfigReader) -> Bool {
        for field in fields where config.has(field) { return true }
        return false
    }

    /// Reads its fields; nil when one was missing or wrong (then reported).
    static func read(_ config: inout ConfigReader) -> WindowLimit? {
        config.require("limit")
        config.require("window")
        let limit = config.integer("limit", in: limitRange)
        let window = window(&config)
        let algorithm =
            config.has("algorithm")
            ? config.choice("algorithm", of: algorithms, named: \.name)?.algorithm : .fixedWindow
        let burst = config.integer("burst", in: limitRange)
        let maxDistinct = config.integer("max_distinct", in: distinctRange) ?? defaultMaxDistinct
        if config.has("burst"), let algorithm, algorithm != .tokenBucket {
            config.report("/burst", "only a token_bucket has a burst")
        }
        guard let limit, let window, let algorithm else { return nil }
        let most = burst ?? limit
        if algorithm == .tokenBucket,
            BucketRate(limit: limit, windowMilliseconds: window, burst: most) == nil
        {
            // Beyond 2⁵³ units, see BucketRate.swift.
            config.report(
                config.has("burst") ? "/burst" : "/limit",
                "too large to be counted exactly in this window; a rounder limit or a shorter window may do"
            )
            return nil
        }
        return WindowLimit(
            limit: limit,
            windowMilliseconds: window,
            algorithm: algorithm,
            burst: most,
            maxDistinct: maxDistinct
        )
    }

    private static func window(_ config: inout ConfigReader) -> Int64? {
        guard let text = config.string("window") else { return nil }
        guard let milliseconds = milliseconds(text) else {
            config.report("/window", "must be a whole number and s, m, h or d, 1s to 31d, like \"1m\"")
            return nil
        }
        return milliseconds
    }

    /// A duration such as `15m`: digits without a leading zero, then one unit.
    static func milliseconds(_ text: String) -> Int64? {
        var digits = Array(text.utf8)
        guard let unit = digits.popLast(), (1...7).contains(digits.count), digits.first != UInt8(ascii: "0") else {
            return nil
        }
        let unitMilliseconds: Int64
        switch unit {
        case UInt8(ascii: "s"): unitMilliseconds = 1_000
        case UInt8(ascii: "m"): unitMilliseconds = 60_000
        case UInt8(ascii: "h"): unitMilliseconds = 3_600_000
        case UInt8(ascii: "d"): unitMilliseconds = 86_400_000
        default: return nil
        }
        var count: Int64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            count = count * 10 + Int64(digit - UInt8(ascii: "0"))
        }
        let milliseconds = count * unitMilliseconds
        return windowRange.contains(milliseconds) ? milliseconds : nil
    }

    // MARK: Program

    func write(to writer: inout ByteWriter) {
        writer.write(integer: limit)
        writer.write(integer: windowMilliseconds)
        writer.write(u8: algorithm.rawValue)
        writer.write(integer: burst)
        writer.write(integer: maxDistinct)
    }

    init(from reader: inout ProgramReader) throws(ProgramError) {
        limit = try reader.integer(in: Self.limitRange)
        windowMilliseconds = try reader.integer(in: Self.windowRange)
        guard windowMilliseconds.isMultiple(of: 1_000) else { throw reader.failure(.outOfBounds) }
        guard let algorithm = LimitAlgorithm(rawValue: try reader.u8()), algorithm != .concurrency else {
            throw reader.failure(.outOfBounds)
        }
        self.algorithm = algorithm
        burst = try reader.integer(in: Self.limitRange)
        let isSound =
            algorithm == .tokenBucket
            ? BucketRate(limit: limit, windowMilliseconds: windowMilliseconds, burst: burst) != nil : burst == limit
        guard isSound else { throw reader.failure(.outOfBounds) }
        maxDistinct = try reader.integer(in: Self.distinctRange)
    }

    private init(
        limit: Int64,
        windowMilliseconds: Int64,
        algorithm: LimitAlgorithm,
        burst: Int64,
        maxDistinct: Int64
    ) {
        self.limit = limit
        self.windowMilliseconds = windowMilliseconds
        self.algorithm = algorithm
        self.burst = burst
        self.maxDistinct = maxDistinct
    }

    // MARK: Requests

    /// The claim of a request that takes `cost` of the limit.
    func claim(
        _ request: borrowing PolicyRequest,
        of scope: CounterScope,
        rule: Int,
        policyID: [UInt8],
        unit: LimitUnit,
        cost: Int64,
        isShadow: Bool
    ) -> LimitClaim {
        LimitClaim(
            rule: rule,
            counter: scope.counter(request, policyID: policyID),
            limit: limit,
            windowMilliseconds: windowMilliseconds,
            algorithm: algorithm,
            unit: unit,
            cost: cost,
            burst: burst,
            isShadow: isShadow,
            distinct: scope.isOpenEnded
                ? DistinctBound(max: maxDistinct, sharedCounter: CounterScope.sharedCounter(policyID: policyID)) : nil,
            onRedisFailure: scope.onRedisFailure
        )
    }
}
