// `weir tokens`: what a text or a request costs in tokens, for people and for comparison with other counters.

import ArgumentParser

struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens",
        abstract: "Count tokens as providers do.",
        subcommands: [TokensCountCommand.self, TokensBenchCommand.self]
    )
}
