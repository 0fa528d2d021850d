// Whether limits are exact: many clients on many nodes ask for more than a window admits, and what each window
// admitted is counted from the answers. A window is told by its end: when the answer came plus the reset it named.

import ArgumentParser
import Foundation
import Stack

struct LimitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "What windows admit over all nodes beside their limits, and in the window in which Redis dies."
    )

    @Option(help: "Nodes.") var nodes = 8
    @Option(help: "Clients.") var clients = 64
    @Option(help: "Whole windows to count for each limit.") var windows = 20
    @Flag(help: "Only the window in which Redis is killed.") var onlyOutage = false

    func run() async throws {
        try await Rig.run(nodes: nodes) { rig in
            if !onlyOutage {
                try await exact(rig, limit: 1, windowSeconds: 1, perSecond: 800)
                try await exact(rig, limit: 100, windowSeconds: 1, perSecond: 800)
                try await exact(rig, limit: 10_000, windowSeconds: 10, perSecond: 1_500)
            }
            for limit in [1, 100, 10_000] as [Int64] { try await outage(rig, limit: limit) }
        }
    }

    private func app(_ rig: Rig, limit: Int64, windowSeconds: Int) async throws -> RigApp {
        try await rig.makeApp([("rate_limit", ["limit": .integer(limit), "window": .string("\(windowSeconds)s")])])
    }

    /// Admitted answers by the end of their window, in milliseconds since the epoch.
    private static func admitted(_ samples: [Sample], windowMilliseconds: Int64) -> [Int64: Int] {
        var counts: [Int64: Int] = [:]
        for sample in samples where sample.resetMilliseconds >= 0 {
            let end = sample.wallMilliseconds + sample.resetMilliseconds
            let window = (end + windowMilliseconds / 2) / windowMilliseconds * windowMilliseconds
            counts[window, default: 0] += sample.isGood ? 1 : 0
        }
        return counts
    }

    private func exact(_ rig: Rig, limit: Int64, windowSeconds: Int, perSecond: Double) async throws {
        let app = try await app(rig, limit: limit, windowSeconds: windowSeconds)
        let before = try await localDecisions(rig)
        let load = Load([Rig.chat(key: app.key)], ports: rig.ports, perSecond: perSecond, connections: clients)
        try await Task.sleep(for: .milliseconds(windowSeconds * 1_000 * (windows + 1) + 500))
        let samples = try await load.stop()
        let counts = Self.admitted(samples, windowMilliseconds: Int64(windowSeconds) * 1_000)
        // The first and the last window were not asked for all of their time.
        let whole = counts.keys.sorted().dropFirst().dropLast().prefix(windows)
        let wrong = whole.filter { counts[$0] != Int(limit) }
        let failed = samples.count { $0.status != 200 && $0.status != 429 }
        let local = try await localDecisions(rig) - before
        print(
            "limit \(limit)/\(windowSeconds)s: \(whole.count) windows, \(whole.count - wrong.count) admitted exactly the limit"
                + (wrong.isEmpty ? "" : ", others \(wrong.map { counts[$0] ?? 0 })")
                + "; \(samples.count) requests, \(failed) neither admitted nor refused, \(Int(local)) decided locally"
        )
    }

    private func localDecisions(_ rig: Rig) async throws -> Double {
        var sum = 0.0
        for node in 0..<nodes { sum += try await rig.metric("weir_ratelimit_local_decisions_total", node: node) }
        return sum
    }

    private func outage(_ rig: Rig, limit: Int64) async throws {
        let windowSeconds: Int64 = 10
        let app = try await app(rig, limit: limit, windowSeconds: Int(windowSeconds))
        // Begin with a window, kill Redis in its middle, look at that window and the next two.
        let now = Clock.wallMilliseconds
        try await Task.sleep(for: .milliseconds(windowSeconds * 1_000 - now % (windowSeconds * 1_000)))
        let rate = limit >= 10_000 ? 1_500.0 : 600.0
        let load = Load([Rig.chat(key: app.key)], ports: rig.ports, perSecond: rate, connections: clients)
        try await Task.sleep(for: .milliseconds(limit >= 10_000 ? 4_000 : limit >= 100 ? 100 : 1))
        await rig.fleet.redis?.process.stop(grace: .zero)
        let killed = Clock.wallMilliseconds
        let window = (killed / (windowSeconds * 1_000) + 1) * windowSeconds * 1_000
        try await Task.sleep(for: .milliseconds(window - killed + 2 * windowSeconds * 1_000 + 300))
        let samples = try await load.stop()
        let counts = Self.admitted(samples, windowMilliseconds: windowSeconds * 1_000)
        let during = counts[window] ?? 0
        let next = [1, 2].map { counts[window + $0 * windowSeconds * 1_000] ?? 0 }
        let failed = samples.count { $0.status != 200 && $0.status != 429 }
        let before = samples.count { $0.isGood && $0.wallMilliseconds <= killed }
        print(
            "limit \(limit)/\(windowSeconds)s, redis killed: \(before) admitted before; that window admitted \(during), "
                + "over by \(during - Int(limit)), one node's share is \(max(1, limit / Int64(nodes))); "
                + "the next two \(next); \(failed) failed"
        )
        try await rig.fleet.redis?.process.start()
        try await Task.sleep(for: .seconds(3))
    }
}
