// Calls that bind names or look at their argument's form. A macro is told from a call by its name and its number of
// arguments; what it is stays in the tree as written, and is expanded nowhere.

/// A macro that is called on a range: how its arguments are read.
private struct RangeMacro {
    let kind: Comprehension.Kind
    let hasTwoVariables: Bool
    let hasFilter: Bool

    init?(_ name: String, argumentCount: Int) {
        let (kind, two, filter): (Comprehension.Kind, Bool, Bool)
        switch (name, argumentCount) {
        case ("all", 2): (kind, two, filter) = (.all, false, false)
        case ("all", 3): (kind, two, filter) = (.all, true, false)
        case ("exists", 2): (kind, two, filter) = (.exists, false, false)
        case ("exists", 3): (kind, two, filter) = (.exists, true, false)
        case ("exists_one", 2): (kind, two, filter) = (.existsOne, false, false)
        case ("existsOne", 3): (kind, two, filter) = (.existsOne, true, false)
        case ("map", 2): (kind, two, filter) = (.map, false, false)
        case ("map", 3): (kind, two, filter) = (.map, false, true)
        case ("filter", 2): (kind, two, filter) = (.filter, false, false)
        case ("transformList", 3): (kind, two, filter) = (.transformList, true, false)
        case ("transformList", 4): (kind, two, filter) = (.transformList, true, true)
        case ("transformMap", 3): (kind, two, filter) = (.transformMap, true, false)
        case ("transformMap", 4): (kind, two, filter) = (.transformMap, true, true)
        case ("transformMapEntry", 3): (kind, two, filter) = (.transformMapEntry, true, false)
        case ("transformMapEntry", 4): (kind, two, filter) = (.transformMapEntry, true, true)
        case ("sortBy", 2): (kind, two, filter) = (.sortBy, false, false)
        case ("optMap", 2): (kind, two, filter) = (.optMap, false, false)
        case ("optFlatMap", 2): (kind, two, filter) = (.optFlatMap, false, false)
        default: return nil
        }
        self.kind = kind
        hasTwoVariables = two
        hasFilter = filter
    }
}

extension Parser {
    /// A call on a receiver; the current token is its parenthesis.
    @inline(never)
    mutating func call(on receiver: NodeID, _ nameToken: Token) throws(Stop) -> NodeID {
        let name = text(nameToken)
        let count = current.argumentCount
        if let macro = RangeMacro(name, argumentCount: count) {
            return try comprehension(macro, over: receiver, name, at: nameToken.start)
        }
        if case .identifier("cel", isRooted: false) = ast.nodes[receiver].kind {
            switch (name, count) {
            case ("bind", 3): return try bind(at: nameToken.start)
            case ("block", 2) where options.allowsBlocks: return try block(at: nameToken.start)
            case ("index", 1) where options.allowsBlocks:
                ast.nodes.removeLast()
                return try add(.identifier("@index\(try numbers(count: 1)[0])", isRooted: false), at: nameToken.start)
            case ("iterVar", 2) where options.allowsBlocks:
                ast.nodes.removeLast()
                return try add(.identifier(try loopVariable(), isRooted: false), at: nameToken.start)
            default: break
            }
        }
        let arguments = try arguments()
        return try add(.call(name, receiver: receiver, arguments: arguments), at: nameToken.start)
    }

    /// `has(operand.field)`; the current token is the parenthesis.
    @inline(never)
    mutating func presence() throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        let argument = current.start
        let node = try expression()
        try close(bracket)
        guard case .select(let operand, let field, .plain) = ast.nodes[node].kind else {
            return try standIn(for: Problem(at: argument, "has() needs a field's selection, as in `has(a.b)`"))
        }
        ast.nodes[node].kind = .select(operand: operand, field: field, form: .presence)
        return node
    }

    @inline(never)
    private mutating func comprehension(
        _ macro: RangeMacro,
        over range: NodeID,
        _ name: String,
        at offset: Int
    ) throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        let variable = try variable(of: name, macro.hasTwoVariables ? "first argument" : "variable")
        var second: String?
        if macro.hasTwoVariables {
            let start = current.start
            second = try self.variable(of: name, "second argument")
            if second == variable, variable != "" {
                try note(Problem(at: start, "the two variables of \(name)() need different names"))
            }
        }
        var filter: NodeID?
        if macro.hasFilter {
            filter = try expression()
            guard take(.comma) else { throw unexpected("`,` and the last argument of \(name)()") }
        }
        let body = try expression()
        try close(bracket)
        let comprehension = Comprehension(
            kind: macro.kind,
            range: range,
            variable: variable,
            secondVariable: second,
            filter: filter,
            body: body
        )
        return try add(.comprehension(comprehension), at: offset)
    }

    /// `cel.bind(name, initialiser, body)`.
    @inline(never)
    private mutating func bind(at offset: Int) throws(Stop) -> NodeID {
        ast.nodes.removeLast()
        let bracket = position
        position += 1
        let name = try variable(of: "cel.bind", "variable")
        let initialiser = try expression()
        guard take(.comma) else { throw unexpected("`,` and the last argument of cel.bind()") }
        let body = try expression()
        try close(bracket)
        return try add(.bind(name, initialiser: initialiser, body: body), at: offset)
    }

    /// A name that a macro binds, and the comma behind it.
    ///
    /// - Returns: empty when something else stands there, which is noted.
    private mutating func variable(of macro: String, _ role: String) throws(Stop) -> String {
        let token = current
        var name = ""
        if token.kind == .identifier, tokens[position + 1].kind == .comma {
            name = text(token)
            position += 1
            if Self.reservedWords.contains(name) {
                try note(Problem(at: token.start, "`\(name)` is a reserved word and cannot be a name"))
            }
        } else {
            let node = try expression()
            if case .identifier(let loop, false) = ast.nodes[node].kind, loop.hasPrefix("@it:") {
                ast.nodes.removeLast()
                name = loop
            } else {
                try note(Problem(at: token.start, "the \(role) of \(macro)() must be a simple name"))
            }
        }
        guard take(.comma) else { throw unexpected("`,` and the next argument of \(macro)()") }
        return name
    }

    // MARK: Blocks

    /// `cel.block([slots], body)`.
    private mutating func block(at offset: Int) throws(Stop) -> NodeID {
        ast.nodes.removeLast()
        let bracket = position
        position += 1
        let list = position
        guard take(.leftBracket) else { throw unexpected("a list of slots") }
        var slots: [NodeID] = []
        while current.kind != .rightBracket {
            slots.append(try expression())
            guard take(.comma) else { break }
        }
        try close(list)
        guard take(.comma) else { throw unexpected("`,` and the body of cel.block()") }
        let body = try expression()
        try close(bracket)
        return try add(.block(slots, body: body), at: offset)
    }

    /// The arguments of `cel.iterVar(depth, number)`, as a name that no one can write.
    private mutating func loopVariable() throws(Stop) -> String {
        let numbers = try numbers(count: 2)
        return "@it:\(numbers[0]):\(numbers[1])"
    }

    /// Arguments that are small numbers.
    private mutating func numbers(count: Int) throws(Stop) -> [Int] {
        let bracket = position
        var numbers: [Int] = []
        repeat {
            position += 1
            guard current.kind == .int, let number = Int(text(current)), number < Self.maxNodes else {
                throw unexpected("a small number")
            }
            numbers.append(number)
            position += 1
        } while numbers.count < count && current.kind == .comma
        try close(bracket)
        return numbers
    }
}
