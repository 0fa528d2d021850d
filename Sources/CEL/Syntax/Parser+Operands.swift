// What operators stand between: literals, names, calls, selections, lists, maps and messages.
//
// Functions that lead back to `expression()` have small frames: what makes text or looks at names is beside them, not
// in them. 250 levels of the worst kind, a macro in a macro, then take 220 KiB of stack in release (measured).

extension Parser {
    /// A primary and everything behind it that binds to it: `.field`, `.call()`, `[index]`, `{fields}`.
    mutating func member() throws(Stop) -> NodeID {
        let start = position
        var node = try primary()
        while true {
            switch current.kind {
            case .dot: node = isCall ? try call(on: node) : try selection(of: node)
            case .leftBracket: node = try indexing(of: node)
            case .leftBrace:
                guard let name = messageName(from: start) else { return node }
                node = try message(name, at: tokens[start].start, replacing: node)
            default: return node
            }
        }
    }

    /// Whether `.name(` is next.
    private var isCall: Bool {
        tokens[position + 1].kind == .identifier && tokens[position + 2].kind == .leftParenthesis
    }

    private mutating func primary() throws(Stop) -> NodeID {
        switch current.kind {
        case .int, .uint, .double, .minus: return try number()
        case .string, .bytes: return try string()
        case .null: return try constant(.null)
        case .true: return try constant(.bool(true))
        case .false: return try constant(.bool(false))
        case .identifier, .dot: return try name()
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
    private mutating func name() throws(Stop) -> NodeID {
        let start = position
        guard try takeName() else { return try identifier(from: start) }
        if isPresence(start) { return try presence() }
        let arguments = try arguments()
        return try call(from: start, arguments)
    }

    /// Passes a name and the dot before it; whether it is called.
    @inline(never)
    private mutating func takeName() throws(Stop) -> Bool {
        _ = take(.dot)
        guard current.kind == .identifier else { throw unexpected("a name behind the dot") }
        try checkName(current)
        position += 1
        return current.kind == .leftParenthesis
    }

    @inline(never)
    private mutating func identifier(from start: Int) throws(Stop) -> NodeID {
        let name = text(tokens[position - 1])
        return try add(.identifier(name, isRooted: tokens[start].kind == .dot), at: tokens[start].start)
    }

    /// A call without a receiver; as in cel-go, a function of the root scope keeps its dot.
    @inline(never)
    private mutating func call(from start: Int, _ arguments: [NodeID]) throws(Stop) -> NodeID {
        let isRooted = tokens[start].kind == .dot
        let token = tokens[isRooted ? start + 1 : start]
        let name = (isRooted ? "." : "") + text(token)
        return try add(.call(name, receiver: nil, arguments: arguments), at: token.start)
    }

    /// Notes that a name is none.
    @inline(never)
    mutating func checkName(_ token: Token) throws(Stop) {
        let name = text(token)
        guard Self.reservedWords.contains(name) else { return }
        try note(Problem(at: token.start, "`\(name)` is a reserved word and cannot be a name"))
    }

    /// Words that cannot be names, since languages around CEL have them; they can be fields.
    private static let reservedWords: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ]

    /// `.field`, `.?field`.
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
            if current.kind == .rightParenthesis { throw trailingComma() }
            arguments.append(try expression())
        } while take(.comma)
        try close(bracket)
        return arguments
    }

    @inline(never)
    private mutating func trailingComma() -> Stop {
        unexpected("an argument", "a call has no comma behind its last one")
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
    @inline(never)
    mutating func close(_ bracket: Int) throws(Stop) {
        let (kind, allowed): (Token.Kind, String) =
            switch tokens[bracket].kind {
            case .leftBracket: (.rightBracket, "an operator, `,` or `]`")
            case .leftBrace: (.rightBrace, "an operator, `,` or `}`")
            default: (.rightParenthesis, "an operator or `)`")
            }
        if take(kind) { return }
        let place = SourceText(source).position(of: tokens[bracket].start)
        let open = text(tokens[bracket])
        throw unexpected(allowed, "the `\(open)` at \(place.line):\(place.column) is open")
    }
}
