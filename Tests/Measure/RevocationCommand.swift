// Whether a revoked key stops at once: keys are revoked under load on all nodes, and after `?wait=applied` answered no
// request that begins may succeed.

import ArgumentParser
import Foundation
import Stack

struct RevocationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revocation",
        abstract: "Revoke keys under load on all nodes: how long it takes, and what succeeded afterwards."
    )

    @Option(help: "Nodes.") var nodes = 8
    @Option(help: "Keys to revoke.") var keys = 100
    @Option(help: "Requests a second with the key.") var rate = 1_000.0

    func run() async throws {
        try await Rig.run(nodes: nodes) { rig in try await measure(rig) }
    }

    private func measure(_ rig: Rig) async throws {
        let app = try await rig.makeApp()
        var whole: [Double] = []
        var lastGood: [Double] = []
        var after = 0
        var requests = 0
        var odd = 0
        for _ in 0..<keys {
            let key = try await rig.makeKey(app: app.id)
            let load = Load([Rig.chat(key: key.secret)], ports: rig.ports, perSecond: rate, connections: nodes * 4)
            try await Task.sleep(for: .milliseconds(200))
            let start = Clock.nanoseconds
            try await rig.admin.call("DELETE", "/v1/apps/\(app.id)/keys/\(key.id)?wait=applied")
            let end = Clock.nanoseconds
            try await Task.sleep(for: .milliseconds(100))
            let samples = try await load.stop()
            whole.append(Double(end - start) / 1e6)
            // A late thread sends after the time a request was due: only its end is sure. A success that was due
            // after the answer was certainly sent after it.
            after += samples.count { $0.isGood && $0.due > end }
            odd += samples.count { $0.status != 200 && $0.status != 401 }
            requests += samples.count
            let last = samples.filter { $0.isGood }.map { $0.due }.max() ?? start
            lastGood.append(max(0, Double(last - start) / 1e6))
        }
        print("revocation, \(nodes) nodes: whole \(Distribution(whole).text)")
        print("  last success was due after the request by: \(Distribution(lastGood).text)")
        print("  \(requests) requests, \(after) successes due after the answer, \(odd) neither 200 nor 401")
    }
}
