// Finds what each name means and which type each part of an expression has, before a rule is ever run: a mistake is
// refused when the rule is written, with its place, and the compiler needs to ask nothing again.

/// Checks one expression.
///
/// Goes down the tree once. Recursion is bounded by the tree's depth, which the parser bounds.
struct Checker {
    /// More problems than these are not reported.
    static let maxProblems = 10

    /// A variable that a macro declares.
    struct Local {
        let name: String
        let node: NodeID
        let index: Int
        let type: CELType
    }

    let names: Names
    /// False for `resolve`: everything is `dyn`, and nothing is a problem.
    let isTyped: Bool
    var ast: AST
    var types: [CELType]
    var resolutions: [Resolution]
    var locals: [Local] = []
    var substitution = Substitution()
    var problems: [Problem] = []

    /// Resolves the names of an expression and infers its types.
    ///
    /// - Throws: up to `maxProblems` problems; what follows from one is not another.
    static func check(_ ast: AST, in environment: Environment) throws(Problems) -> Checked {
        try run(ast, environment, isTyped: true)
    }

    /// Resolves the names of an expression and no more: all types are `dyn`, and what is unknown fails when evaluated.
    ///
    /// - Throws: nothing; so declared to be called like `check`.
    static func resolve(_ ast: AST, in environment: Environment) throws(Problems) -> Checked {
        try run(ast, environment, isTyped: false)
    }

    private static func run(_ ast: AST, _ environment: Environment, isTyped: Bool) throws(Problems) -> Checked {
        var checker = Checker(
            names: Names(environment),
            isTyped: isTyped,
            ast: ast,
            types: Array(repeating: .dyn, count: ast.nodes.count),
            resolutions: Array(repeating: .none, count: ast.nodes.count)
        )
        _ = checker.infer(ast.root)
        return try checker.finish(environment)
    }

    private consuming func finish(_ environment: Environment) throws(Problems) -> Checked {
        if isTyped {
            for node in types.indices { types[node] = substitution.resolve(types[node], isFinal: true) }
            if substitution.isExhausted {
                problems.append(Problem(at: ast[ast.root].offset, "the types of this expression are too complicated"))
            }
            guard problems.isEmpty else { throw Problems(problems) }
        }
        return Checked(ast: ast, resolutions: resolutions, types: types, environment: environment)
    }

    /// The type of a node, which is also kept in `types`; checks all below it.
    mutating func infer(_ id: NodeID) -> CELType {
        let type = inferKind(id)
        types[id] = isTyped ? type : .dyn
        return types[id]
    }

    private mutating func inferKind(_ id: NodeID) -> CELType {
        switch ast[id].kind {
        case .literal(let value): literalType(value)
        case .identifier(let name, let isRooted): identifier(id, name, isRooted: isRooted)
        case .select(let operand, let field, let form): select(id, operand, field, form)
        case .index(let operand, let index, let isOptional): self.index(id, operand, index, isOptional: isOptional)
        case .call(let name, let receiver, let arguments): call(id, name, receiver: receiver, arguments)
        case .list(let elements, let optional): list(elements, optional: optional)
        case .map(let entries): map(entries)
        case .message(let name, let fields): message(id, name, fields)
        case .and(let operands): logic("&&", operands)
        case .or(let operands): logic("||", operands)
        case .conditional(let condition, let then, let otherwise): conditional(id, condition, then, otherwise)
        case .comprehension(let comprehension): self.comprehension(id, comprehension)
        case .bind(let name, let initialiser, let body): bind(id, name, initialiser, body)
        case .block(let slots, let body): block(id, slots, body)
        }
    }
}

extension Checker {
    /// Reports a problem, and gives the type of what has one.
    mutating func problem(at offset: Int, _ message: String) -> CELType {
        if isTyped, problems.count < Self.maxProblems { problems.append(Problem(at: offset, message)) }
        return Substitution.poison
    }

    /// A suggestion for the end of a message; empty once nothing is reported any more, since it takes time.
    func hint(_ name: String, among known: @autoclosure () -> [String], prefix: String = "") -> String {
        guard isTyped, problems.count < Self.maxProblems, let nearest = Names.nearest(to: name, among: known()) else {
            return ""
        }
        return "; did you mean '\(prefix)\(nearest)'?"
    }

    /// A type as messages write it.
    mutating func text(_ type: CELType) -> String {
        let text = substitution.resolve(type, isFinal: true).description
        return text.utf8.count <= 200 ? text : "a \(text.prefix(while: { $0 != "(" })) too long to show"
    }

    /// Reports a node whose type does not fit; `what` is what the node is, at the start of a sentence.
    mutating func expect(_ id: NodeID, _ expected: CELType, _ what: String) {
        guard isTyped, !substitution.unify(types[id], expected) else { return }
        _ = problem(at: ast[id].offset, "\(what) must be \(text(expected)), not \(text(types[id]))")
    }

    private mutating func literalType(_ value: Value) -> CELType {
        switch value {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .timestamp: .timestamp
        case .duration: .duration
        default: .dyn
        }
    }

    private mutating func logic(_ sign: String, _ operands: [NodeID]) -> CELType {
        for operand in operands {
            _ = infer(operand)
            expect(operand, .bool, "an operand of '\(sign)'")
        }
        return .bool
    }

    private mutating func conditional(_ id: NodeID, _ condition: NodeID, _ then: NodeID, _ otherwise: NodeID) -> CELType
    {
        _ = infer(condition)
        expect(condition, .bool, "the condition before '?'")
        let first = infer(then)
        let second = infer(otherwise)
        guard substitution.unify(first, second) else {
            return problem(
                at: ast[id].offset,
                "the results of '?:' must have one type, not \(text(first)) and \(text(second)); "
                    + "dyn(...) around one lets them differ"
            )
        }
        return substitution.join(first, second)
    }
}
