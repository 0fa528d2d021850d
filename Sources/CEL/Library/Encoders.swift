// Base64, standard alphabet only: padded on the way out, padded or not on the way in.

/// Functions that encode.
enum Encoders {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func base64Encode(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .bytes(let bytes) = value else { throw EvaluationError(.noSuchOverload) }
        try meter.touch(bytes.count)
        let size = (bytes.count + 2) / 3 * 4
        guard size <= ByteString.maxCount else { throw EvaluationError(.workLimitExceeded) }
        var text: [UInt8] = []
        text.reserveCapacity(size)
        var offset = 0
        while offset < bytes.count {
            let left = bytes.count - offset
            let second = left > 1 ? bytes[offset + 1] : 0
            let third = left > 2 ? bytes[offset + 2] : 0
            let group = UInt32(bytes[offset]) << 16 | UInt32(second) << 8 | UInt32(third)
            text.append(alphabet[Int(group >> 18)])
            text.append(alphabet[Int(group >> 12 & 63)])
            text.append(left > 1 ? alphabet[Int(group >> 6 & 63)] : UInt8(ascii: "="))
            text.append(left > 2 ? alphabet[Int(group & 63)] : UInt8(ascii: "="))
            offset += 3
        }
        return .string(ByteString(text))
    }

    static func base64Decode(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .string(let text) = value else { throw EvaluationError(.noSuchOverload) }
        try meter.touch(text.count)
        // Line breaks are skipped wherever they are, as cel-go and cel-cpp do.
        var digits: [UInt8] = []
        digits.reserveCapacity(text.count)
        for offset in 0..<text.count where text[offset] != 0x0A && text[offset] != 0x0D { digits.append(text[offset]) }
        if digits.count % 4 == 0 {
            for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
        }
        guard digits.count % 4 != 1 else { throw EvaluationError(.malformedText) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3 + 2)
        var group: UInt32 = 0
        for (offset, octet) in digits.enumerated() {
            guard let digit = digit(octet) else { throw EvaluationError(.malformedText) }
            group = group << 6 | digit
            switch offset % 4 {
            case 1: bytes.append(UInt8(truncatingIfNeeded: group >> 4))
            case 2: bytes.append(UInt8(truncatingIfNeeded: group >> 2))
            case 3: bytes.append(UInt8(truncatingIfNeeded: group))
            default: break
            }
        }
        return .bytes(ByteString(bytes))
    }

    private static func digit(_ octet: UInt8) -> UInt32? {
        switch octet {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(octet - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(octet - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(octet - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
