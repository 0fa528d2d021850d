// How long a change takes from the moment its request is sent to being enforced on the last node: a policy is flipped,
// and each node is asked what the key may use until its answer flips. Sending, the transaction and the commit are in
// the first figure, so it is an upper bound of "committed to enforced"; the second counts from the answer, which comes
// after the commit, and is a lower bound.

import ArgumentParser
import Foundation
import Glibc
import Stack

struct PropagationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "propagation",
        abstract: "From a change's request to its enforcement on the last node, with Redis and without."
    )

    @Option(help: "Nodes.") var nodes = 8
    @Option(help: "Changes, with Redis and again without.") var changes = 200
    @Option(help: "Requests a second meanwhile.") var rate = 1_000.0

    func run() async throws {
        try await Rig.run(nodes: nodes) { rig in try await measure(rig) }
    }

    private func measure(_ rig: Rig) async throws {
        let app = try await rig.makeApp()
        let policy = try await rig.admin.call(
            "POST",
            "/v1/policies?wait=applied",
            [
                "name": "flips", "kind": "model_allowlist", "scope": ["app": .string(app.id)],
                "config": ["allow": ["*"], "deny": ["mock-b"]],
            ]
        )
        guard let id = policy["id"]?.text else { throw MeasureError("the policy has no id") }
        let load = Load(
            [Rig.chat(key: app.key), Rig.chat(key: app.key, isStream: true)],
            ports: rig.ports,
            perSecond: rate,
            connections: 64
        )
        try await Task.sleep(for: .seconds(1))
        let withRedis = try await flips(rig, app, policy: id, allowsFirst: true)
        print("with redis:    from the request \(withRedis.whole.text); after its answer \(withRedis.afterAnswer.text)")
        await rig.fleet.redis?.process.stop()
        try await Task.sleep(for: .seconds(4))
        let without = try await flips(rig, app, policy: id, allowsFirst: changes.isMultiple(of: 2))
        print("without redis: from the request \(without.whole.text); after its answer \(without.afterAnswer.text)")
        let samples = try await load.stop()
        let failed = samples.filter { !$0.isGood }
        print("traffic meanwhile: \(samples.count) requests, \(failed.count) failed")
    }

    private func flips(_ rig: Rig, _ app: RigApp, policy: String, allowsFirst: Bool) async throws -> (
        whole: Distribution, afterAnswer: Distribution
    ) {
        let request = Rig.request("GET", "/v1/models", key: app.key)
        var whole: [Double] = []
        var afterAnswer: [Double] = []
        for number in 0..<changes {
            let allows = number.isMultiple(of: 2) == allowsFirst
            let current = try await rig.admin.send("GET", "/v1/policies/\(policy)")
            guard let etag = current.response.header("etag"), case .object(var members) = current.json else {
                throw MeasureError("the policy cannot be read")
            }
            members["config"] = allows ? ["allow": ["*"]] : ["allow": ["*"], "deny": ["mock-b"]]
            let body = JSONValue.object(members)
            let start = Clock.nanoseconds
            async let watched = Self.watch(rig.ports, request, until: allows)
            try await rig.admin.call("PUT", "/v1/policies/\(policy)", body, headers: [("If-Match", etag)])
            let answered = Clock.nanoseconds
            guard let last = try await watched else { throw MeasureError("change \(number) did not reach all nodes") }
            whole.append(Double(last - start) / 1e6)
            afterAnswer.append(max(0, Double(last - answered) / 1e6))
            try await Task.sleep(for: .milliseconds(20))
        }
        return (Distribution(whole), Distribution(afterAnswer))
    }

    /// When the last node's answer had the wanted form; nil after ten seconds.
    private static func watch(_ ports: [Int], _ request: [UInt8], until allows: Bool) async throws -> Int64? {
        try await withThrowingTaskGroup(of: Int64?.self) { group in
            for port in ports {
                group.addTask {
                    try await Threads.run {
                        let wire = Wire(port: port)
                        let deadline = Clock.nanoseconds + 10_000_000_000
                        while Clock.nanoseconds < deadline {
                            let answer = wire.exchange(request, keepingBody: true)
                            let shows = String(decoding: answer.body, as: UTF8.self).contains("\"mock-b\"")
                            if answer.status == 200, shows == allows { return Clock.nanoseconds }
                            Clock.sleep(untilNanoseconds: Clock.nanoseconds + 3_000_000)
                        }
                        return nil
                    }
                }
            }
            var last: Int64? = 0
            for try await time in group { last = time.flatMap { time in last.map { max($0, time) } } }
            return last
        }
    }
}

/// Blocking work on threads of its own, so that it does not hold the tasks' few.
enum Threads {
    static func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async throws -> Value {
        await withCheckedContinuation { continuation in
            let thread = Thread { continuation.resume(returning: work()) }
            thread.stackSize = 256 << 10
            thread.start()
        }
    }
}
