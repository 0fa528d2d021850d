// The name of a counter in Redis: `weir:{<app>}:l:<counter>:<window in seconds>`.
//
// The braces are a Redis Cluster hash tag: all counters of an app live in one slot, so that one script reaches them.
// The window's length is part of the name, so that a changed limit does not inherit an expiry of another length.
//
// Made for every request that has a limit, so by whole copies: byte-wise appending was five times slower.

/// Builds the names of one app's counters.
struct CounterKeys {
    private static let opening = Array("weir:{".utf8)
    private static let closing = Array("}:l:".utf8)

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
    func key(counter: [UInt8], windowMilliseconds: Int64) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(prefix.count + counter.count + 12)
        key += prefix
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

/// Integers as the scripts read them.
enum Decimal {
    /// The digits, with a minus sign where it belongs; no `String` on the way.
    static func append(_ value: Int64, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        // Backwards into place, because dividing by a constant 10 is far cheaper than by a running power of it.
        var digits = [20 of UInt8](repeating: 0)
        var rest = value.magnitude
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
