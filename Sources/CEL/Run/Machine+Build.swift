// The machine's instructions on lists, maps and optionals.

extension Machine {
    /// Executes an instruction that makes or takes apart something.
    ///
    /// - Returns: the stack's new top.
    func build(
        _ instruction: Instruction,
        _ top: Int,
        _ stack: inout MutableSpan<Value>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Int {
        let a = Int(instruction.a)
        switch instruction.operation {
        case .select, .optionalSelect, .hasField, .index, .optionalIndex:
            return try access(instruction, top, &stack, &meter)
        case .list:
            return try makeList(instruction, top, &stack, &meter)
        case .map:
            return try makeMap(instruction, top, &stack, &meter)
        case .testElements:
            stack[top - 1] = .bool(try testElements(of: stack[top - 1], instruction, &meter))
            return top
        case .append:
            try meter.touch(1)
            try meter.nest(stack[top - 1])
            append(stack[top - 1], to: &stack[top - 2])
            return top - 1
        case .appendEntry:
            try meter.touch(2)
            try meter.nest(stack[top - 1])
            append(stack[a], to: &stack[top - 3])
            append(stack[top - 1], to: &stack[top - 2])
            return top - 1
        case .appendEntries:
            guard case .map(let map) = stack[top - 1] else { throw EvaluationError(.noSuchOverload) }
            try meter.touch(2 * map.count)
            for index in 0..<map.count {
                append(map.keys[index], to: &stack[top - 3])
                append(map.values[index], to: &stack[top - 2])
            }
            return top - 1
        case .buildMap:
            guard case .list(let keys) = stack[top - 2], case .list(let values) = stack[top - 1] else {
                throw EvaluationError(.noSuchOverload)
            }
            guard keys.count == values.count else { throw EvaluationError(.invalidArgument) }
            try meter.touch(4 * keys.count)
            stack[top - 2] = .map(try MapValue(keys: keys, values: values))
            return top - 1
        case .countTrue:
            guard case .bool(let bool) = stack[top - 1], case .int(let count) = stack[top - 2] else {
                throw EvaluationError(.noSuchOverload)
            }
            if bool {
                try meter.charge(UInt64(a))
                stack[top - 2] = .int(count &+ 1)
            }
            return top - 1
        case .isOne:
            guard case .int(let count) = stack[top - 1] else { throw EvaluationError(.noSuchOverload) }
            stack[top - 1] = .bool(count == 1)
            return top
        case .loopStart:
            switch stack[top - 1] {
            case .list, .map: break
            default: throw EvaluationError(.noSuchOverload)
            }
            stack[a] = stack[top - 1]
            stack[a + 1] = .int(0)
            return top - 1
        case .chargeIfLeft:
            guard case .int(let next) = stack[a + 1] else { throw EvaluationError(.noSuchOverload) }
            switch stack[a] {
            case .list(let elements): if next < elements.count { try meter.charge(UInt64(instruction.b)) }
            case .map(let map): if next < map.count { try meter.charge(UInt64(instruction.b)) }
            default: throw EvaluationError(.noSuchOverload)
            }
            return top
        case .setLocal:
            stack[a] = stack[top - 1]
            return top - 1
        case .unsetLocal:
            stack[a] = .unset
            return top
        case .expectOptional:
            guard case .optional = stack[top - 1] else { throw EvaluationError(.noSuchOverload) }
            return top
        case .sortBy:
            guard case .list(let elements) = stack[top - 2], case .list(let keys) = stack[top - 1],
                elements.count == keys.count
            else { throw EvaluationError(.noSuchOverload) }
            stack[top - 2] = .list(try Lists.sorted(elements, by: keys, &meter))
            return top - 1
        case .fail:
            throw EvaluationError(EvaluationError.Reason(rawValue: UInt8(truncatingIfNeeded: a)) ?? .unknownFunction)
        default:
            preconditionFailure("an instruction of the machine's own loop")
        }
    }

    /// `exists` and `all` with an equality, which nothing can fail in: the loop without its instructions.
    private func testElements(
        of range: Value,
        _ instruction: Instruction,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        let elements: [Value]
        switch range {
        case .list(let list): elements = list
        case .map(let map): elements = map.keys
        default: throw EvaluationError(.noSuchOverload)
        }
        let isAll = instruction.b == 1
        let isEquality = instruction.a == Function.equal.rawValue
        let constant = program.constants[Int(instruction.c)]
        var left = elements.count
        for element in elements {
            left -= 1
            try meter.touch(1)
            // The turn, and the variable.
            try meter.charge(isAll ? 4 : 5)
            let holds = try Equality.equal(element, constant, &meter) == isEquality
            guard holds != isAll else { continue }
            // The test that would have stopped cel-go's loop before the next element.
            if left > 0 { try meter.charge(isAll ? 2 : 3) }
            return !isAll
        }
        return isAll
    }

    /// Adds to a list that nothing else holds: taken out of its place first, so that it grows where it is.
    private func append(_ value: Value, to place: inout Value) {
        guard case .list(var elements) = place else { return }
        place = .null
        elements.append(value)
        place = .list(elements)
    }

    private func makeList(
        _ instruction: Instruction,
        _ top: Int,
        _ stack: inout MutableSpan<Value>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Int {
        let first = top - Int(instruction.b)
        try meter.charge(10)
        try meter.touch(top - first)
        var elements: [Value] = []
        elements.reserveCapacity(top - first)
        for position in first..<top {
            try meter.nest(stack[position])
            guard isOptional(position - first, instruction) else {
                elements.append(stack[position])
                continue
            }
            guard case .optional(let optional) = stack[position] else { throw EvaluationError(.noSuchOverload) }
            if let value = optional.wrapped { elements.append(value) }
        }
        stack[first] = .list(elements)
        return first + 1
    }

    private func makeMap(
        _ instruction: Instruction,
        _ top: Int,
        _ stack: inout MutableSpan<Value>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Int {
        let count = Int(instruction.b)
        let first = top - 2 * count
        try meter.charge(30)
        try meter.touch(4 * count)
        var keys: [Value] = []
        var values: [Value] = []
        keys.reserveCapacity(count)
        values.reserveCapacity(count)
        for entry in 0..<count {
            let value = stack[first + 2 * entry + 1]
            try meter.nest(value)
            guard isOptional(entry, instruction) else {
                keys.append(stack[first + 2 * entry])
                values.append(value)
                continue
            }
            guard case .optional(let optional) = value else { throw EvaluationError(.noSuchOverload) }
            guard let wrapped = optional.wrapped else { continue }
            keys.append(stack[first + 2 * entry])
            values.append(wrapped)
        }
        stack[first] = .map(try MapValue(keys: keys, values: values))
        return first + 1
    }

    /// Whether the literal's element was written with a `?`.
    private func isOptional(_ element: Int, _ instruction: Instruction) -> Bool {
        guard instruction.a == 1, case .bytes(let mask) = program.constants[Int(instruction.c)] else { return false }
        return mask[element] == 1
    }
}
