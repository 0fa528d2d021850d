// Literals of protobuf's well-known messages, which are plain CEL values: `google.protobuf.Int32Value{value: 1}` is 1.
// Rules never need them; expressions that come from elsewhere may.

/// Makes values of message literals.
enum Messages {
    /// What a literal costs, beside its fields.
    private static let cost: UInt64 = 40

    /// Nesting that a JSON value may have.
    private static let maxDepth = 64

    /// A literal: the message's full name, then names and values of its fields; a name with a `?` before it takes an
    /// optional.
    static func make(_ arguments: Span<Value>, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(cost)
        guard !arguments.isEmpty, case .string(let name) = arguments[0] else { throw EvaluationError(.noSuchOverload) }
        var fields: [String: Value] = [:]
        var index = 1
        while index + 1 < arguments.count {
            guard case .string(let written) = arguments[index] else { throw EvaluationError(.noSuchOverload) }
            var value: Value? = arguments[index + 1]
            var field = written.text
            if field.utf8.first == UInt8(ascii: "?") {
                field.removeFirst()
                guard case .optional(let optional) = arguments[index + 1] else {
                    throw EvaluationError(.noSuchOverload)
                }
                value = optional.wrapped
            }
            if let value { fields[field] = value }
            index += 2
        }
        return try make(name.text, fields, &meter)
    }

    private static func make(
        _ name: String,
        _ fields: [String: Value],
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        switch name {
        case "google.protobuf.Value":
            guard fields.count <= 1 else { throw EvaluationError(.invalidArgument) }
            return try json(fields.first?.value ?? .null, depth: 0, &meter)
        case "google.protobuf.Struct": return try json(fields["fields"] ?? .map(.empty), depth: 0, &meter)
        case "google.protobuf.ListValue": return try json(fields["values"] ?? .list([]), depth: 0, &meter)
        case "google.protobuf.Timestamp":
            let (seconds, nanoseconds) = try time(fields)
            guard nanoseconds >= 0 else { throw EvaluationError(.invalidArgument) }
            return .timestamp(try Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        case "google.protobuf.Duration":
            let (seconds, nanoseconds) = try time(fields)
            let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
            let (total, carries) = whole.addingReportingOverflow(Int64(nanoseconds))
            guard !overflows, !carries else { throw EvaluationError(.overflow) }
            return .duration(total)
        default: return try wrapped(name, fields["value"])
        }
    }

    /// The value that a wrapper holds, in its range; the type's zero without one.
    private static func wrapped(_ name: String, _ value: Value?) throws(EvaluationError) -> Value {
        switch (name, value) {
        case ("google.protobuf.BoolValue", let value): return try of(value, or: .bool(false))
        case ("google.protobuf.StringValue", let value): return try of(value, or: .text(""))
        case ("google.protobuf.BytesValue", let value): return try of(value, or: .bytes(ByteString([])))
        case ("google.protobuf.DoubleValue", let value): return try of(value, or: .double(0))
        case ("google.protobuf.Int64Value", let value): return try of(value, or: .int(0))
        case ("google.protobuf.UInt64Value", let value): return try of(value, or: .uint(0))
        case ("google.protobuf.FloatValue", let value):
            guard case .double(let double) = try of(value, or: .double(0)) else { break }
            return .double(Double(Float(double)))
        case ("google.protobuf.Int32Value", let value):
            guard case .int(let int) = try of(value, or: .int(0)), Int32(exactly: int) != nil else {
                throw EvaluationError(.overflow)
            }
            return .int(int)
        case ("google.protobuf.UInt32Value", let value):
            guard case .uint(let uint) = try of(value, or: .uint(0)), UInt32(exactly: uint) != nil else {
                throw EvaluationError(.overflow)
            }
            return .uint(uint)
        default: break
        }
        // `Any` would need the message that it packs.
        throw EvaluationError(.invalidArgument)
    }

    /// A value of the same type as another, which stands for it when there is none.
    private static func of(_ value: Value?, or zero: Value) throws(EvaluationError) -> Value {
        guard let value else { return zero }
        switch (value, zero) {
        case (.bool, .bool), (.string, .string), (.bytes, .bytes), (.double, .double), (.int, .int), (.uint, .uint):
            return value
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func time(_ fields: [String: Value]) throws(EvaluationError) -> (Int64, Int32) {
        guard case .int(let seconds) = fields["seconds"] ?? .int(0),
            case .int(let nanoseconds) = fields["nanos"] ?? .int(0)
        else { throw EvaluationError(.noSuchOverload) }
        guard (-999_999_999...999_999_999).contains(nanoseconds) else { throw EvaluationError(.invalidArgument) }
        return (seconds, Int32(nanoseconds))
    }

    /// A value as JSON has it: numbers are double, keys are strings.
    private static func json(_ value: Value, depth: Int, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard depth < maxDepth else { throw EvaluationError(.workLimitExceeded) }
        try meter.touch(1)
        switch value {
        case .null, .bool, .double, .string: return value
        case .int(let int): return .double(Double(int))
        case .uint(let uint): return .double(Double(uint))
        case .list(let elements):
            var list: [Value] = []
            for element in elements { list.append(try json(element, depth: depth + 1, &meter)) }
            return .list(list)
        case .map(let map):
            var values: [Value] = []
            for index in 0..<map.count {
                guard case .string = map.keys[index] else { throw EvaluationError(.unsupportedKey) }
                values.append(try json(map.values[index], depth: depth + 1, &meter))
            }
            return .map(try MapValue(keys: map.keys, values: values))
        default: throw EvaluationError(.invalidArgument)
        }
    }
}
