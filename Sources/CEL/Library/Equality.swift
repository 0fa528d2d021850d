// `==`, `!=` and `in`. Equality never fails: values of different types are unequal, except that numbers are compared by
// what they count. Lists and maps may share their parts, so that a small value can be exponentially large when followed;
// each part that is followed is therefore paid for.

/// Equality of values.
enum Equality {
    /// `a == b` with its price: a tenth of the smaller size, which is 1 for scalars.
    @inline(__always)
    static func equal(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        switch (left, right) {
        case (.int(let left), .int(let right)):
            try meter.charge(1)
            return left == right
        case (.bool(let left), .bool(let right)):
            try meter.charge(1)
            return left == right
        case (.string(let left), .string(let right)):
            try meter.charge(traversing: smallerSize(left, right))
            return left == right
        default:
            try meter.charge(traversing: smallerSize(left, right))
            return try isEqual(left, right, depth: 0, &meter)
        }
    }

    /// Whether two values are equal, for no units: elements and octets that are compared are touched.
    @inline(__always)
    static func isEqual(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        if case .int(let left) = left, case .int(let right) = right { return left == right }
        return try isEqual(left, right, depth: 0, &meter)
    }

    /// `value in container`: a unit for each element of a list, one for a map.
    static func contains(
        _ container: Value,
        _ value: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        switch container {
        case .list(let elements):
            try meter.charge(UInt64(elements.count))
            for element in elements where try isEqual(element, value, &meter) { return true }
            return false
        case .map(let map):
            try meter.charge(1)
            if case .string(let key) = value { try meter.touch(key.count >> 3) }
            return map.position(of: value) != nil
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// The smaller of two sizes, as costs count them, looked at no longer than that size pays for.
    static func smallerSize(_ left: Value, _ right: Value) -> Int {
        switch (left, right) {
        case (.string(let left), .string(let right)): smallerSize(left, right)
        case (.string(let text), let other), (let other, .string(let text)):
            smallerSize(text, other.costSize)
        default: min(left.costSize, right.costSize)
        }
    }

    /// The smaller count of code points.
    static func smallerSize(_ left: ByteString, _ right: ByteString) -> Int {
        let size = left.count <= right.count ? left.codePointCount : right.codePointCount
        return smallerSize(left.count <= right.count ? right : left, size)
    }

    /// The smaller of a text's count of code points and another size.
    private static func smallerSize(_ text: ByteString, _ size: Int) -> Int {
        // A code point has at most four octets, so that a long text is not counted to learn that it is longer.
        if text.count / 4 >= size { return size }
        return min(text.codePointCount, size)
    }

    private static func isEqual(
        _ left: Value,
        _ right: Value,
        depth: Int,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)), (.bytes(let left), .bytes(let right)):
            guard left.count == right.count else { return false }
            try meter.touch(1 + left.count >> 2)
            return left == right
        case (.null, .null): return true
        case (.bool(let left), .bool(let right)): return left == right
        case (.int, _), (.uint, _), (.double, _): return Ordering.number(left, right) == .equal
        case (.timestamp(let left), .timestamp(let right)): return left == right
        case (.duration(let left), .duration(let right)): return left == right
        case (.type(let left), .type(let right)): return left == right
        case (.network(let left), .network(let right)): return left == right
        case (.optional(let left), .optional(let right)):
            guard let left = left.wrapped, let right = right.wrapped else {
                return left.wrapped == nil && right.wrapped == nil
            }
            try descend(depth, 1, &meter)
            return try isEqual(left, right, depth: depth + 1, &meter)
        case (.list(let left), .list(let right)):
            return try areEqual(left, right, depth: depth, &meter)
        case (.map(let left), .map(let right)):
            return try areEqual(left, right, depth: depth, &meter)
        default: return false
        }
    }

    private static func areEqual(
        _ left: [Value],
        _ right: [Value],
        depth: Int,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        guard left.count == right.count else { return false }
        try descend(depth, 1, &meter)
        for index in left.indices {
            try meter.touch(1)
            guard try isEqual(left[index], right[index], depth: depth + 1, &meter) else { return false }
        }
        return true
    }

    private static func areEqual(
        _ left: MapValue,
        _ right: MapValue,
        depth: Int,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        guard left.count == right.count else { return false }
        try descend(depth, 1, &meter)
        for index in left.keys.indices {
            // A look-up compares with up to eight keys, or hashes one.
            try meter.touch(8)
            if case .string(let key) = left.keys[index] { try meter.touch(key.count >> 2) }
            guard let other = right.value(for: left.keys[index]) else { return false }
            guard try isEqual(left.values[index], other, depth: depth + 1, &meter) else { return false }
        }
        return true
    }

    private static func descend(_ depth: Int, _ count: Int, _ meter: inout Meter) throws(EvaluationError) {
        try meter.touch(count)
        guard depth < Library.maxDepth else { throw EvaluationError(.workLimitExceeded) }
    }
}
