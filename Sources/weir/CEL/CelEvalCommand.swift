// `weir cel eval --jsonl`: rows of the conformance encoding in, an answer for each out, in order. A row that is wrong
// answers so and the next is read.

import ArgumentParser
import CEL
import Stack

struct CelEvalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Evaluate rows of the conformance encoding from standard input.",
        discussion: """
            One JSON object a line: expr, and as needed id, container, disable_check, check_only, type_env, bindings. \
            Each answers {"id","value"} or {"id","error"}; check_only rows answer {"id","type"}.
            """
    )

    @Flag(help: "Read rows and write answers as JSON lines; the only form there is.")
    var jsonl = false

    @Option(help: "Units that an evaluation may cost.")
    var costLimit: UInt64 = 1_000_000

    @Flag(help: "Add what each evaluation cost and what was estimated.")
    var cost = false

    /// Characters of a message about a row that is none.
    private static let maxErrorLength = 200

    func run() async throws {
        guard jsonl else { throw ValidationError("--jsonl is the only form there is") }
        while let line = readLine() {
            guard line.utf8.contains(where: { $0 != 0x20 }) else { continue }
            Console.line(String(decoding: answer(to: line).bytes, as: UTF8.self))
        }
    }

    private func answer(to line: String) -> JSONValue {
        var members: [String: JSONValue] = ["id": nil]
        do {
            let row = try JSONValue(parsing: Array(line.utf8))
            members["id"] = row["id"] ?? nil
            try evaluate(ConformanceRow(row), into: &members)
        } catch let problems as Problems {
            members["error"] = .string(problems.problems.map(\.message).joined(separator: "; "))
        } catch let error as EvaluationError {
            members["error"] = .string("\(error.reason.message)")
        } catch {
            // It may quote the whole line.
            members["error"] = .string(String("\(error)".prefix(Self.maxErrorLength)))
        }
        return .object(members)
    }

    private func evaluate(_ row: ConformanceRow, into members: inout [String: JSONValue]) throws {
        if row.isCheckOnly {
            members["type"] = .string(
                "\(try CompiledExpression.type(of: row.source, in: row.environment, options: row.options))"
            )
            return
        }
        let expression = try CompiledExpression(row.source, in: row.environment, options: row.options)
        var meter = Meter(limit: costLimit)
        defer {
            if cost {
                members["cost"] = .integer(Int64(clamping: meter.cost))
                members["estimate"] = [
                    .integer(Int64(clamping: expression.cost.min)),
                    expression.cost.max == .max
                        ? "unbounded" : .integer(Int64(clamping: expression.cost.max)),
                ]
            }
        }
        // The way a rule takes: through its bytes.
        let bytes = expression.program.encoded(for: row.environment)
        let program = try Program.decode(bytes, for: row.environment)
        let value = try program.evaluate(Bindings(row.values), &meter)
        var budget = TypedValue.maxNodes
        members["value"] = try TypedValue.json(of: value, &budget)
    }
}
