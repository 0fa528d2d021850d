// `weir cel check`: what the control plane would say of a rule, without one.

import ArgumentParser
import CEL
import Policy
import Stack

struct CelCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a rule's expression as the control plane would.",
        discussion: "Prints type, cost and program size, or what is wrong and where. What it may name: docs/cel.md."
    )

    @Argument(help: "The expression.")
    var expression: String

    func run() async throws {
        let source = Array(expression.utf8)
        var options = CompiledExpression.Options()
        options.refusesBadPatterns = true
        do throws(Problems) {
            let expression = try CompiledExpression(source, in: RequestEnvironment.standard, options: options)
            let cost = expression.cost
            let most = cost.max == .max ? "unbounded" : "\(cost.max)"
            let bytes = expression.program.encoded(for: RequestEnvironment.standard).count
            Console.line("type     \(expression.type)")
            Console.line("cost     \(cost.min) to \(most) (a rule may cost \(EvaluationBudget.perRule))")
            Console.line("program  \(bytes) bytes, \(expression.program.instructionCount) instructions")
        } catch {
            Console.line(SourceText(source).render(error))
            throw ExitCode(1)
        }
    }
}
