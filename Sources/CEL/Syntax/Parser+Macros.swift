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
    /// `receiver.name(arguments)`; the current token is the dot.
    @inline(never)
    mutating func call(on receiver: NodeID) throws(Stop) -> NodeID {
        let name = position + 1
        position += 2
        if let macro = rangeMacro(name) { return try comprehension(macro, over: receiver, name) }
        switch celMacro(name, on: receiver) {
        case .bind: return try bind(name)
        case .block: return try block(name)
        case .index, .loopVariable: return try generatedName(name)
        case nil: break
        }
        let arguments = try arguments()
        return try call(on: receiver, name, arguments)
    }

    @inline(never)
    private mutating func call(on receiver: NodeID, _ name: Int, _ arguments: [NodeID]) throws(Stop) -> NodeID {
        try add(.call(text(tokens[name]), receiver: receiver, arguments: arguments), at: tokens[name].start)
    }

    /// Whether the name at a token, whose parenthesis is next, is the macro `has`.
    @inline(never)
    func isPresence(_ name: Int) -> Bool { text(tokens[name]) == "has" && current.argumentCount == 1 }

    /// `has(operand.field)`; the current token is the parenthesis.
    @inline(never)
    mutating func presence() throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        let node = try expression()
        try close(bracket)
        return try presence(node, from: bracket + 1)
    }

    /// Makes a test of the selection that was just parsed.
    @inline(never)
    private mutating func presence(_ node: NodeID, from start: Int) throws(Stop) -> NodeID {
        guard case .select(let operand, let field, .plain) = ast.nodes[node].kind else {
            let message = "has() needs a field's selection, as in `has(a.b)`"
            return try standIn(for: Problem(at: tokens[start].start, message))
        }
        ast.nodes[node].kind = .select(operand: operand, field: field, form: .presence)
        return node
    }

    @inline(never)
    private func rangeMacro(_ name: Int) -> RangeMacro? {
        RangeMacro(text(tokens[name]), argumentCount: current.argumentCount)
    }

    @inline(never)
    private mutating func comprehension(
        _ macro: RangeMacro,
        over range: NodeID,
        _ name: Int
    ) throws(Stop) -> NodeID {
        let bracket = position
        try skipVariables(macro.hasTwoVariables ? 2 : 1, of: name)
        var filter: NodeID?
        if macro.hasFilter {
            filter = try expression()
            try takeComma()
        }
        let body = try expression()
        try close(bracket)
        return try comprehension(macro, over: range, name, filter: filter, body: body)
    }

    @inline(never)
    private mutating func comprehension(
        _ macro: RangeMacro,
        over range: NodeID,
        _ name: Int,
        filter: NodeID?,
        body: NodeID
    ) throws(Stop) -> NodeID {
        let (first, end) = variable(at: name + 2)
        let comprehension = Comprehension(
            kind: macro.kind,
            range: range,
            variable: first,
            secondVariable: macro.hasTwoVariables ? variable(at: end + 1).name : nil,
            filter: filter,
            body: body
        )
        return try add(.comprehension(comprehension), at: tokens[name].start)
    }

    // MARK: Variables

    /// Passes a macro's parenthesis, the names that it binds, and the comma behind each; notes what is no name.
    @inline(never)
    private mutating func skipVariables(_ count: Int, of name: Int) throws(Stop) {
        position += 1
        var names: [String] = []
        for number in 1...count {
            let token = current
            let (variable, end) = self.variable(at: position)
            position = end
            if variable.isEmpty {
                let role = count == 1 ? "variable" : number == 1 ? "first variable" : "second variable"
                try note(Problem(at: token.start, "the \(role) of \(text(tokens[name]))() must be a simple name"))
            } else if names.contains(variable) {
                try note(Problem(at: token.start, "the two variables of \(text(tokens[name]))() need different names"))
            } else {
                try checkName(token)
            }
            names.append(variable)
            try takeComma()
        }
    }

    /// A name that a macro binds.
    ///
    /// - Returns: the name and the place of the token behind it. When something else stands there the name is empty and
    ///   the place is that of the comma, or of the bracket that ends the arguments.
    private func variable(at start: Int) -> (name: String, end: Int) {
        if tokens[start].kind == .identifier, tokens[start + 1].kind == .comma {
            return (text(tokens[start]), start + 1)
        }
        if options.allowsBlocks, let (name, end) = loopVariable(at: start), tokens[end].kind == .comma {
            return (name, end)
        }
        var end = start
        var depth = 0
        while tokens[end].kind != .end && tokens[end].kind != .illegal {
            if tokens[end].kind.opensBracket { depth += 1 }
            if tokens[end].kind.closesBracket { depth -= 1 }
            if depth < 0 || (depth == 0 && tokens[end].kind == .comma) { break }
            end += 1
        }
        return ("", end)
    }

    @inline(never)
    private mutating func takeComma() throws(Stop) {
        if !take(.comma) { throw unexpected("an operator or `,` and the next argument") }
    }

    // MARK: The name space `cel`

    private enum CelMacro { case bind, block, index, loopVariable }

    /// The macro that a call means, whose receiver, the name `cel`, is then dropped.
    @inline(never)
    private mutating func celMacro(_ name: Int, on receiver: NodeID) -> CelMacro? {
        guard case .identifier("cel", isRooted: false) = ast.nodes[receiver].kind else { return nil }
        let macro: CelMacro
        switch (text(tokens[name]), current.argumentCount) {
        case ("bind", 3): macro = .bind
        case ("block", 2) where options.allowsBlocks: macro = .block
        case ("index", 1) where options.allowsBlocks: macro = .index
        case ("iterVar", 2) where options.allowsBlocks: macro = .loopVariable
        default: return nil
        }
        ast.nodes.removeLast()
        return macro
    }

    /// `cel.bind(name, initialiser, body)`.
    @inline(never)
    private mutating func bind(_ name: Int) throws(Stop) -> NodeID {
        let bracket = position
        try skipVariables(1, of: name)
        let initialiser = try expression()
        try takeComma()
        let body = try expression()
        try close(bracket)
        return try bind(name, initialiser, body)
    }

    @inline(never)
    private mutating func bind(_ name: Int, _ initialiser: NodeID, _ body: NodeID) throws(Stop) -> NodeID {
        let kind = Node.Kind.bind(variable(at: name + 2).name, initialiser: initialiser, body: body)
        return try add(kind, at: tokens[name].start)
    }

    /// `cel.block([slots], body)`.
    @inline(never)
    private mutating func block(_ name: Int) throws(Stop) -> NodeID {
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
        try takeComma()
        let body = try expression()
        try close(bracket)
        return try add(.block(slots, body: body), at: tokens[name].start)
    }

    /// `cel.index(number)` or `cel.iterVar(depth, number)`, as a name that nobody can write.
    @inline(never)
    private mutating func generatedName(_ name: Int) throws(Stop) -> NodeID {
        let start = name - 2
        guard let (text, end) = slot(at: start) ?? loopVariable(at: start) else {
            position += 1
            throw unexpected("a small number")
        }
        position = end
        return try add(.identifier(text, isRooted: false), at: tokens[name].start)
    }

    private func slot(at start: Int) -> (name: String, end: Int)? {
        let (numbers, end) = numbers(of: "index", at: start)
        return numbers.count == 1 ? ("@index\(numbers[0])", end) : nil
    }

    private func loopVariable(at start: Int) -> (name: String, end: Int)? {
        let (numbers, end) = numbers(of: "iterVar", at: start)
        return numbers.count == 2 ? ("@it:\(numbers[0]):\(numbers[1])", end) : nil
    }

    /// The arguments of `cel.name(1, 2)` that starts at a token; none when something else stands there.
    private func numbers(of name: String, at start: Int) -> (numbers: [Int], end: Int) {
        var rest = tokens[start...].prefix(8)
        let opening: [Token.Kind] = [.identifier, .dot, .identifier, .leftParenthesis]
        guard rest.prefix(4).map(\.kind) == opening, text(tokens[start]) == "cel", text(tokens[start + 2]) == name
        else {
            return ([], start)
        }
        rest = rest.dropFirst(4)
        var numbers: [Int] = []
        while let token = rest.popFirst(), token.kind == .int, let number = Int(text(token)), number < Self.maxNodes {
            numbers.append(number)
            guard let next = rest.popFirst() else { break }
            if next.kind == .rightParenthesis { return (numbers, rest.startIndex) }
            if next.kind != .comma { break }
        }
        return ([], start)
    }
}
