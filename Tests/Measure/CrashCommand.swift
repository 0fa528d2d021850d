// What a node that is killed had open comes back: slow streams fill a concurrency limit through one node, the node is
// killed, and another is asked until it admits again.

import ArgumentParser
import Foundation
import Glibc
import Stack

struct CrashCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crash",
        abstract: "Kill a node with reservations open: when their capacity returns."
    )

    @Option(help: "Streams that are open when the node is killed.") var open = 500
    @Option(help: "Rounds.") var rounds = 3

    func run() async throws {
        for round in 1...rounds {
            try await Rig.run(nodes: 2, eventDelayMilliseconds: 20_000) { rig in try await measure(rig, round) }
        }
    }

    private func measure(_ rig: Rig, _ round: Int) async throws {
        let tokens: Int64 = 1_000_000
        let app = try await rig.makeApp([
            ("rate_limit", ["max_concurrent": .integer(Int64(open))]),
            ("token_limit", ["limit": .integer(tokens), "window": "1h"]),
        ])
        let request = Rig.chat(key: app.key, isStream: true, maxTokens: 1_000)
        _ = Load([request], ports: [rig.ports[0]], perSecond: nil, connections: open)
        let isFull = try await poll(rig, app, seconds: 20) { $0 == 429 }
        guard isFull != nil else { throw MeasureError("the limit never filled") }
        let reserved = try await counters(rig, app)
        guard let node = await rig.fleet.gateways.first, let process = await node.process else { return }
        process.send(SIGKILL)
        let killed = Clock.nanoseconds
        let back = try await poll(rig, app, seconds: 30) { $0 == 200 }
        guard let back else { throw MeasureError("the capacity did not return in 30 s") }
        try await Task.sleep(for: .seconds(1))
        print(
            "crash, round \(round): \(open) open; capacity returned \(rounded(Double(back - killed) / 1e6)) ms after the kill; "
                + "counters before \(reserved), after \(try await counters(rig, app))"
        )
    }

    /// When the other node first answered like that; asks every 50 ms with a request that ends at once.
    private func poll(
        _ rig: Rig,
        _ app: RigApp,
        seconds: Int64,
        until isWanted: @escaping @Sendable (Int) -> Bool
    ) async throws -> Int64? {
        let request = Rig.chat(key: app.key)
        let port = rig.ports[1]
        return try await Threads.run {
            let wire = Wire(port: port)
            let start = Clock.nanoseconds
            while Clock.nanoseconds - start < seconds * 1_000_000_000 {
                if isWanted(wire.exchange(request).status) { return Clock.nanoseconds }
                Clock.sleep(untilNanoseconds: Clock.nanoseconds + 50_000_000)
            }
            return nil
        }
    }

    /// The app's integer counters in Redis by name.
    private func counters(_ rig: Rig, _ app: RigApp) async throws -> [String: String] {
        guard let port = await rig.fleet.redis?.port else { return [:] }
        let script = """
            for key in $(redis-cli -p \(port) --scan --pattern 'weir:{\(app.id)}:*'); do
              case $(redis-cli -p \(port) type "$key") in string) echo "$key $(redis-cli -p \(port) get "$key")";;
              hash) echo "$key hash:$(redis-cli -p \(port) hlen "$key")";; esac
            done
            """
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script]
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var counters: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1)
            if parts.count == 2 { counters[String(parts[0].dropFirst(app.id.utf8.count + 8))] = String(parts[1]) }
        }
        return counters
    }
}
