// Asks an expression: the kind for every rule that no other kind can say. It is compiled and checked when it is stored,
// so that what reaches a node can only still fail on the values of a request, and then does what `on_error` says.
//
// Program: bool refuses when true │ string message, empty for none │ bytes program, see Sources/CEL/Program/ProgramCodec.swift.

import CEL
import Codec

/// The kind of `{"deny_if": "request.has_tools && app.tier == 'free'", "message": "tools need a paid plan"}`.
struct CelKind: PolicyKind {
    let name = "cel"
    var schema: [UInt8] { PackageResources.cel_schema_json }

    /// Bytes of an expression.
    static let maxSourceBytes = 65_536
    /// Bytes of a compiled expression: what a snapshot carries of it, and a node keeps.
    static let maxProgramBytes = 262_144
    /// Characters of what the client is told.
    static let maxMessageCharacters = 256

    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8] {
        let rule = try Self.read(config)
        var writer = makeProgram(of: name)
        writer.write(bool: rule.refusesWhenTrue)
        writer.write(string: rule.message)
        writer.write(bytes: rule.program)
        return writer.bytes
    }

    func facts(_ config: ConfigValue) throws(ConfigProblems) -> ConfigValue {
        let rule = try Self.read(config)
        let cost = rule.expression.cost
        return [
            "type": .string(rule.expression.type.description),
            "estimated_cost": [
                "min": .integer(Int64(clamping: cost.min)),
                "max": cost.max == .max ? .null : .integer(Int64(clamping: cost.max)),
                "limit": .integer(Int64(EvaluationBudget.perRule)),
            ],
            "program_bytes": .integer(Int64(rule.program.count)),
        ]
    }

    private struct Source {
        let refusesWhenTrue: Bool
        let message: String
        let expression: CompiledExpression
        let program: [UInt8]
    }

    private static func read(_ config: ConfigValue) throws(ConfigProblems) -> Source {
        var reader = ConfigReader(config, fields: ["deny_if", "allow_if", "message"])
        if reader.problems.isEmpty, reader.has("deny_if") == reader.has("allow_if") {
            reader.report("", "must have deny_if or allow_if, and not both")
        }
        let message = reader.string("message")
        if let message, !isMessage(message) {
            reader.report("/message", "must be 1 to \(maxMessageCharacters) characters, none a control character")
        }
        let field = reader.has("allow_if") ? "allow_if" : "deny_if"
        let expression = reader.string(field).flatMap { compile($0, field, &reader) }
        try reader.finish()
        guard let expression else { throw ConfigProblems([ConfigProblem(path: "/\(field)", reason: "required")]) }
        let program = expression.program.encoded(for: RequestEnvironment.standard)
        guard program.count <= maxProgramBytes else {
            throw ConfigProblems([
                ConfigProblem(path: "/\(field)", reason: "compiles to more than \(maxProgramBytes) bytes")
            ])
        }
        return Source(
            refusesWhenTrue: field == "deny_if",
            message: message ?? "",
            expression: expression,
            program: program
        )
    }

    private static func compile(_ text: String, _ field: String, _ reader: inout ConfigReader) -> CompiledExpression? {
        let source = Array(text.utf8)
        let path = ConfigReader.pointer(field)
        do throws(Problems) {
            var options = CompiledExpression.Options()
            options.refusesBadPatterns = true
            let expression = try CompiledExpression(source, in: RequestEnvironment.standard, options: options)
            guard expression.type == .bool else {
                reader.report(path, "must give a bool, and gives \(expression.type)")
                return nil
            }
            guard expression.cost.min <= EvaluationBudget.perRule else {
                reader.report(
                    path,
                    "is estimated to cost at least \(expression.cost.min) units; a rule may cost \(EvaluationBudget.perRule)"
                )
                return nil
            }
            return expression
        } catch {
            let text = SourceText(source)
            for problem in error.problems {
                let position = text.position(of: problem.offset)
                reader.report(
                    path,
                    problem.message,
                    at: ConfigProblem.Place(
                        line: position.line,
                        column: position.column,
                        excerpt: text.render(problem)
                    )
                )
            }
            return nil
        }
    }

    private static func isMessage(_ text: String) -> Bool {
        let scalars = text.unicodeScalars
        return (1...maxMessageCharacters).contains(scalars.count)
            && scalars.allSatisfy { $0.value > 0x1F && !(0x7F...0x9F).contains($0.value) }
    }

    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram {
        try readProgram(program, of: name) { reader throws(ProgramError) in
            let refusesWhenTrue = try reader.bool()
            let message = try reader.string(max: 4 * Self.maxMessageCharacters)
            guard message.isEmpty || Self.isMessage(message) else { throw reader.failure(.outOfBounds) }
            let bytes = try reader.bytes(max: Self.maxProgramBytes)
            do throws(ProgramDecodeError) {
                return CelRule(
                    try Program.decode(bytes, for: RequestEnvironment.standard),
                    refusesWhenTrue: refusesWhenTrue,
                    message: message
                )
            } catch {
                throw reader.failure(error == .otherEnvironment ? .otherEnvironment : .malformed)
            }
        }
    }
}

/// Costs what its expression costs, at most `EvaluationBudget.perRule` units; scalars allocate nothing.
private final class CelRule: RuleProgram, @unchecked Sendable {
    private let program: Program
    private let refusesWhenTrue: Bool
    private let message: [UInt8]?

    init(_ program: Program, refusesWhenTrue: Bool, message: String) {
        self.program = program
        self.refusesWhenTrue = refusesWhenTrue
        self.message = message.isEmpty ? nil : Array(message.utf8)
    }

    override var clientMessage: [UInt8]? { message }

    override func decide(_ request: borrowing PolicyRequest, _ budget: inout EvaluationBudget) -> Verdict {
        var meter = budget.meter()
        defer { budget.spend(meter) }
        do throws(EvaluationError) {
            guard case .bool(let answer) = try program.evaluate(request, &meter) else {
                throw EvaluationError(.noSuchOverload)
            }
            return answer == refusesWhenTrue ? .refuse(Refusal(.denied)) : .allow
        } catch {
            return .refuse(Refusal(.evaluationFailed, failure: error))
        }
    }
}
