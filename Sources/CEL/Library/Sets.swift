// The set functions: lists taken as sets, by `==`. They compare all with all, and cost so.

/// Functions on lists as sets.
enum Sets {
    /// Whether every element of the second is in the first.
    static func contains(_ list: Value, _ part: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (list, part) = try lists(list, part)
        try charge(list, part, times: 1, &meter)
        return .bool(try areAll(part, in: list, &meter))
    }

    /// Whether each has all of the other's elements.
    static func equivalent(_ one: Value, _ other: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (one, other) = try lists(one, other)
        try charge(one, other, times: 2, &meter)
        guard try areAll(one, in: other, &meter) else { return .bool(false) }
        return .bool(try areAll(other, in: one, &meter))
    }

    /// Whether they have an element in common.
    static func intersects(_ one: Value, _ other: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        let (one, other) = try lists(one, other)
        try charge(one, other, times: 1, &meter)
        for element in one where try isIn(other, element, &meter) { return .bool(true) }
        return .bool(false)
    }

    private static func areAll(
        _ elements: [Value],
        in list: [Value],
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        for element in elements {
            guard try isIn(list, element, &meter) else { return false }
        }
        return true
    }

    private static func isIn(_ list: [Value], _ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        for element in list where try Equality.isEqual(element, value, &meter) { return true }
        return false
    }

    private static func lists(_ one: Value, _ other: Value) throws(EvaluationError) -> ([Value], [Value]) {
        guard case .list(let one) = one, case .list(let other) = other else {
            throw EvaluationError(.noSuchOverload)
        }
        return (one, other)
    }

    private static func charge(
        _ one: [Value],
        _ other: [Value],
        times factor: UInt64,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        let (product, overflows) = UInt64(one.count).multipliedReportingOverflow(by: UInt64(other.count))
        guard !overflows, product <= .max / 4 else { return try meter.charge(.max) }
        try meter.charge(1 + factor * product)
    }
}
