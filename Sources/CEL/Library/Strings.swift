// The string functions. All positions and sizes are code points; results are slices where nothing changes.

/// Functions on strings.
enum Strings {
    static func contains(_ text: Value, _ part: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (text, part) = try strings(text, part)
        try meter.touch((text.count + part.count) >> 4)
        let rows = tenths(text.codePointCount)
        let columns = tenths(part.codePointCount)
        try meter.charge(rows.multipliedReportingOverflow(by: columns).overflow ? .max : rows * columns)
        guard !part.isEmpty else { return .bool(true) }
        guard part.count <= text.count else { return .bool(false) }
        return .bool(Needle(part).first(in: text, from: 0) != nil)
    }

    static func startsWith(_ text: Value, _ part: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (text, part) = try strings(text, part)
        try meter.charge(traversing: text.codePointCount)
        return .bool(text.hasOctets(part, at: 0))
    }

    static func endsWith(_ text: Value, _ part: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (text, part) = try strings(text, part)
        try meter.charge(traversing: text.codePointCount)
        return .bool(text.hasOctets(part, at: text.count - part.count))
    }

    static func charAt(_ text: Value, _ index: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .string(let text) = text, case .int(let index) = index else {
            throw EvaluationError(.noSuchOverload)
        }
        try meter.charge(2 + tenths(text.codePointCount))
        guard let start = text.offset(after: index) else { throw EvaluationError(.indexOutOfRange) }
        return .string(text.slice(start..<(text.offset(after: 1, from: start) ?? start)))
    }

    /// From where to begin; the start when nil.
    static func indexOf(
        _ text: Value,
        _ part: Value,
        from: Value?,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        let (text, part) = try strings(text, part)
        let from = try from.map(index) ?? 0
        try chargeSearch(text, part, &meter)
        guard let start = text.offset(after: from) else { throw EvaluationError(.indexOutOfRange) }
        guard !part.isEmpty else { return .int(from) }
        guard part.count <= text.count - start, let found = Needle(part).first(in: text, from: start) else {
            return .int(-1)
        }
        return .int(Int64(text.codePoints(before: found)))
    }

    /// Up to the last position that counts; the end when nil.
    static func lastIndexOf(
        _ text: Value,
        _ part: Value,
        upTo: Value?,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        let (text, part) = try strings(text, part)
        let upTo = try upTo.map(index)
        try chargeSearch(text, part, &meter)
        var start = text.count
        if let upTo {
            guard let offset = text.offset(after: upTo) else { throw EvaluationError(.indexOutOfRange) }
            start = offset
        }
        guard !part.isEmpty else { return .int(Int64(text.codePoints(before: start))) }
        // The price is the product of both sizes, so that comparing everywhere is paid for.
        var offset = min(start, text.count - part.count)
        while offset >= 0 {
            if text.hasOctets(part, at: offset) { return .int(Int64(text.codePoints(before: offset))) }
            offset -= 1
        }
        return .int(-1)
    }

    static func substring(
        _ text: Value,
        from: Value,
        to: Value?,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        guard case .string(let text) = text else { throw EvaluationError(.noSuchOverload) }
        let from = try index(from)
        let to = try to.map(index)
        let size = text.codePointCount
        try meter.charge(1 + tenths(size))
        guard let start = text.offset(after: from) else { throw EvaluationError(.indexOutOfRange) }
        guard let to else {
            try meter.charge(UInt64(size) - UInt64(from))
            return .string(text.slice(start..<text.count))
        }
        guard to >= 0, to <= Int64(size) else { throw EvaluationError(.indexOutOfRange) }
        guard from <= to, let end = text.offset(after: to - from, from: start) else {
            throw EvaluationError(.invalidArgument)
        }
        try meter.charge(UInt64(to - from))
        return .string(text.slice(start..<end))
    }

    static func trim(_ text: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .string(let text) = text else { throw EvaluationError(.noSuchOverload) }
        try meter.charge(1 + tenths(text.codePointCount))
        var start = 0
        while start < text.count {
            let (value, length) = text.codePoint(at: start)
            guard isWhiteSpace(value) else { break }
            start += length
        }
        var end = text.count
        while end > start {
            var before = end - 1
            while before > start, text[before] & 0xC0 == 0x80 { before -= 1 }
            guard isWhiteSpace(text.codePoint(at: before).value) else { break }
            end = before
        }
        let trimmed = text.slice(start..<end)
        try meter.charge(UInt64(trimmed.codePointCount))
        return .string(trimmed)
    }

    static func lowerAscii(_ text: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try changeCase(text, UInt8(ascii: "A")...UInt8(ascii: "Z"), &meter)
    }

    static func upperAscii(_ text: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try changeCase(text, UInt8(ascii: "a")...UInt8(ascii: "z"), &meter)
    }

    static func reverse(_ text: ByteString, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let size = text.codePointCount
        try meter.charge(1 + tenths(size) + UInt64(size))
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var end = text.count
        while end > 0 {
            var start = end - 1
            while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
            bytes.append(text.slice(start..<end))
            end = start
        }
        return .string(ByteString(bytes))
    }

    /// Escapes control characters, quotes and backslashes, in double quotes.
    static func quote(_ text: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .string(let text) = text else { throw EvaluationError(.noSuchOverload) }
        try meter.charge(traversing: text.codePointCount)
        try meter.touch(text.count)
        guard text.count < ByteString.maxCount / 3 else { throw EvaluationError(.workLimitExceeded) }
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        bytes.reserveCapacity(text.count + 2)
        var offset = 0
        while offset < text.count {
            let (value, length) = text.codePoint(at: offset)
            switch value {
            case 0x07: bytes.append("\\a")
            case 0x08: bytes.append("\\b")
            case 0x09: bytes.append("\\t")
            case 0x0A: bytes.append("\\n")
            case 0x0B: bytes.append("\\v")
            case 0x0C: bytes.append("\\f")
            case 0x0D: bytes.append("\\r")
            case 0x22: bytes.append("\\\"")
            case 0x5C: bytes.append("\\\\")
            case 0xFFFD where length == 1: bytes += [0xEF, 0xBF, 0xBD]
            default: bytes.append(text.slice(offset..<offset + length))
            }
            offset += length
        }
        bytes.append(UInt8(ascii: "\""))
        return .string(ByteString(bytes))
    }

    /// Two strings, or no such overload.
    static func strings(_ one: Value, _ other: Value) throws(EvaluationError) -> (ByteString, ByteString) {
        guard case .string(let one) = one, case .string(let other) = other else {
            throw EvaluationError(.noSuchOverload)
        }
        return (one, other)
    }

    /// An index, or no such overload.
    static func index(_ value: Value) throws(EvaluationError) -> Int64 {
        guard case .int(let index) = value else { throw EvaluationError(.noSuchOverload) }
        return index
    }

    /// A tenth of a size, rounded up.
    @inline(__always)
    static func tenths(_ size: Int) -> UInt64 { (UInt64(size) + 9) / 10 }

    /// A tenth of the product of two sizes, rounded up.
    static func tenths(_ size: Int, times other: Int) -> UInt64 {
        let (product, overflows) = UInt64(size).multipliedReportingOverflow(by: UInt64(other))
        return overflows ? .max / 2 : product / 10 + (product % 10 == 0 ? 0 : 1)
    }

    private static func chargeSearch(
        _ text: ByteString,
        _ part: ByteString,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        // When one of them is empty the other costs nothing, and is counted all the same.
        try meter.touch((text.count + part.count) >> 4)
        try meter.charge(1 + tenths(text.codePointCount, times: part.codePointCount))
    }

    private static func changeCase(
        _ text: Value,
        _ changed: ClosedRange<UInt8>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        guard case .string(let text) = text else { throw EvaluationError(.noSuchOverload) }
        let size = text.codePointCount
        try meter.charge(1 + tenths(size) + UInt64(size))
        var bytes = text.bytes
        for index in bytes.indices where changed.contains(bytes[index]) { bytes[index] ^= 0x20 }
        return .string(ByteString(bytes))
    }

    /// Unicode's property White_Space, as of Unicode 16.
    private static func isWhiteSpace(_ value: UInt32) -> Bool {
        switch value {
        case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }
}
