// Fields and elements. What is selected from an optional is optional: present only if every part of the path is.

extension Machine {
    /// Executes a selection or an index.
    ///
    /// - Returns: the stack's new top.
    func access(
        _ instruction: Instruction,
        _ top: Int,
        _ stack: inout MutableSpan<Value>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Int {
        switch instruction.operation {
        case .select:
            stack[top - 1] = try select(stack[top - 1], program.constants[Int(instruction.b)], Self.field, 1, &meter)
            return top
        case .optionalSelect:
            stack[top - 1] = try find(stack[top - 1], program.constants[Int(instruction.b)], Self.field, 1, &meter)
            return top
        case .hasField:
            // A test costs a unit; after an optional only if there is something to look into.
            var units: UInt64 = 1
            if case .optional = stack[top - 1] {
            } else {
                try meter.charge(1)
                units = 0
            }
            let found = try find(stack[top - 1], program.constants[Int(instruction.b)], Self.field, units, &meter)
            guard case .optional(let optional) = found else { return top }
            stack[top - 1] = .bool(optional.wrapped != nil)
            return top
        case .index:
            stack[top - 2] = try select(stack[top - 2], stack[top - 1], Self.element, UInt64(instruction.a), &meter)
            return top - 1
        default:
            stack[top - 2] = try find(stack[top - 2], stack[top - 1], Self.element, UInt64(instruction.a), &meter)
            return top - 1
        }
    }

    /// Either of the two ways into a value: its part, nil when there is none, an error when there can be none.
    private typealias Access = (Value, Value) throws(EvaluationError) -> Value?

    /// A step costs a unit, unless it is into nothing: what is not there was not looked into.
    private func select(
        _ operand: Value,
        _ key: Value,
        _ access: Access,
        _ units: UInt64,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        if case .optional = operand { return try find(operand, key, access, units, &meter) }
        try meter.charge(units)
        guard let part = try access(operand, key) else {
            if case .list = operand { throw EvaluationError(.indexOutOfRange) }
            throw EvaluationError(.noSuchKey)
        }
        return part
    }

    private func find(
        _ operand: Value,
        _ key: Value,
        _ access: Access,
        _ units: UInt64,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        var inner = operand
        if case .optional(let optional) = operand {
            guard let wrapped = optional.wrapped else { return operand }
            inner = wrapped
        }
        guard let part = try access(inner, key) else { return .optional(.none) }
        try meter.charge(units)
        return .optional(OptionalValue(part))
    }

    private static func field(_ operand: Value, _ key: Value) throws(EvaluationError) -> Value? {
        guard case .map(let map) = operand else { throw EvaluationError(.noSuchKey) }
        return map.value(for: key)
    }

    private static func element(_ operand: Value, _ key: Value) throws(EvaluationError) -> Value? {
        switch operand {
        case .map(let map):
            return map.value(for: key)
        case .list(let elements):
            let index: Int? =
                switch key {
                case .int(let int): Int(int)
                case .uint(let uint): Int(clamping: uint)
                case .double(let double): Int(exactly: double)
                default: nil
                }
            guard let index else { throw EvaluationError(.noSuchOverload) }
            return elements.indices.contains(index) ? elements[index] : nil
        default:
            throw EvaluationError(.noSuchOverload)
        }
    }
}
