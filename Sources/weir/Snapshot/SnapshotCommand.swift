// `weir snapshot inspect`: what a node was given, for people who wonder; `weir snapshot bench`: what many apps cost.

import ArgumentParser

struct SnapshotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Look into snapshots.",
        subcommands: [InspectCommand.self, SnapshotBenchCommand.self]
    )
}
