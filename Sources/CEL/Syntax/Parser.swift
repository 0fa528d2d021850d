// Makes a tree of a source. Recursive, with its depth checked as it goes down: an expression that is too deep is a
// problem like any other, whatever the thread's stack holds.
//
// Source of the grammar: google/cel-spec @508bd98 doc/langdef.md "Syntax", google/cel-go @14f6746 parser/gen/CEL.g4.

/// What a parser takes beyond the language.
struct ParserOptions: Sendable {
    /// Whether `cel.block`, `cel.index` and `cel.iterVar` are known.
    ///
    /// The conformance suite writes with them what an optimiser leaves behind; no person does.
    var allowsBlocks = false
}

/// Parses expressions.
struct Parser {
    /// Bytes that a source can have.
    static let maxSourceBytes = 64 << 10
    /// Levels that expressions can be nested, and that a tree can be deep.
    static let maxDepth = 250
    /// Nodes that a tree can have.
    static let maxNodes = 20_000
    /// Problems that are reported of one source.
    static let maxProblems = 10

    /// Leaves the parser once a problem is noted that it cannot go on from.
    struct Stop: Error {}

    let source: [UInt8]
    let options: ParserOptions
    let tokens: [Token]
    /// The current token.
    var position = 0
    var ast = AST()
    private var problems: [Problem] = []
    /// Expressions that the current one is inside of, itself included.
    private var nesting = 0
    /// Operators whose right side is being parsed.
    private var openOperators = 0

    private init(_ source: [UInt8], _ options: ParserOptions, _ tokens: [Token]) {
        self.source = source
        self.options = options
        self.tokens = tokens
    }

    /// Parses an expression; names and types are the check's business.
    ///
    /// - Parameters:
    ///   - source: UTF-8.
    ///   - options: what is taken beyond the language.
    /// - Returns: the tree.
    /// - Throws: what is wrong with the source. A syntax error ends parsing; several problems are reported when they
    ///   are of the other kinds.
    static func parse(_ source: [UInt8], options: ParserOptions = ParserOptions()) throws(Problems) -> AST {
        guard source.count <= maxSourceBytes else {
            throw Problems([Problem(at: maxSourceBytes, "the expression is longer than \(maxSourceBytes) bytes")])
        }
        if let offset = firstInvalidByte(source) {
            throw Problems([Problem(at: offset, "the expression is not valid UTF-8")])
        }
        let (tokens, lexical) = Lexer.tokens(of: source)
        var parser = Parser(source, options, tokens)
        if let lexical { parser.problems.append(lexical) }
        do throws(Stop) {
            parser.ast.root = try parser.expression()
            if parser.current.kind != .end { throw parser.unexpected("an operator or the end") }
        } catch {
            // The problem is noted.
        }
        guard parser.problems.isEmpty else { throw Problems(parser.problems) }
        return parser.ast
    }

    private static func firstInvalidByte(_ source: [UInt8]) -> Int? {
        do {
            _ = try UTF8Span(validating: source.span)
            return nil
        } catch {
            return error.byteOffsets.lowerBound
        }
    }

    // MARK: Operators

    /// Anything that may stand between brackets or commas.
    mutating func expression() throws(Stop) -> NodeID {
        nesting += 1
        guard nesting <= Self.maxDepth else { throw tooDeep(at: current.start) }
        var node = try operation(1)
        if current.kind == .question { node = try conditional(node) }
        nesting -= 1
        return node
    }

    /// The rest of `condition ? then : otherwise`; `then` is no conditional without parentheses, `otherwise` may be.
    private mutating func conditional(_ condition: NodeID) throws(Stop) -> NodeID {
        let sign = current.start
        position += 1
        let then = try operation(1)
        guard current.kind == .colon else {
            throw current.kind == .question
                ? unexpected("`:`", "a conditional inside another one is in parentheses")
                : unexpected("`:` and what the conditional is otherwise")
        }
        position += 1
        let otherwise = try expression()
        return try add(.conditional(condition, then: then, otherwise: otherwise), at: sign)
    }

    /// Operators that bind at least as tightly as a precedence, all of which group to the left.
    private mutating func operation(_ lowest: Int) throws(Stop) -> NodeID {
        var left = try unary()
        while let precedence = current.kind.precedence, precedence >= lowest {
            if let function = current.kind.function {
                let sign = current.start
                let right = try operand(tighterThan: precedence)
                left = try add(.call(function, receiver: nil, arguments: [left, right]), at: sign)
            } else {
                left = try chain(from: left, precedence)
            }
        }
        return left
    }

    /// All of `a && b && …` as one node, so that a chain may be as long as it likes.
    private mutating func chain(from first: NodeID, _ precedence: Int) throws(Stop) -> NodeID {
        let kind = current.kind
        let sign = current.start
        var operands = [first]
        while current.kind == kind { operands.append(try operand(tighterThan: precedence)) }
        return try add(kind == .and ? .and(operands) : .or(operands), at: sign)
    }

    /// An operator's sign and its right side.
    private mutating func operand(tighterThan precedence: Int) throws(Stop) -> NodeID {
        let sign = current.start
        position += 1
        openOperators += 1
        // Each of them is a node above what comes now, so the tree would be found too deep anyway.
        guard openOperators < Self.maxDepth else { throw tooDeep(at: sign) }
        let node = try operation(precedence + 1)
        openOperators -= 1
        return node
    }

    /// `!!a`, `--a`, `a`.
    private mutating func unary() throws(Stop) -> NodeID {
        guard current.kind == .not || current.kind == .minus else { return try member() }
        let kind = current.kind
        let first = position
        while current.kind == kind { position += 1 }
        // The last minus belongs to the number.
        if kind == .minus, isSignedNumber(current.kind) { position -= 1 }
        let count = position - first
        let operand = try member()
        return try fold(count, of: kind, from: first, over: operand)
    }

    /// Applies `!` or `-` a number of times.
    ///
    /// Pairs cancel out as far as the result and the check stay the same: over a literal completely, over anything else
    /// down to one or two, which still say what type they expect.
    private mutating func fold(
        _ count: Int,
        of kind: Token.Kind,
        from first: Int,
        over operand: NodeID
    ) throws(Stop) -> NodeID {
        var repeats = count == 0 ? 0 : 2 - count % 2
        // With its sign a number is two tokens, `true` is one; more would be `-1.f()` or `(1)`.
        let isAlone = position - first - count == (kind == .minus ? 2 : 1)
        switch ast.nodes[operand].kind {
        case .literal(.bool) where kind == .not && isAlone:
            repeats = count % 2
        case .literal(.int(let int)) where kind == .minus && isAlone && int != .min:
            if count % 2 == 1 { ast.nodes[operand].kind = .literal(.int(-int)) }
            repeats = 0
        case .literal(.double(let double)) where kind == .minus && isAlone:
            if count % 2 == 1 { ast.nodes[operand].kind = .literal(.double(-double)) }
            repeats = 0
        default:
            break
        }
        var node = operand
        for index in (0..<repeats).reversed() {
            let function = kind == .not ? "!_" : "-_"
            node = try add(.call(function, receiver: nil, arguments: [node]), at: tokens[first + index].start)
        }
        return node
    }

    func isSignedNumber(_ kind: Token.Kind) -> Bool { kind == .int || kind == .double }

    // MARK: Tokens

    var current: Token { tokens[position] }

    /// Passes the current token if it is of a kind.
    mutating func take(_ kind: Token.Kind) -> Bool {
        guard current.kind == kind else { return false }
        position += 1
        return true
    }

    func text(_ token: Token) -> String { String(decoding: source[token.start..<token.end], as: UTF8.self) }

    // MARK: Nodes

    /// Adds a node above its children.
    ///
    /// - Throws: when the tree is too deep or too large.
    @inline(never)
    mutating func add(_ kind: Node.Kind, at offset: Int) throws(Stop) -> NodeID {
        var below = 0
        kind.forEachChild { below = max(below, ast.nodes[$0].depth) }
        guard below < Self.maxDepth else { throw tooDeep(at: offset) }
        guard ast.nodes.count < Self.maxNodes else {
            throw stop(at: offset, "the expression has more than \(Self.maxNodes) parts")
        }
        ast.nodes.append(Node(kind: kind, offset: offset, depth: below + 1))
        return ast.nodes.count - 1
    }

    // MARK: Problems

    /// Notes a problem that parsing can go on from.
    ///
    /// - Throws: when there are enough.
    mutating func note(_ problem: Problem) throws(Stop) {
        problems.append(problem)
        if problems.count >= Self.maxProblems { throw Stop() }
    }

    mutating func stop(at offset: Int, _ message: String) -> Stop {
        problems.append(Problem(at: offset, message))
        return Stop()
    }

    /// Notes that the current token is not what the grammar has here.
    @inline(never)
    mutating func unexpected(_ expected: String, _ advice: String = "") -> Stop {
        let token = current
        // The lexer has noted why it stopped here.
        guard token.kind != .illegal else { return Stop() }
        let found = token.kind == .end ? "but the expression ends" : "found \(describe(token))"
        let advice = advice.isEmpty ? self.advice(on: token) : advice
        return stop(at: token.start, "expected \(expected), \(found)\(advice.isEmpty ? "" : "; \(advice)")")
    }

    private mutating func tooDeep(at offset: Int) -> Stop {
        stop(at: offset, "the expression is nested more than \(Self.maxDepth) levels deep")
    }

    /// What a token is called in a message.
    private func describe(_ token: Token) -> String {
        switch token.kind {
        case .string: return "a string"
        case .bytes: return "bytes"
        default:
            let shown = text(token).unicodeScalars.prefix(41)
            return "`\(String(String.UnicodeScalarView(shown.prefix(40))))\(shown.count > 40 ? "…" : "")`"
        }
    }

    /// What people of other languages may have meant.
    private func advice(on token: Token) -> String {
        switch token.kind {
        case .identifier:
            switch text(token) {
            case "and", "AND": return "the logical and is `&&`"
            case "or", "OR": return "the logical or is `||`"
            case "not", "NOT": return "the logical not is `!`"
            default: break
            }
            let isGlued = position > 0 && tokens[position - 1].end == token.start
            return isGlued && [.int, .uint, .double].contains(tokens[position - 1].kind)
                ? "this is no number: `\(text(tokens[position - 1]))\(text(token).prefix(20))`" : ""
        case .minus where position > 0 && tokens[position - 1].kind == .not:
            return "`!` and `-` do not mix without parentheses"
        case .not where position > 0 && tokens[position - 1].kind == .minus:
            return "`-` and `!` do not mix without parentheses"
        case .quoted:
            return "a name in backquotes stands behind a dot only"
        default:
            return ""
        }
    }
}

extension Node.Kind {
    /// Calls a closure for each node directly below.
    func forEachChild(_ body: (NodeID) -> Void) {
        switch self {
        case .literal, .identifier: break
        case .select(let operand, _, _): body(operand)
        case .index(let operand, let index, _):
            body(operand)
            body(index)
        case .call(_, let receiver, let arguments):
            if let receiver { body(receiver) }
            arguments.forEach(body)
        case .list(let elements, _): elements.forEach(body)
        case .map(let entries):
            for entry in entries {
                body(entry.key)
                body(entry.value)
            }
        case .message(_, let fields): for field in fields { body(field.value) }
        case .and(let operands), .or(let operands): operands.forEach(body)
        case .conditional(let condition, let then, let otherwise):
            body(condition)
            body(then)
            body(otherwise)
        case .comprehension(let comprehension):
            body(comprehension.range)
            if let filter = comprehension.filter { body(filter) }
            body(comprehension.body)
        case .bind(_, let initialiser, let inner):
            body(initialiser)
            body(inner)
        case .block(let slots, let inner):
            slots.forEach(body)
            body(inner)
        }
    }
}
