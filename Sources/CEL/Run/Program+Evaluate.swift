// Runs a program: finds a place for its stack, then lets the machine go.

extension Program {
    /// Evaluates the expression.
    ///
    /// Allocates nothing for scalar work in a program of at most 32 slots.
    ///
    /// - Parameters:
    ///   - resolver: supplies the variables of the environment that the program was compiled for.
    ///   - meter: counts the costs, also of an evaluation that fails.
    /// - Returns: the value; never `.error` nor `.unset`.
    /// - Throws: why there is none.
    public func evaluate<Source: Resolver & ~Copyable>(
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        // The stack lies on the thread's own. Small ones first: what is not made need not be dropped.
        if slotCount <= 8 {
            var slots = [8 of Value](repeating: .unset)
            var stack = slots.mutableSpan
            return try run(&stack, resolver, &meter)
        }
        if slotCount <= 32 {
            var slots = [32 of Value](repeating: .unset)
            var stack = slots.mutableSpan
            return try run(&stack, resolver, &meter)
        }
        var slots = [Value](repeating: .unset, count: slotCount)
        var stack = slots.mutableSpan
        return try run(&stack, resolver, &meter)
    }

    private func run<Source: Resolver & ~Copyable>(
        _ stack: inout MutableSpan<Value>,
        _ resolver: borrowing Source,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try Machine(program: self).run(segment: 0, base: localCount, &stack, resolver, &meter)
    }
}
