// `int`, `uint`, `double`, `string`, `bytes`, `bool`, `timestamp`, `duration`, `type`, `dyn` and `size`. What a text
// must look like is in NumberText and TimeText.

/// Conversions between types.
enum Conversions {
    static func size(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .string(let text): try meter.touch(text.count >> 4)
        case .bytes, .list, .map: break
        default: throw EvaluationError(.noSuchOverload)
        }
        return .int(Int64(value.costSize))
    }

    static func int(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .int: return value
        case .uint(let uint):
            guard let int = Int64(exactly: uint) else { throw EvaluationError(.overflow) }
            return .int(int)
        case .double(let double):
            // The lower end itself is refused, as cel-go and the suite do.
            guard double > -0x1p63, double < 0x1p63 else { throw EvaluationError(.overflow) }
            return .int(Int64(double))
        case .string(let text):
            try meter.touch(text.count)
            return .int(try NumberText.int(text))
        case .timestamp(let time): return .int(time.seconds)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func uint(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .uint: return value
        case .int(let int):
            guard let uint = UInt64(exactly: int) else { throw EvaluationError(.overflow) }
            return .uint(uint)
        case .double(let double):
            guard double >= 0, double < 0x1p64 else { throw EvaluationError(.overflow) }
            return .uint(UInt64(double))
        case .string(let text):
            try meter.touch(text.count)
            return .uint(try NumberText.uint(text))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func double(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .double: return value
        case .int(let int): return .double(Double(int))
        case .uint(let uint): return .double(Double(uint))
        case .string(let text):
            try meter.touch(text.count)
            return .double(try NumberText.double(text))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func string(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        if case .bytes(let bytes) = value {
            try meter.charge(traversing: bytes.count)
            guard bytes.isValidUTF8 else { throw EvaluationError(.malformedText) }
            return .string(bytes)
        }
        try meter.charge(1)
        switch value {
        case .string: return value
        case .bool(let bool): return .text(bool ? "true" : "false")
        case .int(let int): return .text(String(int))
        case .uint(let uint): return .text(String(uint))
        case .double(let double): return .string(ByteString(NumberText.text(double)))
        case .timestamp(let time): return .string(ByteString(TimeText.text(time)))
        case .duration(let span): return .string(ByteString(TimeText.text(duration: span)))
        case .network(let network): return .string(ByteString(NetworkText.text(network)))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func bytes(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        switch value {
        case .string(let text):
            try meter.charge(traversing: text.codePointCount)
            return .bytes(text)
        case .bytes:
            try meter.charge(1)
            return value
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func bool(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .bool: return value
        case .string(let text):
            // The longest spelling has five octets.
            guard text.count <= 5 else { throw EvaluationError(.malformedText) }
            switch text.text {
            case "1", "t", "T", "true", "TRUE", "True": return .bool(true)
            case "0", "f", "F", "false", "FALSE", "False": return .bool(false)
            default: throw EvaluationError(.malformedText)
            }
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func timestamp(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return switch value {
        case .timestamp: value
        case .int(let seconds): .timestamp(try Timestamp(seconds: seconds))
        case .string(let text): .timestamp(try TimeText.timestamp(text))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func duration(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return switch value {
        case .duration: value
        case .string(let text): .duration(try TimeText.duration(text))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func type(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return .type(ByteString(value.typeName.description))
    }

    static func dyn(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return value
    }
}
