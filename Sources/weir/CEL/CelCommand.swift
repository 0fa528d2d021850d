// `weir cel`: the expression engine on the command line, for whoever writes rules or doubts the engine.

import ArgumentParser

struct CelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cel",
        abstract: "Check, evaluate and time CEL expressions.",
        subcommands: [CelCheckCommand.self, CelEvalCommand.self, CelBenchCommand.self]
    )
}
