// The list functions. A list that is made costs ten units and one for each element; comparing all with all costs the
// square, as cel-go has it, although sorting does not need it.

/// Functions on lists.
enum Lists {
    /// The longest list that `lists.range` makes, whatever the meter would allow.
    static let maxRange: Int64 = 10_000_000

    static func range(_ count: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .int(let count) = count else { throw EvaluationError(.noSuchOverload) }
        guard count >= 0, count <= maxRange else { throw EvaluationError(.invalidArgument) }
        try meter.charge(11 + UInt64(count))
        return .list((0..<count).map { .int($0) })
    }

    static func slice(
        _ list: Value,
        from: Value,
        to: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        guard case .list(let elements) = list, case .int(let from) = from, case .int(let to) = to else {
            throw EvaluationError(.noSuchOverload)
        }
        guard from >= 0, to <= Int64(elements.count) else { throw EvaluationError(.indexOutOfRange) }
        guard from <= to else { throw EvaluationError(.invalidArgument) }
        try meter.charge(11 + UInt64(to - from))
        return .list(Array(elements[Int(from)..<Int(to)]))
    }

    /// Reverses a list, or a string.
    static func reverse(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        switch value {
        case .list(let elements):
            try meter.charge(11 + UInt64(elements.count))
            return .list(elements.reversed())
        case .string(let text): return try Strings.reverse(text, &meter)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// Replaces lists inside a list by their elements, as deep as asked.
    static func flatten(_ list: Value, depth: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .list(let elements) = list, case .int(let depth) = depth else {
            throw EvaluationError(.noSuchOverload)
        }
        guard depth >= 0 else { throw EvaluationError(.invalidArgument) }
        let (units, overflows) = UInt64(elements.count).multipliedReportingOverflow(by: UInt64(depth))
        try meter.charge(overflows ? .max : 11)
        try meter.charge(units)
        var flat: [Value] = []
        try flatten(elements, depth: depth, nesting: 0, into: &flat, &meter)
        return .list(flat)
    }

    private static func flatten(
        _ elements: [Value],
        depth: Int64,
        nesting: Int,
        into flat: inout [Value],
        _ meter: inout Meter
    ) throws(EvaluationError) {
        try meter.touch(1 + elements.count)
        guard nesting < Library.maxDepth else { throw EvaluationError(.workLimitExceeded) }
        for element in elements {
            if depth > 0, case .list(let inner) = element {
                try flatten(inner, depth: depth - 1, nesting: nesting + 1, into: &flat, &meter)
            } else {
                flat.append(element)
            }
        }
    }

    /// The elements without those that equal an earlier one.
    static func distinct(_ list: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .list(let elements) = list else { throw EvaluationError(.noSuchOverload) }
        try chargeSquare(elements, &meter)
        var kept: [Value] = []
        for element in elements {
            var isNew = true
            for other in kept where try Equality.isEqual(element, other, &meter) {
                isNew = false
                break
            }
            if isNew { kept.append(element) }
        }
        return .list(kept)
    }

    static func sort(_ list: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .list(let elements) = list else { throw EvaluationError(.noSuchOverload) }
        return .list(try sorted(elements, by: elements, &meter))
    }

    /// Elements in the order of their keys; those with equal keys keep theirs.
    ///
    /// `sort` and, with the keys that its body gave, `sortBy`: it charges for either, without the evaluation of keys.
    /// NaN comes first. Keys that have no order or are of several types are no such overload.
    static func sorted(
        _ elements: [Value],
        by keys: [Value],
        _ meter: inout Meter
    ) throws(EvaluationError) -> [Value] {
        precondition(elements.count == keys.count, "a key for each element")
        try chargeSquare(keys, &meter)
        guard let first = keys.first else { return [] }
        // Sorting looks at each key about as often as the number of keys has bits.
        let looks = Int.bitWidth - keys.count.leadingZeroBitCount
        for key in keys {
            guard isSameOrderedType(first, key) else { throw EvaluationError(.noSuchOverload) }
            switch key {
            case .string(let text), .bytes(let text): try meter.touch(looks * (1 + text.count >> 2))
            default: try meter.touch(looks)
            }
        }
        let order = keys.indices.sorted { left, right in precedes(keys[left], keys[right]) ?? (left < right) }
        return order.map { elements[$0] }
    }

    /// `first()` and `last()`: optional, none for an empty list.
    static func end(_ list: Value, last: Bool, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .list(let elements) = list else { throw EvaluationError(.noSuchOverload) }
        guard let element = last ? elements.last : elements.first else { return .optional(.none) }
        return .optional(OptionalValue(element))
    }

    /// Eleven, and twice the square of the size; 2.1 times for texts.
    private static func chargeSquare(_ elements: [Value], _ meter: inout Meter) throws(EvaluationError) {
        let (square, overflows) = UInt64(elements.count).multipliedReportingOverflow(by: UInt64(elements.count))
        guard !overflows, square <= .max / 32 else { return try meter.charge(.max) }
        switch elements.first {
        case .string, .bytes: try meter.charge(11 + (square * 21 + 9) / 10)
        default: try meter.charge(11 + square * 2)
        }
    }

    private static func isSameOrderedType(_ one: Value, _ other: Value) -> Bool {
        switch (one, other) {
        case (.int, .int), (.uint, .uint), (.double, .double), (.bool, .bool), (.string, .string), (.bytes, .bytes),
            (.timestamp, .timestamp), (.duration, .duration):
            true
        default: false
        }
    }

    /// Whether one key comes before another of its type; nil when they are equal.
    private static func precedes(_ left: Value, _ right: Value) -> Bool? {
        if case .double(let left) = left, case .double(let right) = right, left.isNaN || right.isNaN {
            return left.isNaN == right.isNaN ? nil : left.isNaN
        }
        do throws(EvaluationError) {
            let order = try Ordering.compare(left, right)
            return order == .equal ? nil : order == .ascending
        } catch {
            return nil  // keys of one ordered type were asked for: there is no such error
        }
    }
}
