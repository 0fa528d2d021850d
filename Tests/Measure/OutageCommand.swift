// What requests with a shared limit notice when Redis is killed or stopped under them, and how soon it is used again.

import ArgumentParser
import Foundation
import Glibc
import Stack

struct OutageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outage",
        abstract: "Latency and failures before, during and after Redis is killed, and stopped."
    )

    @Option(help: "Nodes.") var nodes = 2
    @Option(help: "Requests a second.") var rate = 1_000.0
    @Option(help: "Seconds of each part.") var seconds = 10
    @Option(help: "Runs of each fault.") var rounds = 3

    private enum Fault: String, CaseIterable { case killed, stopped }

    func run() async throws {
        try await Rig.run(nodes: nodes) { rig in
            for round in 1...rounds {
                for fault in Fault.allCases { try await measure(rig, fault, round) }
            }
        }
    }

    private func measure(_ rig: Rig, _ fault: Fault, _ round: Int) async throws {
        let app = try await rig.makeApp([("rate_limit", ["limit": 1_000_000_000, "window": "1h"])])
        guard let redis = await rig.fleet.redis?.process else { throw MeasureError("no redis") }
        let load = Load(
            [Rig.chat(key: app.key), Rig.chat(key: app.key, isStream: true)],
            ports: rig.ports,
            perSecond: rate,
            connections: 64
        )
        try await Task.sleep(for: .seconds(2))
        let begin = Clock.nanoseconds
        try await Task.sleep(for: .seconds(seconds))
        let faultTime = Clock.nanoseconds
        switch fault {
        case .killed: await redis.process?.send(SIGKILL)
        case .stopped: await redis.process?.send(SIGSTOP)
        }
        try await Task.sleep(for: .seconds(seconds))
        switch fault {
        case .killed: try await redis.start()
        case .stopped: await redis.process?.send(SIGCONT)
        }
        let restored = Clock.nanoseconds
        let closing = try await closed(rig, since: restored)
        try await Task.sleep(for: .seconds(2))
        let samples = try await load.stop()
        let before = samples.filter { $0.due >= begin && $0.due < faultTime - 20_000_000 }
        // Due 20 ms before the fault may still wait at its moment.
        let first = samples.filter { $0.due >= faultTime - 20_000_000 && $0.due < faultTime + 50_000_000 }
        let during = samples.filter { $0.due >= faultTime + 50_000_000 && $0.due < restored }
        let usual = Distribution(latencies: before)
        let limit = usual.percentile(99) + 2
        let waited = first.map { Double($0.latency) / 1e6 }.filter { $0 > limit }
        let failed = samples.count { !$0.isGood }
        let late = Distribution(latencies: during)
        print(
            """
            redis \(fault.rawValue), round \(round), \(Int(rate)) rps: \(samples.count) requests, \(failed) failed
              before:      \(usual.text)
              first 50 ms: \(Distribution(latencies: first).text); \(waited.count) over p99 before + 2 ms: \
            \(waited.map { rounded($0) }.joined(separator: " "))
              outage:      \(late.text), p99 \(rounded(late.percentile(99) - usual.percentile(99))) ms over before
              breakers closed \(rounded(closing)) ms after redis answered
            """
        )
    }

    /// Milliseconds until no node has its Redis breaker open.
    private func closed(_ rig: Rig, since start: Int64) async throws -> Double {
        while Clock.nanoseconds - start < 10_000_000_000 {
            var isOpen = false
            for node in 0..<nodes where try await rig.metric("weir_breaker_state{dependency=\"redis\"", node: node) > 0
            {
                isOpen = true
            }
            if !isOpen { return Double(Clock.nanoseconds - start) / 1e6 }
            try await Task.sleep(for: .milliseconds(10))
        }
        return .nan
    }
}
