// Optional values. What is lazy in them (`or`, `orValue`, `optMap`) is the virtual machine's; the rest is here.

/// Functions on optionals.
enum Optionals {
    static func call(_ function: Function, _ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        switch function {
        case .optionalOf:
            try meter.charge(1)
            try meter.nest(value)
            return .optional(OptionalValue(value))
        case .optionalOfNonZero:
            try meter.charge(1)
            try meter.nest(value)
            return .optional(isZero(value) ? .none : OptionalValue(value))
        case .optionalUnwrap: return try unwrap(value, &meter)
        default: break
        }
        try meter.charge(1)
        guard case .optional(let optional) = value else { throw EvaluationError(.noSuchOverload) }
        guard function == .optionalValue else { return .bool(optional.wrapped != nil) }
        guard let wrapped = optional.wrapped else { throw EvaluationError(.emptyOptional) }
        return wrapped
    }

    /// The values of those optionals in a list that have one.
    private static func unwrap(_ list: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .list(let elements) = list else { throw EvaluationError(.noSuchOverload) }
        try meter.touch(elements.count)
        var values: [Value] = []
        for element in elements {
            guard case .optional(let optional) = element else { throw EvaluationError(.noSuchOverload) }
            if let wrapped = optional.wrapped { values.append(wrapped) }
        }
        return .list(values)
    }

    /// Whether a value is what its type starts from: null, false, 0, empty, the first instant.
    static func isZero(_ value: Value) -> Bool {
        switch value {
        case .null: true
        case .bool(let bool): !bool
        case .int(let int): int == 0
        case .uint(let uint): uint == 0
        case .double(let double): double == 0
        case .string(let text), .bytes(let text): text.isEmpty
        case .list(let elements): elements.isEmpty
        case .map(let map): map.count == 0
        case .duration(let span): span == 0
        // cel-go's zero time is the year 1, protobuf's the epoch; neither is what somebody means.
        case .timestamp(let time): time.seconds == Timestamp.range.lowerBound && time.nanoseconds == 0
        // `optional.none()` is a value like any other, as both cel-go and cel-cpp have it.
        case .type, .optional, .network, .error, .unset: false
        }
    }
}
