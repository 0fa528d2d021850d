// What telemetry costs: one fleet whose nodes differ in nothing but their telemetry takes the same load in turn, in
// slices short enough that what else the machine does falls on all of them alike.

import ArgumentParser
import Foundation
import Stack

struct TelemetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "telemetry",
        abstract: "Throughput and CPU per request with telemetry off, at 1 % sampling, and with every trace exported."
    )

    @Option(help: "Connections, each with one request at a time.") var connections = 16
    @Option(help: "Seconds of a slice.") var seconds = 3.0
    @Option(help: "Rounds; in each every node has two slices.") var rounds = 5
    @Flag(help: "Count requests in Redis, too.") var limits = false

    /// Nodes in the order of their ports.
    private enum Setting: String, CaseIterable {
        case off
        case onePercent = "1 %"
        case all = "100 %"

        func environment(collector: String) -> [String: String] {
            switch self {
            case .off: ["OTEL_SDK_DISABLED": "true"]
            case .onePercent: exporting("0.01", collector)
            case .all: exporting("1", collector)
            }
        }

        private func exporting(_ ratio: String, _ collector: String) -> [String: String] {
            [
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": ratio, "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            ]
        }
    }

    /// What a node did in one slice.
    private struct Slice {
        var perSecond: Double
        var cpuMicroseconds: Double
    }

    func run() async throws {
        let sink = try Sink()
        var environment: [String: [String: String]] = [:]
        for (index, setting) in Setting.allCases.enumerated() {
            environment["gateway-\(index + 1)"] = setting.environment(collector: "http://127.0.0.1:\(sink.port)")
        }
        try await Rig.run(nodes: Setting.allCases.count, environment: environment) { rig in
            try await measure(rig)
        }
        print("  collector: \(sink.requests) exports, \(sink.bytes >> 10) KiB")
    }

    private func measure(_ rig: Rig) async throws {
        let app = try await rig.makeApp([
            limits
                ? ("rate_limit", ["limit": 1_000_000_000, "window": "1h"])
                : ("request_size", ["max_bytes": 1_000_000])
        ])
        let nodes = Array(Setting.allCases.indices)
        for node in nodes { _ = try await slice(rig, node, app) }  // warm
        var slices: [[Slice]] = nodes.map { _ in [] }
        for _ in 0..<rounds {
            for node in nodes + nodes.reversed() { slices[node].append(try await slice(rig, node, app)) }
        }
        print("telemetry, \(rounds * 2) slices of \(seconds) s each, \(connections) connections")
        for (node, setting) in Setting.allCases.enumerated() {
            let rate = Distribution(slices[node].map(\.perSecond))
            let cost = Distribution(slices[node].map(\.cpuMicroseconds))
            let rates = ratios(slices, node, \.perSecond)
            let costs = ratios(slices, node, \.cpuMicroseconds)
            print(
                "  \(setting.rawValue): \(rounded(rate.percentile(50))) rps, \(rounded(cost.percentile(50))) us CPU a "
                    + "request; to off: throughput \(spread(rates)), CPU \(spread(costs))"
            )
        }
    }

    /// Each slice against the one of the node without telemetry in the same half of the same round.
    private func ratios(_ slices: [[Slice]], _ node: Int, _ value: KeyPath<Slice, Double>) -> Distribution {
        Distribution(zip(slices[node], slices[0]).map { $0[keyPath: value] / $1[keyPath: value] })
    }

    private func spread(_ ratios: Distribution) -> String {
        "\(rounded(ratios.percentile(50))) (\(rounded(ratios.percentile(0)))-\(rounded(ratios.percentile(100))))"
    }

    private func slice(_ rig: Rig, _ node: Int, _ app: RigApp) async throws -> Slice {
        let pid = await rig.fleet.gateways[node].pid
        let load = Load(
            [Rig.chat(key: app.key), Rig.chat(key: app.key, isStream: true)],
            ports: [rig.ports[node]],
            perSecond: nil,
            connections: connections
        )
        try await Task.sleep(for: .milliseconds(200))
        let (begin, cpu) = (Clock.nanoseconds, try Self.cpuMicroseconds(pid))
        try await Task.sleep(for: .seconds(seconds))
        let (end, cpuEnd) = (Clock.nanoseconds, try Self.cpuMicroseconds(pid))
        let samples = try await load.stop()
        let failed = samples.count { !$0.isGood }
        guard failed == 0 else { throw MeasureError("\(failed) of \(samples.count) requests failed") }
        let count = Double(samples.count { (begin..<end).contains($0.due + $0.latency) })
        return Slice(perSecond: count / (Double(end - begin) / 1e9), cpuMicroseconds: Double(cpuEnd - cpu) / count)
    }

    /// What a process and its threads have used, to the scheduler's nanosecond.
    private static func cpuMicroseconds(_ pid: pid_t) throws -> Int64 {
        var sum: Int64 = 0
        for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task") {
            let text = try String(contentsOfFile: "/proc/\(pid)/task/\(thread)/schedstat", encoding: .utf8)
            sum += text.split(separator: " ").first.flatMap { Int64($0) } ?? 0
        }
        return sum / 1_000
    }
}
