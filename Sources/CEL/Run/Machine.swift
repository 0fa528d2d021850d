// The stack machine. A program is verified before it gets here, so the stack never over- or underflows; Swift's own
// bounds checks stay on all the same.

/// Runs a program's segments.
struct Machine {
    let program: Program

    /// Runs a segment to its end.
    ///
    /// Errors are not passed along instruction by instruction: an instruction throws, and here the innermost operand of
    /// `&&` or `||` around it, known since the program was verified, takes the error as its value.
    ///
    /// - Parameters:
    ///   - segment: its number.
    ///   - base: where its stack begins, above the locals and the stacks of the segments that are waiting for it.
    ///   - stack: the locals, and the stack above them.
    ///   - resolver: supplies the host's variables.
    ///   - meter: counts.
    /// - Returns: what the segment leaves on its stack.
    /// - Throws: an error that nothing in the segment absorbs.
    func run<Source: Resolver & ~Copyable>(
        segment: Int,
        base: Int,
        _ stack: inout MutableSpan<Value>,
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        var position = program.segments[segment]
        var top = base
        while true {
            do throws(EvaluationError) {
                return try execute(&position, &top, &stack, resolver, &meter)
            } catch {
                var error = error
                if error.offset == .max { error.offset = program.code[position].offset }
                guard !program.handlers.isEmpty, !error.isAbort else { throw error }
                let handler = program.handlers[position]
                guard handler.target >= 0 else { throw error }
                position = Int(handler.target)
                top = base + Int(handler.height)
                stack[top] = .error(error)
                top += 1
            }
        }
    }

    /// Executes a comparison that is all of a program; its place is known, and nothing absorbs its error.
    func compareAlone<Source: Resolver & ~Copyable>(
        _ instruction: Instruction,
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        do throws(EvaluationError) {
            try meter.charge(1)
            return try compare(resolver.value(of: Int(instruction.b)), with: instruction, &meter)
        } catch {
            throw EvaluationError(error.reason, offset: error.offset == .max ? instruction.offset : error.offset)
        }
    }

    /// Executes until the segment ends or an instruction throws; `position` is then that instruction's.
    private func execute<Source: Resolver & ~Copyable>(
        _ position: inout Int,
        _ stackTop: inout Int,
        _ stack: inout MutableSpan<Value>,
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        var top = stackTop
        while true {
            let instruction = program.code[position]
            let b = Int(instruction.b)
            switch instruction.operation {
            case .constant:
                stack[top] = program.constants[b]
                top += 1
            case .variable:
                try meter.charge(1)
                stack[top] = try Self.present(resolver.value(of: b), orElse: .unknownVariable)
                top += 1
            case .compareVariable:
                try meter.charge(1)
                let holds = try compare(resolver.value(of: b), with: instruction, &meter)
                stack[top] = .bool(holds)
                top += 1
            case .compareLocal:
                try meter.charge(1)
                let holds = try compare(stack[b], with: instruction, &meter)
                stack[top] = .bool(holds)
                top += 1
            case .compare:
                let holds = try compare(stack[top - 1], with: instruction, &meter)
                stack[top - 1] = .bool(holds)
            case .isVariableInSet:
                try meter.charge(1)
                let set = program.sets[Int(instruction.c)]
                let value = try Self.present(resolver.value(of: b), orElse: .unknownVariable)
                try meter.charge(UInt64(set.listCount))
                stack[top] = .bool(try set.contains(value, &meter))
                top += 1
            case .call:
                let first = top - Int(instruction.a)
                let result = try call(instruction, stack, first..<top, &meter)
                top = first
                stack[top] = result
                top += 1
            case .andStep, .orStep:
                top -= 1
                let decides = instruction.operation == .orStep
                if case .bool(let bool) = stack[top] {
                    if bool == decides {
                        stack[top - 1] = .bool(decides)
                        position = b
                        continue
                    }
                } else {
                    absorb(&stack, top)
                }
                if instruction.a == 1 {
                    position = Int(instruction.c) - 1
                    continue
                }
            case .andEnd, .orEnd:
                if case .error(let error) = stack[top - 1] { throw error }
            case .branch:
                top -= 1
                guard case .bool(let bool) = stack[top] else { throw EvaluationError(.noSuchOverload) }
                if !bool {
                    position = b
                    continue
                }
            case .jump:
                position = b
                continue
            case .isInSet:
                let set = program.sets[b]
                try meter.charge(UInt64(set.listCount))
                stack[top - 1] = .bool(try set.contains(stack[top - 1], &meter))
            case .member:
                try meter.charge(2)
                let value = resolver.member(key(instruction.c), of: b)
                stack[top] = try Self.present(value, orElse: .noSuchKey)
                top += 1
            case .matches:
                stack[top - 1] = .bool(try matches(stack[top - 1], pattern: b, &meter))
            case .charge:
                try meter.charge(UInt64(instruction.b))
            case .local:
                try meter.charge(1)
                stack[top] = try Self.present(stack[Int(instruction.a)], orElse: .unknownVariable)
                top += 1
            case .loopNext, .loopNextPair:
                if try !advance(instruction, &stack, &meter) {
                    position = b
                    continue
                }
            case .lazyLocal:
                try meter.charge(1)
                let local = Int(instruction.a)
                if case .unset = stack[local] { stack[local] = try lazy(b, base: top, &stack, resolver, &meter) }
                stack[top] = try Self.present(stack[local], orElse: .unknownVariable)
                top += 1
            case .hasVariable, .optionalVariable, .hasMember, .optionalMember:
                stack[top] = try ask(instruction, resolver, &meter)
                top += 1
            case .or, .orValue:
                guard case .optional(let optional) = stack[top - 1] else { throw EvaluationError(.noSuchOverload) }
                if let value = optional.wrapped {
                    if instruction.operation == .orValue { stack[top - 1] = value }
                    position = b
                    continue
                }
                top -= 1
            case .optionalBind:
                guard case .optional(let optional) = stack[top - 1] else { throw EvaluationError(.noSuchOverload) }
                guard let value = optional.wrapped else {
                    position = b
                    continue
                }
                top -= 1
                stack[Int(instruction.a)] = value
            case .end:
                return stack[top - 1]
            default:
                // What makes or takes apart lists, maps and optionals: not worth a place in the hot switch.
                top = try build(instruction, top, &stack, &meter)
            }
            position += 1
        }
    }

    /// A value that is there.
    @inline(__always)
    private static func present(_ value: Value, orElse reason: EvaluationError.Reason) throws(EvaluationError) -> Value
    {
        switch value {
        case .unset: throw EvaluationError(reason)
        case .error(let error): throw error
        default: return value
        }
    }

    /// An operand of `&&` or `||` at `top` that is no bool: the first such is what comes out if nothing decides.
    private func absorb(_ stack: inout MutableSpan<Value>, _ top: Int) {
        if case .error = stack[top - 1] { return }
        if case .error = stack[top] {
            stack[top - 1] = stack[top]
        } else {
            stack[top - 1] = .error(EvaluationError(.noSuchOverload))
        }
    }

    /// Compares a value with an instruction's constant: what rules mostly do, so texts and integers go first.
    @inline(__always)
    private func compare(
        _ value: Value,
        with instruction: Instruction,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        let operation = UInt8(truncatingIfNeeded: instruction.a)
        switch (value, program.constants[Int(instruction.c)]) {
        case (.string(let one), .string(let other))
        where operation == UInt8(Function.equal.rawValue) || operation == UInt8(Function.notEqual.rawValue):
            try meter.charge(comparing: one, other)
            return (one == other) == (operation == UInt8(Function.equal.rawValue))
        case (.int(let one), .int(let other)):
            try meter.charge(1)
            switch operation {
            case UInt8(Function.equal.rawValue): return one == other
            case UInt8(Function.notEqual.rawValue): return one != other
            case UInt8(Function.less.rawValue): return one < other
            case UInt8(Function.lessOrEqual.rawValue): return one <= other
            case UInt8(Function.greater.rawValue): return one > other
            default: return one >= other
            }
        default:
            return try compareOthers(value, with: instruction, &meter)
        }
    }

    private func compareOthers(
        _ value: Value,
        with instruction: Instruction,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        let value = try Self.present(value, orElse: .unknownVariable)
        let constant = program.constants[Int(instruction.c)]
        switch Function(rawValue: instruction.a) {
        case .equal: return try Equality.equal(value, constant, &meter)
        case .notEqual: return try !Equality.equal(value, constant, &meter)
        case .some(let function): return try Ordering.test(function, value, constant, &meter)
        case nil: throw EvaluationError(.unknownFunction)
        }
    }

    @inline(__always)
    private func call(
        _ instruction: Instruction,
        _ stack: borrowing MutableSpan<Value>,
        _ arguments: Range<Int>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        // The verifier knows that the number is a function's.
        guard let function = Function(rawValue: UInt16(truncatingIfNeeded: instruction.b)) else {
            throw EvaluationError(.unknownFunction)
        }
        return try Library.call(function, stack.span.extracting(arguments), &meter)
    }

    private func key(_ constant: UInt32) -> ByteString {
        guard case .string(let key) = program.constants[Int(constant)] else { preconditionFailure("verified") }
        return key
    }

    private func matches(_ value: Value, pattern: Int, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        guard case .string(let text) = value else { throw EvaluationError(.noSuchOverload) }
        return try program.patterns[pattern].regex().search(text, &meter)
    }

    /// Whether the host has a value, or that value as an optional.
    private func ask<Source: Resolver & ~Copyable>(
        _ instruction: Instruction,
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        let variable = Int(instruction.b)
        let value: Value
        switch instruction.operation {
        case .hasVariable, .optionalVariable:
            try meter.charge(1)
            value = resolver.value(of: variable)
        default:
            try meter.charge(1)
            value = resolver.member(key(instruction.c), of: variable)
        }
        if case .error(let error) = value { throw error }
        var isThere = true
        if case .unset = value { isThere = false }
        // A test costs a unit; a step into nothing costs none.
        if instruction.operation == .hasMember || instruction.operation == .optionalMember && isThere {
            try meter.charge(1)
        }
        switch instruction.operation {
        case .hasVariable, .hasMember: return .bool(isThere)
        default: return .optional(isThere ? OptionalValue(value) : .none)
        }
    }

    /// The value of a lazy variable, or the error that each of its uses raises.
    private func lazy<Source: Resolver & ~Copyable>(
        _ segment: Int,
        base: Int,
        _ stack: inout MutableSpan<Value>,
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        do throws(EvaluationError) {
            return try run(segment: segment, base: base, &stack, resolver, &meter)
        } catch {
            guard !error.isAbort else { throw error }
            return .error(error)
        }
    }

    /// Puts a loop's next element into its variables.
    ///
    /// - Returns: false at the end.
    private func advance(
        _ instruction: Instruction,
        _ stack: inout MutableSpan<Value>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Bool {
        let range = Int(instruction.a)
        guard case .int(let raw) = stack[range + 1] else { throw EvaluationError(.noSuchOverload) }
        // Anybody's program may have put another number there.
        guard raw >= 0 else { throw EvaluationError(.indexOutOfRange) }
        let index = Int(raw)
        let isPair = instruction.operation == .loopNextPair
        // Some turns are free by cel-go's units; none is here, or nested loops could turn for ever.
        try meter.touch(1)
        switch stack[range] {
        case .list(let elements):
            guard index < elements.count else { return false }
            if isPair {
                stack[range + 2] = .int(raw)
                stack[range + 3] = elements[index]
            } else {
                stack[range + 2] = elements[index]
            }
        case .map(let map):
            guard index < map.count else { return false }
            stack[range + 2] = map.keys[index]
            if isPair { stack[range + 3] = map.values[index] }
        default: throw EvaluationError(.noSuchOverload)
        }
        try meter.charge(UInt64(instruction.c))
        stack[range + 1] = .int(raw + 1)
        return true
    }
}
