// Memory and where policies came from, over a time with traffic and changes.

import ArgumentParser
import Foundation
import Stack

struct TiersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tiers",
        abstract: "Resident memory and cache hit rates by tier while configuration changes under traffic."
    )

    @Option(help: "Nodes.") var nodes = 2
    @Option(help: "Requests a second.") var rate = 1_000.0
    @Option(help: "Seconds.") var seconds = 60
    @Option(help: "Changes a second.") var changes = 2.0

    func run() async throws {
        try await Rig.run(nodes: nodes) { rig in try await measure(rig) }
    }

    private func measure(_ rig: Rig) async throws {
        let app = try await rig.makeApp([("rate_limit", ["limit": 1_000_000_000, "window": "1h"])])
        let load = Load(
            [Rig.chat(key: app.key), Rig.chat(key: app.key, isStream: true)],
            ports: rig.ports,
            perSecond: rate,
            connections: 64
        )
        try await Task.sleep(for: .seconds(3))
        let first = try await memory(rig)
        let end = ContinuousClock.now + .seconds(seconds)
        var made = 0
        while ContinuousClock.now < end {
            made += 1
            try await rig.admin.call("POST", "/v1/apps", ["name": .string("change \(made)")])
            try await Task.sleep(for: .seconds(1 / changes))
        }
        let last = try await memory(rig)
        let samples = try await load.stop()
        print("tiers, \(seconds) s, \(made) changes: \(samples.count) requests, \(samples.count { !$0.isGood }) failed")
        print("  resident KiB per node: \(first) -> \(last)")
        for tier in ["memory", "redis", "control"] {
            var (hits, misses) = (0.0, 0.0)
            for node in 0..<nodes {
                hits += try await rig.metric("weir_policy_cache_hits_total{tier=\"\(tier)\"", node: node)
                misses += try await rig.metric("weir_policy_cache_misses_total{tier=\"\(tier)\"", node: node)
            }
            let share = hits + misses > 0 ? rounded(100 * hits / (hits + misses)) : "-"
            print("  \(tier): \(Int(hits)) hits, \(Int(misses)) misses, \(share) %")
        }
    }

    private func memory(_ rig: Rig) async throws -> [Int] {
        var sizes: [Int] = []
        for gateway in await rig.fleet.gateways {
            let status = try String(contentsOfFile: "/proc/\(await gateway.pid)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
            sizes.append(line.split(separator: " ").compactMap { Int($0.filter(\.isNumber)) }.first ?? 0)
        }
        return sizes
    }
}
