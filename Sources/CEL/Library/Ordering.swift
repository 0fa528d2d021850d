// `<`, `<=`, `>` and `>=`. Numbers are ordered across their types; an integer meets a double as a double, which is how
// both cel-go and cel-cpp do it.

/// How one value stands to another.
enum Order: Equatable, Sendable {
    case ascending, equal, descending

    /// The order of two things that have one.
    @inline(__always)
    init<Thing: Comparable>(_ left: Thing, _ right: Thing) {
        self = left < right ? .ascending : left == right ? .equal : .descending
    }
}

/// The order of values.
enum Ordering {
    /// A comparison operator with its price: strings and bytes a tenth of the smaller size, everything else 1.
    ///
    /// - Returns: false for every operator when one side is NaN.
    @inline(__always)
    static func test(
        _ function: Function,
        _ left: Value,
        _ right: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)):
            try meter.charge(traversing: Equality.smallerSize(left, right))
        case (.bytes(let left), .bytes(let right)):
            try meter.charge(traversing: min(left.count, right.count))
        default: try meter.charge(1)
        }
        guard let order = try compare(left, right) else { return false }
        return switch function {
        case .less: order == .ascending
        case .lessOrEqual: order != .descending
        case .greater: order == .descending
        default: order != .ascending
        }
    }

    /// The order of two values; free of charge.
    ///
    /// - Returns: nil when one is NaN.
    /// - Throws: `.noSuchOverload` for types that have no order, or none with each other.
    @inline(__always)
    static func compare(_ left: Value, _ right: Value) throws(EvaluationError) -> Order? {
        switch (left, right) {
        case (.int(let left), .int(let right)): return Order(left, right)
        case (.double(let left), .double(let right)): return number(left, right)
        case (.int, .uint), (.int, .double), (.uint, .int), (.uint, .uint), (.uint, .double), (.double, .int),
            (.double, .uint):
            return number(left, right)
        case (.string(let left), .string(let right)), (.bytes(let left), .bytes(let right)):
            return octets(left, right)
        case (.timestamp(let left), .timestamp(let right)): return Order(left, right)
        case (.duration(let left), .duration(let right)): return Order(left, right)
        case (.bool(let left), .bool(let right)): return Order(left ? 1 : 0, right ? 1 : 0)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// The order of two numbers.
    ///
    /// - Returns: nil when one is NaN or no number.
    static func number(_ left: Value, _ right: Value) -> Order? {
        switch (left, right) {
        case (.int(let left), .int(let right)): Order(left, right)
        case (.uint(let left), .uint(let right)): Order(left, right)
        case (.double(let left), .double(let right)): number(left, right)
        case (.int(let left), .uint(let right)): left < 0 ? .ascending : Order(UInt64(left), right)
        case (.uint(let left), .int(let right)): right < 0 ? .descending : Order(left, UInt64(right))
        case (.int(let left), .double(let right)): number(Double(left), right)
        case (.uint(let left), .double(let right)): number(Double(left), right)
        case (.double(let left), .int(let right)): number(left, Double(right))
        case (.double(let left), .uint(let right)): number(left, Double(right))
        default: nil
        }
    }

    @inline(__always)
    private static func number(_ left: Double, _ right: Double) -> Order? {
        left.isNaN || right.isNaN ? nil : Order(left, right)
    }

    /// The order of octets, which for UTF-8 is the order of code points.
    static func octets(_ left: ByteString, _ right: ByteString) -> Order {
        let one = left.storage.span.extracting(left.range)
        let other = right.storage.span.extracting(right.range)
        for index in 0..<min(one.count, other.count) where one[index] != other[index] {
            return one[index] < other[index] ? .ascending : .descending
        }
        return Order(one.count, other.count)
    }
}
