// The whole way from text to program, for whoever has a rule to compile.

/// A compiled expression and what is known of it.
public struct CompiledExpression: Sendable {
    /// What runs.
    public let program: Program
    /// The type of its value.
    public let type: CELType
    /// What an evaluation costs at least and at most, in units; the most is `UInt64.max` when nothing bounds it.
    public let cost: CostEstimate

    /// How to compile.
    public struct Options: Sendable {
        /// Whether types are checked; without it names are resolved and everything else is left to the evaluation.
        public var checksTypes = true
        /// Whether a literal pattern that RE2 does not take is a problem, rather than an error of every evaluation.
        public var refusesBadPatterns = false
        /// Whether `cel.block`, which only optimisers and tests write, is known.
        public var allowsBlocks = false

        /// The options for rules.
        public init() {}
    }

    /// Parses, checks and compiles.
    ///
    /// - Parameters:
    ///   - source: UTF-8, at most 64 KiB.
    ///   - environment: the names that it may use.
    ///   - options: how to compile.
    /// - Throws: what is wrong with it, with the places.
    public init(
        _ source: [UInt8],
        in environment: Environment,
        options: Options = Options()
    ) throws(Problems) {
        let checked = try Self.check(source, in: environment, options: options)
        if options.refusesBadPatterns { try Self.requireGoodPatterns(checked) }
        program = try Compiler.compile(checked)
        type = checked.type
        cost = CostEstimator.estimate(checked)
    }

    /// Parses and checks: the type of an expression that need not run.
    public static func type(
        of source: [UInt8],
        in environment: Environment,
        options: Options = Options()
    ) throws(Problems) -> CELType {
        try check(source, in: environment, options: options).type
    }

    private static func requireGoodPatterns(_ checked: Checked) throws(Problems) {
        var problems: [Problem] = []
        for node in checked.ast.nodes {
            guard case .call("matches", _, let arguments) = node.kind, let last = arguments.last,
                case .literal(.string(let pattern)) = checked.ast[last].kind
            else { continue }
            guard !Regex.isGood(pattern) else { continue }
            let reason = EvaluationError.Reason.badPattern
            problems.append(Problem(at: checked.ast[last].offset, "\(reason.message)"))
        }
        guard problems.isEmpty else { throw Problems(problems) }
    }

    private static func check(
        _ source: [UInt8],
        in environment: Environment,
        options: Options
    ) throws(Problems) -> Checked {
        let ast = try Parser.parse(source, options: ParserOptions(allowsBlocks: options.allowsBlocks))
        return try options.checksTypes
            ? Checker.check(ast, in: environment) : Checker.resolve(ast, in: environment)
    }
}
