// The command line: one name, a subcommand for each thing a person does with Weir.

import ArgumentParser

@main
struct Weir: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir",
        abstract: "Policy between applications and LLM providers.",
        subcommands: [
            CelCommand.self, DevCommand.self, DemoUpstreamCommand.self, SnapshotCommand.self, TokensCommand.self,
            TopCommand.self,
        ]
    )
}
