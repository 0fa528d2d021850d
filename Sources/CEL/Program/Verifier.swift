// Proves that a program stays inside its bounds, before it is run: stack heights agree wherever two ways meet, jumps
// stay in their segment, a way back leads only to a loop's head (where each turn is counted), and what is lazy never
// needs itself. A decoder trusts nothing else.

/// Why a program is none.
struct VerifyError: Error, Equatable, Sendable {
    enum Reason: Sendable {
        case sizes, operand, jump, height, region, unreachable, laziness
    }

    let reason: Reason
    /// The instruction's place in the code.
    let position: Int
}

/// Checks a program's parts.
struct Verifier {
    /// What running needs beside the parts.
    struct Result {
        var handlers: [Program.Handler] = []
        var slotCount = 0
    }

    private let parts: ProgramParts
    /// How many variables the host has.
    private let variableCount: Int
    private var result = Result()
    /// The stack's height before each instruction, relative to its segment's start; negative while it is not known.
    private var heights: [Int]
    /// What each lazy segment needs, by its number less one.
    private var lazyNeeds: [Need] = []

    /// What running a segment takes, with the segments that it may call.
    private struct Need {
        /// Its deepest stack.
        var depth = 0
        /// How many segments wait for one another, itself included.
        var chain = 1
    }

    private init(_ parts: ProgramParts, variableCount: Int) {
        self.parts = parts
        self.variableCount = variableCount
        heights = Array(repeating: -1, count: parts.code.count)
    }

    /// Makes a program of parts that are right.
    ///
    /// - Throws: the first thing that is not.
    static func verify(_ parts: ProgramParts, variableCount: Int) throws(VerifyError) -> Program {
        var verifier = Verifier(parts, variableCount: variableCount)
        try verifier.verify()
        return Program(parts, verifier.result)
    }

    private mutating func verify() throws(VerifyError) {
        try checkSizes()
        // A lazy segment may call only lower ones, and the expression, which is segment 0, all of them.
        var segment = 1
        while segment < parts.segments.count {
            lazyNeeds.append(try flow(through: segment))
            segment += 1
        }
        result.slotCount = parts.localCount + (try flow(through: 0).depth)
        guard result.slotCount <= ProgramBounds.maxSlots else { throw VerifyError(reason: .sizes, position: 0) }
        try findHandlers()
    }

    private func checkSizes() throws(VerifyError) {
        let isRight =
            (1...ProgramBounds.maxInstructions).contains(parts.code.count)
            && parts.constants.count <= ProgramBounds.maxConstants
            && (0...ProgramBounds.maxSlots).contains(parts.localCount)
            && (1...ProgramBounds.maxSegments).contains(parts.segments.count)
            && parts.patterns.count <= ProgramBounds.maxPatterns && parts.sets.count <= ProgramBounds.maxSets
        guard isRight, parts.segments[0] == 0 else { throw VerifyError(reason: .sizes, position: 0) }
        for index in parts.segments.indices.dropFirst() {
            guard parts.segments[index] > parts.segments[index - 1], parts.segments[index] < parts.code.count else {
                throw VerifyError(reason: .sizes, position: index)
            }
        }
    }

    private func range(of segment: Int) -> Range<Int> {
        let end = segment + 1 < parts.segments.count ? parts.segments[segment + 1] : parts.code.count
        return parts.segments[segment]..<end
    }

    /// Follows all ways through a segment at once: code is in order, so a height is known before it is needed, but at
    /// loop heads, which are met from above first.
    private mutating func flow(through segment: Int) throws(VerifyError) -> Need {
        let range = range(of: segment)
        heights[range.lowerBound] = 0
        let code = parts.code
        var need = Need()
        for position in range {
            let instruction = code[position]
            try checkOperands(instruction, at: position, in: segment)
            guard heights[position] >= 0 else { throw VerifyError(reason: .unreachable, position: position) }
            let effect = instruction.effect
            let left = heights[position] - effect.pops
            guard left >= 0 else { throw VerifyError(reason: .height, position: position) }
            let height = left + effect.pushes
            need.depth = max(need.depth, height)
            if instruction.operation == .lazyLocal {
                let lazy = lazyNeeds[Int(instruction.b) - 1]
                need.depth = max(need.depth, height - 1 + lazy.depth)
                need.chain = max(need.chain, 1 + lazy.chain)
                // Each that waits has frames on the thread's stack.
                guard need.chain <= ProgramBounds.maxLazyChain else {
                    throw VerifyError(reason: .sizes, position: position)
                }
            }
            if let jump = instruction.jump {
                try join(height + jump.extra, at: jump.target, from: position, in: range)
                need.depth = max(need.depth, height + jump.extra)
            }
            if let head = instruction.loopHead { try join(height, at: head, from: position, in: range) }
            if instruction.operation == .end {
                guard left == 0 else { throw VerifyError(reason: .height, position: position) }
            }
            guard !instruction.endsFlow else { continue }
            guard position + 1 < range.upperBound else { throw VerifyError(reason: .jump, position: position) }
            try join(height, at: position + 1, from: position, in: range)
        }
        return need
    }

    private mutating func join(_ height: Int, at target: Int, from position: Int, in range: Range<Int>)
        throws(VerifyError)
    {
        guard range.contains(target) else { throw VerifyError(reason: .jump, position: position) }
        if target <= position {
            // Only a loop's head may be gone back to: there each turn is counted against the meter's bound on work.
            let head = parts.code[target]
            guard head.operation == .loopNext || head.operation == .loopNextPair else {
                throw VerifyError(reason: .jump, position: position)
            }
        }
        guard heights[target] < 0 || heights[target] == height else {
            throw VerifyError(reason: .height, position: position)
        }
        heights[target] = height
    }

    private func checkOperands(_ instruction: Instruction, at position: Int, in segment: Int) throws(VerifyError) {
        let a = Int(instruction.a)
        let b = Int(instruction.b)
        let c = Int(instruction.c)
        let isRight: Bool =
            switch instruction.operation {
            case .constant: b < parts.constants.count
            case .compareVariable: isComparison(a) && b < variableCount && c < parts.constants.count
            case .compareLocal: isComparison(a) && b < parts.localCount && c < parts.constants.count
            case .testElements:
                (a == Function.equal.rawValue || a == Function.notEqual.rawValue) && b <= 1
                    && c < parts.constants.count
            case .compare: isComparison(a) && c < parts.constants.count
            case .isVariableInSet: b < variableCount && c < parts.sets.count
            case .variable, .hasVariable, .optionalVariable: b < variableCount
            case .member, .hasMember, .optionalMember: b < variableCount && isString(c)
            case .local, .setLocal, .unsetLocal, .appendEntry, .optionalBind: a < parts.localCount
            case .lazyLocal:
                a < parts.localCount && b > 0 && b < parts.segments.count && (segment == 0 || b < segment)
            case .select, .optionalSelect, .hasField: isString(b)
            case .call: Function(rawValue: UInt16(truncatingIfNeeded: b)) != nil && b <= UInt16.max && a <= 255
            case .matches: b < parts.patterns.count
            case .isInSet: b < parts.sets.count
            case .list, .map: b <= ProgramBounds.maxSlots && (a == 0 || a == 1 && isMask(c, count: b))
            case .loopStart: a + 2 < parts.localCount
            case .chargeIfLeft: a + 1 < parts.localCount
            case .loopNext: a + 2 < parts.localCount
            case .loopNextPair: a + 3 < parts.localCount
            case .andStep, .orStep: a <= 1 && c < position && c >= a
            case .fail: EvaluationError.Reason(rawValue: UInt8(truncatingIfNeeded: a)) != nil && a <= UInt8.max
            default: true
            }
        guard isRight else {
            let reason: VerifyError.Reason = instruction.operation == .lazyLocal ? .laziness : .operand
            throw VerifyError(reason: reason, position: position)
        }
    }

    private func isComparison(_ function: Int) -> Bool {
        Int(Function.equal.rawValue)...Int(Function.greaterOrEqual.rawValue) ~= function
    }

    private func isString(_ constant: Int) -> Bool {
        guard constant < parts.constants.count, case .string = parts.constants[constant] else { return false }
        return true
    }

    private func isMask(_ constant: Int, count: Int) -> Bool {
        guard constant < parts.constants.count, case .bytes(let mask) = parts.constants[constant] else { return false }
        return mask.count == count
    }

    /// Finds the innermost operand of `&&` or `||` around each instruction, from the last to the first, in one pass.
    private mutating func findHandlers() throws(VerifyError) {
        guard parts.code.contains(where: { $0.operation == .andStep || $0.operation == .orStep }) else { return }
        result.handlers = Array(repeating: .none, count: parts.code.count)
        var around: [(start: Int, handler: Program.Handler)] = []
        for segment in parts.segments.indices {
            around.removeAll(keepingCapacity: true)
            let range = range(of: segment)
            for position in range.reversed() {
                while let last = around.last, last.start > position { around.removeLast() }
                if let last = around.last { result.handlers[position] = last.handler }
                let instruction = parts.code[position]
                guard instruction.operation == .andStep || instruction.operation == .orStep else { continue }
                let start = Int(instruction.c)
                // Operands nest, and begin with the stack that their step leaves: the result so far on top.
                guard start >= range.lowerBound, start >= (around.last?.start ?? start),
                    heights[start] == heights[position] - 1
                else { throw VerifyError(reason: .region, position: position) }
                around.append((start, Program.Handler(target: Int32(position), height: Int32(heights[position] - 1))))
            }
        }
    }
}
