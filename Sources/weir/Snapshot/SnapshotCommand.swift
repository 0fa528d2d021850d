// `weir snapshot inspect`: what a snapshot's manifest says, for people who wonder what a node was given.

import ArgumentParser

struct SnapshotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Look into snapshots.",
        subcommands: [InspectCommand.self]
    )
}
