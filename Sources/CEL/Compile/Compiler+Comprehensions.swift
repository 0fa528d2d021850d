// Loops. Each macro has its own shape in code, with the units that cel-go's expansion of it costs: what the hidden
// accumulator's tests and steps would have paid is paid at the loop's head and end.

extension Compiler {
    /// Emits a macro that binds variables.
    mutating func comprehension(_ it: Comprehension, _ id: NodeID, at offset: Int) {
        switch it.kind {
        case .all: predicate(it, id, .andStep, .andEnd, neutral: true, eachCost: 3, at: offset)
        case .exists: predicate(it, id, .orStep, .orEnd, neutral: false, eachCost: 4, at: offset)
        case .existsOne: existsOne(it, id, at: offset)
        case .map, .filter, .transformList: list(it, id, at: offset)
        case .transformMap, .transformMapEntry: map(it, id, at: offset)
        case .sortBy: sortBy(it, id, at: offset)
        case .optMap, .optFlatMap: optional(it, id, at: offset)
        }
    }

    /// A loop's head: the range into its locals, and where the loop goes on.
    private struct Loop {
        let range: Int
        let head: UInt32
    }

    /// Begins a loop; the accumulator is on the stack already, and the range above it.
    private mutating func begin(_ it: Comprehension, _ id: NodeID, eachCost: UInt32, at offset: Int) -> Loop {
        let isPair = it.secondVariable != nil
        let range = code.allocate(locals: isPair ? 4 : 3)
        code.emit(.loopStart, a: range, at: offset)
        place(range + 2, for: id, index: 0)
        if isPair { place(range + 3, for: id, index: 1) }
        let head = code.emit(isPair ? .loopNextPair : .loopNext, a: range, c: eachCost, at: offset)
        return Loop(range: range, head: head)
    }

    private mutating func end(_ loop: Loop, at offset: Int) {
        code.emit(.jump, b: loop.head, at: offset)
        code.patch(loop.head)
    }

    /// Skips to the loop's head unless the filter holds.
    private mutating func filter(_ predicate: NodeID, _ loop: Loop, at offset: Int) {
        compile(predicate)
        let skip = code.emit(.branch, at: offset)
        let take = code.emit(.jump, at: offset)
        code.patch(skip)
        code.emit(.jump, b: loop.head, at: offset)
        code.patch(take)
    }

    private mutating func predicate(
        _ it: Comprehension,
        _ id: NodeID,
        _ step: Operation,
        _ end: Operation,
        neutral: Bool,
        eachCost: UInt32,
        at offset: Int
    ) {
        if let test = equality(it, id) {
            compile(it.range)
            let isAll: UInt32 = it.kind == .all ? 1 : 0
            code.emit(.testElements, a: test.function, b: isAll, c: code.constant(test.constant), at: offset)
            code.charge(1, at: offset)
            return
        }
        code.emit(.constant, b: code.constant(.bool(neutral)), at: offset)
        compile(it.range)
        let loop = begin(it, id, eachCost: eachCost, at: offset)
        let start = code.position
        compile(it.body)
        let decided = code.emit(step, a: 1, c: start, at: offset)
        code.patch(loop.head)
        code.emit(end, at: offset)
        let exhausted = code.emit(.jump, at: offset)
        code.patch(decided)
        // The test that would have stopped cel-go's loop before the next element.
        code.emit(.chargeIfLeft, a: loop.range, b: eachCost - 1, at: offset)
        code.patch(exhausted)
        code.charge(1, at: offset)
    }

    /// The constant that a predicate compares its element with, if it does nothing else.
    private func equality(_ it: Comprehension, _ id: NodeID) -> (function: Int, constant: Value)? {
        guard it.secondVariable == nil, case .call(let name, _, let arguments) = checked.ast[it.body].kind,
            name == "_==_" || name == "_!=_", arguments.count == 2,
            checked.resolutions[arguments[0]] == .local(node: id, index: 0),
            case .identifier = checked.ast[arguments[0]].kind,
            case .literal(let constant) = checked.ast[arguments[1]].kind
        else { return nil }
        return (Int((name == "_==_" ? Function.equal : Function.notEqual).rawValue), constant)
    }

    private mutating func existsOne(_ it: Comprehension, _ id: NodeID, at offset: Int) {
        code.emit(.constant, b: code.constant(.int(0)), at: offset)
        compile(it.range)
        let loop = begin(it, id, eachCost: 0, at: offset)
        compile(it.body)
        code.emit(.countTrue, a: 2, at: offset)
        end(loop, at: offset)
        code.emit(.isOne, at: offset)
        code.charge(2, at: offset)
    }

    private mutating func list(_ it: Comprehension, _ id: NodeID, at offset: Int) {
        code.emit(.list, at: offset)
        compile(it.range)
        let loop = begin(it, id, eachCost: 0, at: offset)
        if it.kind == .filter {
            filter(it.body, loop, at: offset)
            code.emit(.local, a: loop.range + (it.secondVariable == nil ? 2 : 3), at: offset)
        } else {
            if let predicate = it.filter { filter(predicate, loop, at: offset) }
            compile(it.body)
        }
        code.charge(12, at: offset)
        code.emit(.append, at: offset)
        end(loop, at: offset)
        code.charge(1, at: offset)
    }

    private mutating func map(_ it: Comprehension, _ id: NodeID, at offset: Int) {
        code.charge(10, at: offset)
        code.emit(.list, at: offset)
        code.emit(.list, at: offset)
        compile(it.range)
        let loop = begin(it, id, eachCost: 0, at: offset)
        if let predicate = it.filter { filter(predicate, loop, at: offset) }
        compile(it.body)
        if it.kind == .transformMap {
            code.charge(3, at: offset)
            code.emit(.appendEntry, a: loop.range + 2, at: offset)
        } else {
            code.emit(.appendEntries, at: offset)
        }
        end(loop, at: offset)
        code.emit(.buildMap, at: offset)
        code.charge(1, at: offset)
    }

    private mutating func sortBy(_ it: Comprehension, _ id: NodeID, at offset: Int) {
        // The list is needed twice: to take the keys from, and to be sorted.
        let range = code.allocate(locals: 1)
        compile(it.range)
        code.emit(.setLocal, a: range, at: offset)
        code.emit(.local, a: range, at: offset)
        code.emit(.list, at: offset)
        code.emit(.local, a: range, at: offset)
        let loop = begin(it, id, eachCost: 0, at: offset)
        compile(it.body)
        code.charge(12, at: offset)
        code.emit(.append, at: offset)
        end(loop, at: offset)
        code.emit(.sortBy, at: offset)
    }

    private mutating func optional(_ it: Comprehension, _ id: NodeID, at offset: Int) {
        compile(it.range)
        let local = code.allocate(locals: 1)
        // cel-go asks hasValue(), then makes another none, or takes value() and binds it (it also evaluates the optional
        // again, which is not done here and not paid for).
        code.charge(2, at: offset)
        let none = code.emit(.optionalBind, a: local, at: offset)
        code.charge(10, at: offset)
        place(local, for: id, index: 0)
        compile(it.body)
        if it.kind == .optMap {
            code.emit(.call, a: 1, b: UInt32(Function.optionalOf.rawValue), at: offset)
        } else {
            code.emit(.expectOptional, at: offset)
        }
        code.patch(none)
    }
}
