// The name of a counter in Redis: `weir:{<app>}:l:<counter>:<window in seconds>`.
//
// The braces are a Redis Cluster hash tag: all counters of an app live in one slot, so that one script reaches them.
// The window's length is part of the name, so that a changed limit does not inherit an expiry of another length.

/// Builds counter names.
enum CounterKey {
    /// The counter's key; an app id that is not plain text is escaped so that it cannot close the braces.
    static func make(app: [UInt8], counter: [UInt8], windowMilliseconds: Int64) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(app.count + counter.count + 24)
        key += "weir:{".utf8
        appendEscaped(app, to: &key)
        key += "}:l:".utf8
        key += counter
        key.append(UInt8(ascii: ":"))
        Decimal.append(windowMilliseconds / 1_000, to: &key)
        return key
    }

    /// Letters, digits, `_` and `-` as they are; any other byte as `%` and two hex digits.
    private static func appendEscaped(_ text: [UInt8], to key: inout [UInt8]) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                key.append(byte)
            default:
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
        var rest = value.magnitude
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    static func bytes(_ value: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20)
        append(value, to: &bytes)
        return bytes
    }
}
