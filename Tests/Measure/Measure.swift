// What a note claims of Weir under faults is measured here, by real processes in release builds: propagation, exact
// limits, outages, revocation, crashes, cold starts. These are figures for people, not tests: `./test` makes no claim
// about time. Run one with `swift run -c release weir-measure NAME`.

import ArgumentParser

@main
struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir-measure",
        abstract: "Measure a fleet of release builds on this machine.",
        subcommands: [
            PropagationCommand.self, LimitsCommand.self, OutageCommand.self, RevocationCommand.self,
            CrashCommand.self, ColdStartCommand.self, TiersCommand.self, TelemetryCommand.self,
        ]
    )
}
