// Runs a program: finds a place for its locals and its stack, then lets the machine go.

extension Program {
    /// Evaluates the expression.
    ///
    /// Allocates nothing for scalar work: slots lie on the thread's stack, as long as there are no more than some forty.
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
        // A rule of one comparison, which many are, needs neither stack nor loop.
        if code.count == 2, code[0].operation == .compareVariable {
            return .bool(try Machine(program: self).compareAlone(code[0], resolver, &meter))
        }
        // Only as many as the program needs: what is not made need not be dropped. The buffer is the closure's alone, all
        // of it is initialised before it is used, and the span ends before the buffer does.
        return try unsafe withUnsafeTemporaryAllocation(of: Value.self, capacity: slotCount) {
            slots throws(EvaluationError) -> Value in
            unsafe slots.initialize(repeating: .unset)
            defer { unsafe slots.deinitialize() }
            var stack = unsafe slots.mutableSpan
            return try Machine(program: self).run(segment: 0, base: localCount, &stack, resolver, &meter)
        }
    }
}
