// How soon a node serves from its disk when nothing else is up.

import ArgumentParser
import Foundation
import Glibc
import Stack

struct ColdStartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cold-start",
        abstract: "From starting a gateway's process to ready, with Redis, the control plane and PostgreSQL down."
    )

    @Option(help: "Apps in the snapshot.") var apps = 100
    @Option(help: "Starts.") var rounds = 20

    func run() async throws {
        try await Rig.run(nodes: 1) { rig in try await measure(rig) }
    }

    private func measure(_ rig: Rig) async throws {
        for number in 1..<apps { try await rig.admin.call("POST", "/v1/apps", ["name": .string("app \(number)")]) }
        _ = try await rig.makeApp([("rate_limit", ["limit": 100, "window": "1m"])])
        // The copy on disk is written behind the swap.
        try await Task.sleep(for: .seconds(2))
        guard let node = await rig.fleet.gateways.first else { throw MeasureError("no gateway") }
        await node.stop()
        await rig.fleet.control?.stop()
        await rig.fleet.redis?.stop()
        await rig.fleet.postgres?.stop()
        let probe = Rig.request("GET", "/readyz", key: "none")
        let port = rig.ports[0]
        var milliseconds: [Double] = []
        for _ in 0..<rounds {
            let start = Clock.nanoseconds
            let child = try await ChildProcess.start(node.specification)
            let ready = try await Threads.run { () -> Int64? in
                let wire = Wire(port: port)
                while Clock.nanoseconds - start < 10_000_000_000 {
                    if wire.exchange(probe).status == 200 { return Clock.nanoseconds }
                    Clock.sleep(untilNanoseconds: Clock.nanoseconds + 1_000_000)
                }
                return nil
            }
            guard let ready else { throw MeasureError("it was not ready within 10 s") }
            milliseconds.append(Double(ready - start) / 1e6)
            child.send(SIGKILL)
            _ = await child.exit()
        }
        print("cold start, all else down, \(apps) apps: \(Distribution(milliseconds).text)")
    }
}
