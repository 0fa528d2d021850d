// From the checked tree to a program. What is constant is computed here once (and still paid for when it runs, so that
// costs do not depend on what the compiler is clever about).

/// Compiles checked expressions.
struct Compiler {
    let checked: Checked
    var code = CodeBuilder()
    /// Where the variables of comprehensions, binds and blocks are.
    private var places: [Binding: Place] = [:]
    private let constancy: Constancy
    /// What constant folding may still cost, over the whole expression.
    private var foldingBudget: UInt64 = 100_000

    private struct Binding: Hashable {
        let node: NodeID
        let index: Int
    }

    private enum Place {
        case local(Int)
        case lazy(Int, segment: UInt32)
    }

    private init(_ checked: Checked, _ constancy: Constancy) {
        self.checked = checked
        self.constancy = constancy
    }

    /// Compiles an expression.
    ///
    /// - Throws: a problem when it needs more instructions, constants or locals than a program may have.
    static func compile(_ checked: Checked) throws(Problems) -> Program {
        var compiler = Compiler(checked, Constancy(checked))
        let parts = compiler.compile()
        do throws(VerifyError) {
            return try Verifier.verify(parts, variableCount: checked.environment.variables.count)
        } catch {
            precondition(error.reason == .sizes, "the compiler wrote a program that does not verify: \(error)")
            throw Problems([Problem(at: 0, "the expression is too large")])
        }
    }

    private mutating func compile() -> ProgramParts {
        compile(checked.ast.root)
        return code.finish(at: checked.ast[checked.ast.root].offset)
    }

    /// Emits code that leaves the node's value on the stack.
    mutating func compile(_ id: NodeID) {
        let node = checked.ast[id]
        if case .literal(let value) = node.kind {
            code.emit(.constant, b: code.constant(value), at: node.offset)
            return
        }
        if let folded = fold(id) {
            code.charge(folded.cost, at: node.offset)
            code.emit(.constant, b: code.constant(folded.value), at: node.offset)
            return
        }
        compileParts(of: id, node)
    }

    private mutating func compileParts(of id: NodeID, _ node: Node) {
        switch node.kind {
        case .literal:
            break
        case .identifier:
            name(id, node)
        case .select(let operand, let field, let form):
            select(id, node, operand, field, form)
        case .index(let operand, let index, let isOptional):
            self.index(node, operand, index, isOptional: isOptional)
        case .call:
            call(id, node)
        case .list(let elements, let optional):
            for element in elements { compile(element) }
            literal(.list, count: elements.count, optional, at: node.offset)
        case .map(let entries):
            for entry in entries {
                compile(entry.key)
                compile(entry.value)
            }
            literal(.map, count: entries.count, entries.map(\.isOptional), at: node.offset)
        case .message(_, let fields):
            message(id, fields, at: node.offset)
        case .and(let operands):
            chain(operands, .andStep, .andEnd, neutral: true, at: node.offset)
        case .or(let operands):
            chain(operands, .orStep, .orEnd, neutral: false, at: node.offset)
        case .conditional(let condition, let then, let otherwise):
            conditional(condition, then, otherwise, at: node.offset)
        case .comprehension(let comprehension):
            self.comprehension(comprehension, id, at: node.offset)
        case .bind(_, let initialiser, let body):
            bind(initialiser, id, index: 0, at: node.offset)
            compile(body)
        case .block(let slots, let body):
            for (index, slot) in slots.enumerated() { bind(slot, id, index: index, at: node.offset) }
            compile(body)
        }
    }

    // MARK: Names

    private mutating func name(_ id: NodeID, _ node: Node) {
        switch checked.resolutions[id] {
        case .variable(let variable):
            code.emit(.variable, b: UInt32(variable), at: node.offset)
        case .local(let binder, let index):
            local(binder, index, at: node.offset)
        case .type(let name):
            code.emit(.constant, b: code.constant(.type(ByteString(name))), at: node.offset)
        case .none, .function, .unknown:
            fail(.unknownVariable, at: node.offset)
        }
    }

    private mutating func local(_ binder: NodeID, _ index: Int, at offset: Int) {
        switch places[Binding(node: binder, index: index)] {
        case .local(let local): code.emit(.local, a: local, at: offset)
        case .lazy(let local, let segment): code.emit(.lazyLocal, a: local, b: segment, at: offset)
        case nil: preconditionFailure("the check resolves only names in scope")
        }
    }

    mutating func place(_ local: Int, for node: NodeID, index: Int) {
        places[Binding(node: node, index: index)] = .local(local)
    }

    mutating func fail(_ reason: EvaluationError.Reason, at offset: Int) {
        code.charge(1, at: offset)
        code.emit(.fail, a: Int(reason.rawValue), at: offset)
    }

    /// A variable that is computed when it is first used, by a segment of its own.
    private mutating func bind(_ initialiser: NodeID, _ node: NodeID, index: Int, at offset: Int) {
        code.beginSegment()
        compile(initialiser)
        let segment = code.endSegment(at: checked.ast[initialiser].offset)
        // cel-go binds by a loop over an empty list, which costs a list.
        if index == 0 { code.charge(10, at: offset) }
        let local = code.allocate(locals: 1)
        // Around it there may be a loop, in whose next turn the variable is another.
        code.emit(.unsetLocal, a: local, at: offset)
        places[Binding(node: node, index: index)] = .lazy(local, segment: segment)
    }

    // MARK: Fields and elements

    private mutating func select(
        _ id: NodeID,
        _ node: Node,
        _ operand: NodeID,
        _ field: String,
        _ form: Node.SelectForm
    ) {
        switch checked.resolutions[id] {
        case .variable(let variable):
            code.emit(
                form.of(.variable, presence: .hasVariable, optional: .optionalVariable),
                b: UInt32(variable),
                at: node.offset
            )
            return
        case .type:
            name(id, node)
            return
        default:
            break
        }
        let key = code.constant(.text(field))
        if let map = hostMap(operand) {
            code.emit(
                form.of(.member, presence: .hasMember, optional: .optionalMember),
                b: map,
                c: key,
                at: node.offset
            )
            return
        }
        self.operand(operand)
        code.emit(form.of(.select, presence: .hasField, optional: .optionalSelect), b: key, at: node.offset)
    }

    private mutating func index(_ node: Node, _ operand: NodeID, _ index: NodeID, isOptional: Bool) {
        if let map = hostMap(operand), let key = text(index) {
            let operation: Operation = isOptional ? .optionalMember : .member
            code.emit(operation, b: map, c: code.constant(.string(key)), at: node.offset)
            return
        }
        self.operand(operand)
        compile(index)
        // A path as an index has paid for the step already.
        code.emit(isOptional ? .optionalIndex : .index, a: isPath(index) ? 0 : 1, at: node.offset)
    }

    /// What a path begins with.
    ///
    /// cel-go counts a unit for a path, which a name brings along, and one for each step.
    private mutating func operand(_ id: NodeID) {
        compile(id)
        if !isPath(id) { code.charge(1, at: checked.ast[id].offset) }
    }

    private func isPath(_ id: NodeID) -> Bool {
        switch checked.ast[id].kind {
        case .identifier, .index: true
        case .select(_, _, let form): form != .presence
        default: false
        }
    }

    /// The number of the host's variable that the node names, if it is known to be a map with text keys: asked for single
    /// keys, it need not be made.
    private func hostMap(_ id: NodeID) -> UInt32? {
        guard case .map(.string, _) = checked.types[id] else { return nil }
        return hostVariable(id)
    }

    /// The number of the host's variable that the node is the value of.
    private func hostVariable(_ id: NodeID) -> UInt32? {
        guard case .variable(let variable) = checked.resolutions[id] else { return nil }
        if case .select(_, _, let form) = checked.ast[id].kind, form != .plain { return nil }
        return UInt32(variable)
    }

    private func text(_ id: NodeID) -> ByteString? {
        guard case .literal(.string(let text)) = checked.ast[id].kind else { return nil }
        return text
    }

    private mutating func literal(_ operation: Operation, count: Int, _ optional: [Bool], at offset: Int) {
        guard optional.contains(true) else {
            code.emit(operation, b: UInt32(count), at: offset)
            return
        }
        let mask = code.constant(.bytes(ByteString(optional.map { $0 ? 1 : 0 })))
        code.emit(operation, a: 1, b: UInt32(count), c: mask, at: offset)
    }

    /// A literal of a well-known message: a call with the fields' names and values.
    private mutating func message(_ id: NodeID, _ fields: [Node.Field], at offset: Int) {
        guard case .type(let fullName) = checked.resolutions[id], fields.count <= 16 else {
            fail(.unknownFunction, at: offset)
            return
        }
        code.emit(.constant, b: code.constant(.text(fullName)), at: offset)
        for field in fields {
            let name = field.isOptional ? "?\(field.name)" : field.name
            code.emit(.constant, b: code.constant(.text(name)), at: field.offset)
            compile(field.value)
        }
        code.emit(.call, a: 1 + 2 * fields.count, b: UInt32(Function.message.rawValue), at: offset)
    }

    // MARK: Calls

    private mutating func call(_ id: NodeID, _ node: Node) {
        guard case .call(let written, let receiver, let arguments) = node.kind else { return }
        var name = written
        var isMember = receiver != nil
        if case .function(let resolved, let hasReceiver) = checked.resolutions[id] {
            name = resolved
            isMember = hasReceiver
        }
        let all = (isMember ? receiver.map { [$0] } ?? [] : []) + arguments
        if compileLazily(name, isMember: isMember, all, at: node.offset) { return }
        guard let function = Function.spelled(name, isMember: isMember, count: all.count) else {
            fail(.unknownFunction, at: node.offset)
            return
        }
        if compileWithConstant(function, all, at: node.offset) { return }
        for argument in all { compile(argument) }
        code.emit(.call, a: all.count, b: UInt32(function.rawValue), at: node.offset)
    }

    /// Calls that need not evaluate their argument.
    private mutating func compileLazily(_ name: String, isMember: Bool, _ arguments: [NodeID], at offset: Int) -> Bool {
        guard isMember, arguments.count == 2, name == "or" || name == "orValue" else { return false }
        compile(arguments[0])
        let jump = code.emit(name == "or" ? .or : .orValue, at: offset)
        compile(arguments[1])
        if name == "or" { code.emit(.expectOptional, at: offset) }
        code.patch(jump)
        return true
    }

    /// Calls with a constant beside them that have an instruction of their own.
    private mutating func compileWithConstant(_ function: Function, _ arguments: [NodeID], at offset: Int) -> Bool {
        guard arguments.count == 2 else { return false }
        switch function {
        case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard case .literal(let constant) = checked.ast[arguments[1]].kind else { return false }
            compare(arguments[0], function, with: code.constant(constant), at: offset)
        case .matches:
            guard let pattern = text(arguments[1]), code.patterns.count < ProgramBounds.maxPatterns,
                Regex.isGood(pattern)
            else { return false }
            compile(arguments[0])
            code.emit(.matches, b: code.pattern(pattern), at: offset)
        case .isIn:
            if let map = hostMap(arguments[1]), let key = text(arguments[0]) {
                code.emit(.hasMember, b: map, c: code.constant(.string(key)), at: offset)
                return true
            }
            guard case .list = checked.ast[arguments[1]].kind, let folded = fold(arguments[1]),
                case .list(let elements) = folded.value, let set = LookupSet(elements)
            else { return false }
            if let variable = hostVariable(arguments[0]) {
                code.charge(folded.cost, at: offset)
                code.emit(.isVariableInSet, b: variable, c: code.set(set), at: offset)
            } else {
                compile(arguments[0])
                // Behind what may fail: then the list is not made and not paid for, folded or not.
                code.charge(folded.cost, at: offset)
                code.emit(.isInSet, b: code.set(set), at: offset)
            }
        default:
            return false
        }
        return true
    }

    /// A comparison with a constant, by far the most frequent thing in rules: with what is compared, in one instruction.
    private mutating func compare(_ operand: NodeID, _ function: Function, with constant: UInt32, at offset: Int) {
        let function = Int(function.rawValue)
        if let variable = hostVariable(operand) {
            code.emit(.compareVariable, a: function, b: variable, c: constant, at: offset)
        } else if case .local(let binder, let index) = checked.resolutions[operand],
            case .local(let local) = places[Binding(node: binder, index: index)]
        {
            code.emit(.compareLocal, a: function, b: UInt32(local), c: constant, at: offset)
        } else {
            compile(operand)
            code.emit(.compare, a: function, c: constant, at: offset)
        }
    }

    // MARK: Logic

    private mutating func chain(
        _ operands: [NodeID],
        _ step: Operation,
        _ end: Operation,
        neutral: Bool,
        at offset: Int
    ) {
        code.emit(.constant, b: code.constant(.bool(neutral)), at: offset)
        var decided: [UInt32] = []
        for operand in operands {
            let start = code.position
            compile(operand)
            decided.append(code.emit(step, c: start, at: offset))
        }
        code.emit(end, at: offset)
        for place in decided { code.patch(place) }
    }

    private mutating func conditional(_ condition: NodeID, _ then: NodeID, _ otherwise: NodeID, at offset: Int) {
        compile(condition)
        let branch = code.emit(.branch, at: offset)
        compile(then)
        let jump = code.emit(.jump, at: offset)
        code.patch(branch)
        compile(otherwise)
        code.patch(jump)
    }

    // MARK: Constants

    /// The value of a node that depends on nothing outside of itself, and what computing it costs.
    private mutating func fold(_ id: NodeID) -> (value: Value, cost: UInt64)? {
        guard constancy.isConstant(id), foldingBudget > 0 else { return nil }
        var alone = Compiler(checked, constancy)
        alone.foldingBudget = 0
        alone.compileParts(of: id, checked.ast[id])
        let parts = alone.code.finish(at: checked.ast[id].offset)
        var meter = Meter(limit: foldingBudget)
        defer { foldingBudget -= min(foldingBudget, meter.spent + UInt64(parts.code.count)) }
        do {
            let program = try Verifier.verify(parts, variableCount: checked.environment.variables.count)
            let value = try program.evaluate(Bindings([]), &meter)
            guard ConstantCodec.isEncodable(value), meter.cost <= UInt64(UInt32.max) else { return nil }
            return (value, meter.cost)
        } catch {
            // It has no value, which is for the evaluation to say.
            return nil
        }
    }
}

extension Node.SelectForm {
    /// Of three operations the one that asks in this form.
    fileprivate func of(_ plain: Operation, presence: Operation, optional: Operation) -> Operation {
        switch self {
        case .plain: plain
        case .presence: presence
        case .optional: optional
        }
    }
}
