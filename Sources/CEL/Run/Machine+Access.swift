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
        try meter.charge(1)
        switch instruction.operation {
        case .select:
            stack[top - 1] = try select(stack[top - 1], program.constants[Int(instruction.b)], Self.field)
            return top
        case .optionalSelect:
            stack[top - 1] = try find(stack[top - 1], program.constants[Int(instruction.b)], Self.field)
            return top
        case .hasField:
            let found = try find(stack[top - 1], program.constants[Int(instruction.b)], Self.field)
            guard case .optional(let optional) = found else { return top }
            stack[top - 1] = .bool(optional.wrapped != nil)
            return top
        case .index:
            stack[top - 2] = try select(stack[top - 2], stack[top - 1], Self.element)
            return top - 1
        default:
            stack[top - 2] = try find(stack[top - 2], stack[top - 1], Self.element)
            return top - 1
        }
    }

    /// Either of the two ways into a value: its part, nil when there is none, an error when there can be none.
    private typealias Access = (Value, Value) throws(EvaluationError) -> Value?

    private func select(_ operand: Value, _ key: Value, _ access: Access) throws(EvaluationError) -> Value {
        if case .optional = operand { return try find(operand, key, access) }
        guard let part = try access(operand, key) else {
            if case .list = operand { throw EvaluationError(.indexOutOfRange) }
            throw EvaluationError(.noSuchKey)
        }
        return part
    }

    private func find(_ operand: Value, _ key: Value, _ access: Access) throws(EvaluationError) -> Value {
        guard case .optional(let optional) = operand else {
            return .optional(try access(operand, key).map { OptionalValue($0) } ?? .none)
        }
        guard let inner = optional.wrapped else { return operand }
        return .optional(try access(inner, key).map { OptionalValue($0) } ?? .none)
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
