// What operators stand between: literals, names, calls, selections, lists, maps and messages.

extension Parser {
    /// A primary and everything behind it that binds to it: `.field`, `.call()`, `[index]`, `{fields}`.
    mutating func member() throws(Stop) -> NodeID {
        let start = position
        var node = try primary()
        while true {
            switch current.kind {
            case .dot: node = try selection(of: node)
            case .leftBracket: node = try indexing(of: node)
            case .leftBrace:
                guard let name = messageName(from: start) else { return node }
                node = try message(name, at: tokens[start].start, replacing: node)
            default: return node
            }
        }
    }

    private mutating func primary() throws(Stop) -> NodeID {
        switch current.kind {
        case .int, .uint, .double, .minus: return try number()
        case .string, .bytes: return try string()
        case .null: return try constant(.null)
        case .true: return try constant(.bool(true))
        case .false: return try constant(.bool(false))
        case .identifier: return try name(isRooted: false)
        case .dot: return try name(isRooted: true)
        case .leftParenthesis: return try parenthesis()
        case .leftBracket: return try list()
        case .leftBrace: return try map()
        default: throw unexpected("an expression")
        }
    }

    // MARK: Literals

    @inline(never)
    private mutating func constant(_ value: Value) throws(Stop) -> NodeID {
        position += 1
        return try add(.literal(value), at: tokens[position - 1].start)
    }

    @inline(never)
    private mutating func number() throws(Stop) -> NodeID {
        let start = current.start
        let isNegative = current.kind == .minus
        if isNegative {
            guard isSignedNumber(tokens[position + 1].kind) else { throw unexpected("an expression") }
            position += 1
        }
        let token = current
        position += 1
        let value: Value
        do throws(Problem) {
            value = try NumberLiteral.value(source, token, isNegative: isNegative)
        } catch {
            return try standIn(for: error)
        }
        return try add(.literal(value), at: start)
    }

    @inline(never)
    private mutating func string() throws(Stop) -> NodeID {
        let token = current
        position += 1
        let value: Value
        do throws(Problem) {
            value = try StringLiteral.value(source, in: token.start..<token.end)
        } catch {
            return try standIn(for: error)
        }
        return try add(.literal(value), at: token.start)
    }

    /// Notes what is wrong with an operand and goes on as if it were right.
    mutating func standIn(for problem: Problem) throws(Stop) -> NodeID {
        try note(problem)
        return try add(.literal(.null), at: problem.offset)
    }

    // MARK: Names

    /// `name`, `.name`, `name(arguments)`, `.name(arguments)`.
    @inline(never)
    private mutating func name(isRooted: Bool) throws(Stop) -> NodeID {
        let start = current.start
        if isRooted { position += 1 }
        guard current.kind == .identifier else { throw unexpected("a name behind the dot") }
        let token = current
        let name = text(token)
        if Self.reservedWords.contains(name) {
            try note(Problem(at: token.start, "`\(name)` is a reserved word and cannot be a name"))
        }
        position += 1
        guard current.kind == .leftParenthesis else {
            return try add(.identifier(name, isRooted: isRooted), at: start)
        }
        if !isRooted, name == "has", current.argumentCount == 1 { return try presence() }
        let arguments = try arguments()
        // As in cel-go, a function of the root scope keeps its dot.
        return try add(.call(isRooted ? ".\(name)" : name, receiver: nil, arguments: arguments), at: token.start)
    }

    /// Words that cannot be names, since languages around CEL have them; they can be fields.
    static let reservedWords: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ]

    /// `.field`, `.?field`, `.function(arguments)`.
    @inline(never)
    private mutating func selection(of operand: NodeID) throws(Stop) -> NodeID {
        position += 1
        let isOptional = take(.question)
        let token = current
        guard token.kind == .identifier || token.kind == .quoted else {
            let isWord = [.in, .true, .false, .null].contains(token.kind)
            let advice = "a map's key of that name is read with `[\"\(text(token))\"]`"
            throw unexpected("a field's name", isWord ? advice : "")
        }
        position += 1
        if !isOptional, token.kind == .identifier, current.kind == .leftParenthesis {
            return try call(on: operand, token)
        }
        let name = text(token)
        return try add(
            .select(
                operand: operand,
                field: token.kind == .quoted ? String(name.dropFirst().dropLast()) : name,
                form: isOptional ? .optional : .plain
            ),
            at: token.start
        )
    }

    /// `[index]`, `[?index]`.
    @inline(never)
    private mutating func indexing(of operand: NodeID) throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        let isOptional = take(.question)
        let index = try expression()
        try close(bracket)
        return try add(.index(operand: operand, index: index, isOptional: isOptional), at: tokens[bracket].start)
    }

    // MARK: Brackets

    private mutating func parenthesis() throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        let node = try expression()
        try close(bracket)
        return node
    }

    /// A call's arguments, with their parentheses.
    mutating func arguments() throws(Stop) -> [NodeID] {
        let bracket = position
        position += 1
        if take(.rightParenthesis) { return [] }
        var arguments: [NodeID] = []
        repeat {
            if current.kind == .rightParenthesis {
                throw unexpected("an argument", "a call has no comma behind its last one")
            }
            arguments.append(try expression())
        } while take(.comma)
        try close(bracket)
        return arguments
    }

    @inline(never)
    private mutating func list() throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        var elements: [NodeID] = []
        var optional: [Bool] = []
        while current.kind != .rightBracket && current.kind != .comma {
            optional.append(take(.question))
            elements.append(try expression())
            guard take(.comma) else { break }
            if current.kind == .comma { throw unexpected("an element or `]`") }
        }
        if elements.isEmpty { _ = take(.comma) }
        try close(bracket)
        return try add(.list(elements, optional: optional), at: tokens[bracket].start)
    }

    @inline(never)
    private mutating func map() throws(Stop) -> NodeID {
        let bracket = position
        position += 1
        var entries: [Node.Entry] = []
        while current.kind != .rightBrace && current.kind != .comma {
            let isOptional = take(.question)
            let key = try expression()
            guard take(.colon) else { throw unexpected("`:` and a value behind the key") }
            entries.append(Node.Entry(key: key, value: try expression(), isOptional: isOptional))
            guard take(.comma) else { break }
            if current.kind == .comma { throw unexpected("an entry or `}`") }
        }
        if entries.isEmpty { _ = take(.comma) }
        try close(bracket)
        return try add(.map(entries), at: tokens[bracket].start)
    }

    /// The name that all tokens from a place up to here make: `a.b.C` or `.a.b.C`.
    private func messageName(from start: Int) -> String? {
        var name = ""
        var expectsName = true
        for token in tokens[start..<position] {
            switch token.kind {
            case .dot where name.isEmpty || !expectsName:
                name += "."
                expectsName = true
            case .identifier where expectsName:
                name += text(token)
                expectsName = false
            default: return nil
            }
        }
        return expectsName ? nil : name
    }

    /// `{field: value}` behind a name, whose nodes make room for the message's.
    @inline(never)
    private mutating func message(_ name: String, at start: Int, replacing node: NodeID) throws(Stop) -> NodeID {
        // A name's nodes are the last ones: the identifier and a selection for each dot.
        ast.nodes.removeLast(ast.nodes[node].depth)
        let bracket = position
        position += 1
        var fields: [Node.Field] = []
        while current.kind != .rightBrace && current.kind != .comma {
            let isOptional = take(.question)
            let token = current
            guard take(.identifier) || take(.quoted) else { throw unexpected("a field's name") }
            guard take(.colon) else { throw unexpected("`:` and a value behind the field's name") }
            let text = text(token)
            fields.append(
                Node.Field(
                    name: token.kind == .quoted ? String(text.dropFirst().dropLast()) : text,
                    value: try expression(),
                    isOptional: isOptional,
                    offset: token.start
                )
            )
            guard take(.comma) else { break }
            if current.kind == .comma { throw unexpected("a field or `}`") }
        }
        if fields.isEmpty { _ = take(.comma) }
        try close(bracket)
        return try add(.message(name, fields), at: start)
    }

    /// Passes the bracket that closes another.
    mutating func close(_ bracket: Int) throws(Stop) {
        let (kind, sign, others): (Token.Kind, String, String) =
            switch tokens[bracket].kind {
            case .leftBracket: (.rightBracket, "]", "`,`")
            case .leftBrace: (.rightBrace, "}", "`,`")
            default: (.rightParenthesis, ")", "an operator")
            }
        if take(kind) { return }
        throw unclosed(bracket, sign, others)
    }

    @inline(never)
    private mutating func unclosed(_ bracket: Int, _ sign: String, _ others: String) -> Stop {
        let place = SourceText(source).position(of: tokens[bracket].start)
        let open = text(tokens[bracket])
        return unexpected("\(others) or `\(sign)`", "the `\(open)` at \(place.line):\(place.column) is open")
    }
}
