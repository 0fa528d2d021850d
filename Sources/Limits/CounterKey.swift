// The names of an app's keys in Redis: `weir:{<app>}:<kind>:<counter>:<window in seconds>`, and a few beside them.
//
// The braces are a Redis Cluster hash tag: all counters of an app live in one slot, so that one script reaches them.
// The kind says how the value is laid out (counters.lua), so that a changed algorithm finds no value of another. The
// window's length is part of the name, so that a changed limit does not inherit an expiry of another length.
//
// Made for every request that has a limit, so by whole copies: byte-wise appending was five times slower.

/// Builds the names of one app's keys.
struct CounterKeys {
    private static let opening = Array("weir:{".utf8)
    private static let closing = Array("}:".utf8)

    private let prefix: [UInt8]

    /// An app id that is not plain text is escaped so that it cannot close the braces.
    init(app: [UInt8]) {
        var prefix: [UInt8] = []
        prefix.reserveCapacity(app.count + Self.opening.count + Self.closing.count)
        prefix += Self.opening
        if Self.isPlain(app.span) { prefix += app } else { Self.append(escaping: app, to: &prefix) }
        prefix += Self.closing
        self.prefix = prefix
    }

    /// The counter's key.
    func key(_ algorithm: LimitAlgorithm, counter: [UInt8], windowMilliseconds: Int64) -> [UInt8] {
        key(kind: algorithm.kind, counter, windowMilliseconds)
    }

    /// Counts the new counters of a window, for the distinct bound.
    func distinctKey(_ bound: DistinctBound, windowMilliseconds: Int64) -> [UInt8] {
        key(kind: UInt8(ascii: "d"), bound.sharedCounter, windowMilliseconds)
    }

    /// Holders by the end of their leases.
    var leases: [UInt8] { prefix + [UInt8(ascii: "n")] }

    /// What a holder can still return.
    func openReservations(of holder: LeaseHolder) -> [UInt8] { prefix + "o:".utf8 + holder.name }

    /// What a lapsed lease gave back of a holder's and it may settle yet.
    func lapsedReservations(of holder: LeaseHolder) -> [UInt8] { prefix + "x:".utf8 + holder.name }

    /// That a merge was done.
    func merge(_ id: [UInt8]) -> [UInt8] { prefix + "m:".utf8 + id }

    private func key(kind: UInt8, _ counter: [UInt8], _ windowMilliseconds: Int64) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(prefix.count + counter.count + 14)
        key += prefix
        key.append(kind)
        key.append(UInt8(ascii: ":"))
        key += counter
        key.append(UInt8(ascii: ":"))
        Decimal.append(windowMilliseconds / 1_000, to: &key)
        return key
    }

    /// Letters, digits, `_` and `-`.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func isPlain(_ text: Span<UInt8>) -> Bool {
        for index in text.indices where !isPlain(text[index]) { return false }
        return true
    }

    /// What is not plain becomes `%` and two hex digits.
    private static func append(escaping text: [UInt8], to key: inout [UInt8]) {
        for byte in text {
            if isPlain(byte) {
                key.append(byte)
            } else {
                key.append(UInt8(ascii: "%"))
                key.append(hexDigit(byte >> 4))
                key.append(hexDigit(byte & 15))
            }
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}

extension LimitAlgorithm {
    /// The letter that keys and scripts know it by.
    var kind: UInt8 {
        switch self {
        case .fixedWindow: UInt8(ascii: "l")
        case .slidingWindow: UInt8(ascii: "s")
        case .tokenBucket: UInt8(ascii: "b")
        case .concurrency: UInt8(ascii: "c")
        }
    }
}

/// Integers as the scripts read them.
enum Decimal {
    /// The digits, with a minus sign where it belongs; no `String` on the way.
    static func append(_ value: Int64, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(unsigned: value.magnitude, to: &bytes)
    }

    /// The digits.
    static func append(unsigned value: UInt64, to bytes: inout [UInt8]) {
        // Backwards into place, because dividing by a constant 10 is far cheaper than by a running power of it.
        var digits = [20 of UInt8](repeating: 0)
        var rest = value
        var first = 20
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        for index in first..<20 { bytes.append(digits[index]) }
    }

    static func bytes(_ value: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20)
        append(value, to: &bytes)
        return bytes
    }
}
