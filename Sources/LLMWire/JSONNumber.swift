// The whole numbers that policy and billing read: exact, bounded, and never a way to overflow anything.

/// What a JSON number means as a count.
enum JSONCount: Equatable {
    /// 0 or more.
    case value(Int)
    /// Negative, fractional, or over the bound.
    case unusable

    /// The largest count that is believed: more tokens than any request has, and products of two still fit an `Int`.
    static let largest = Int(Int32.max)

    /// Reads a number that the reader has found valid.
    ///
    /// `1e2` and `100.0` are the count 100.
    ///
    /// - Parameters:
    ///   - bytes: the JSON text.
    ///   - start: the number's first byte.
    ///   - end: the byte after its last.
    ///   - bound: the largest value taken.
    init(_ bytes: Span<UInt8>, from start: Int, to end: Int, atMost bound: Int = JSONCount.largest) {
        self = .unusable
        var mantissa = 0
        var scale = 0  // the value is mantissa × 10^scale
        var zeros = 0  // zeros seen since the last other digit: kept back, so that 1000…0.000 stays short
        var index = start
        var isFraction = false
        digits: while index < end {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "."):
                isFraction = true
            case UInt8(ascii: "0"):
                zeros += mantissa == 0 ? 0 : 1
                scale -= isFraction ? 1 : 0
            case UInt8(ascii: "1")...UInt8(ascii: "9"):
                guard zeros < 18 else { return }
                for _ in 0...zeros {
                    guard mantissa < 100_000_000_000_000_000 else { return }
                    mantissa *= 10
                }
                mantissa += Int(byte - UInt8(ascii: "0"))
                zeros = 0
                scale -= isFraction ? 1 : 0
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                break digits
            default:
                return  // a minus sign
            }
            index += 1
        }
        if index < end {
            index += 1
            let isNegative = bytes[index] == UInt8(ascii: "-")
            if isNegative || bytes[index] == UInt8(ascii: "+") { index += 1 }
            var exponent = 0
            while index < end {
                // Spellings are bounded (`JSONReader.maxNumberBytes`), so a larger exponent cannot be evened out.
                exponent = min(exponent * 10 + Int(bytes[index] - UInt8(ascii: "0")), 100_000)
                index += 1
            }
            scale += isNegative ? -exponent : exponent
        }
        scale += zeros
        guard mantissa > 0 else {
            self = .value(0)
            return
        }
        guard scale >= 0 else { return }
        while scale > 0 {
            guard mantissa <= bound else { return }
            mantissa *= 10
            scale -= 1
        }
        guard mantissa <= bound else { return }
        self = .value(mantissa)
    }
}

extension JSONReader {
    /// Consumes a value that should be a count.
    ///
    /// - Returns: nil for null; `.unusable` for anything that is no whole number of 0 or more within the bound.
    mutating func count(
        _ bytes: Span<UInt8>,
        atMost bound: Int = JSONCount.largest
    ) throws(ScanError) -> JSONCount? {
        switch peek(bytes) {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let start = try number(bytes)
            return JSONCount(bytes, from: start, to: index, atMost: bound)
        case UInt8(ascii: "n"):
            try literal(bytes)
            return nil
        default:
            try skip(bytes)
            return .unusable
        }
    }
}
