// RELIABILITY C1, C2, C4, C6 to C8, P5's publisher, and both planes' dependencies down at once: nodes serve on, changes
// wait or go another way, nothing is lost or doubled, and no node's version goes back.

import Foundation
import Glibc
import Stack
import Testing

extension Faults {
    @Suite(.serialized, .faultSystem(gateways: 3, controls: 2)) struct `Control planes` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        /// The second control plane's API.
        private var second: AdminClient {
            get throws {
                let port = try #require(system.fleet.plan.moreControlPorts.first)
                return AdminClient(url: "http://127.0.0.1:\(port)", token: system.fleet.keys.adminToken)
            }
        }

        private func write(_ admin: AdminClient, _ app: FaultApp, timeout: Int = 10) async throws -> AdminClient.Answer
        {
            try await admin.send(
                "POST",
                "/v1/policies?wait=applied&timeout=\(timeout)s",
                FaultSystem.policy("request_size", ["max_bytes": 20_000], app: app.id)
            )
        }

        private func version() async throws -> Int64 {
            Int64(try await system.sql("SELECT version FROM configuration")) ?? 0
        }

        private func expectGapless(since version: Int64, writes: Int64) async throws {
            #expect(try await self.version() == version + writes, "one version for each write")
            let rows = try await system.sql(
                "SELECT count(*), count(DISTINCT version) FROM audit_log WHERE version > \(version)"
            )
            #expect(rows == "\(writes)|\(writes)", "one audit row for each write")
        }

        @Test func `C1, C2: killed and restarted, no request fails and usage is counted once`() async throws {
            let app = try await system.makeApp()
            let limited = try await system.makeApp([.perMonth(60)])
            let watch = VersionWatch(system)
            let load = try await system.startLoad([app.client(rate: 80), limited.client(rate: 40)])
            for control in await system.fleet.controls { await control.process?.send(SIGKILL) }
            await pause(for: .seconds(2 * FaultSystem.stretch))
            for node in system.nodes { #expect(await system.readiness(port: node) == 200) }
            let before = try await system.controlLinks[0].acceptedCount()
            for control in await system.fleet.controls { try await control.start() }
            try await system.requireLive()
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(history.of(app.id).allSatisfy { $0.isServed })
            #expect(limited.servedCount <= 60 + 20)
            let connects = try await system.controlLinks[0].acceptedCount() - before
            #expect(connects <= 30, "\(connects) connects of one node to a control plane that came back")
            system.expectServedOnce(app, history)
            try await system.expectUsage(app)
            try await system.expectUsage(limited)
            #expect(await watch.stepsBack() == [])
        }

        @Test func `C1: a node with nothing on its disk and nobody to ask is not ready and says 503, never 401`()
            async throws
        {
            for control in await system.fleet.controls { await control.process?.send(SIGKILL) }
            await system.fleet.redis?.process.process?.send(SIGKILL)
            let port = try FreePort.claim()
            let node = try await system.fleet.addGateway(name: "empty", port: port, readiness: "/healthz")
            #expect(await system.readiness(port: port) == 503)
            let request = LoopbackRequest(
                "POST",
                "http://127.0.0.1:\(port)/v1/chat/completions",
                headers: [("Authorization", "Bearer wk_0000000000000000_x")],
                body: Array(#"{"model":"load","messages":[{"role":"user","content":"x"}]}"#.utf8)
            )
            #expect(try await LoopbackClient.send(request).status == 503)
            try await system.fleet.redis?.process.start()
            for control in await system.fleet.controls { try await control.start() }
            await expectSoon("ready once there is somebody to ask", within: .seconds(10)) {
                await system.readiness(port: port) == 200
            }
            #expect(try await LoopbackClient.send(request).status == 401)
            await node.stop()
            try await system.mend()
        }

        @Test(arguments: ["stopped", "killed"])
        func `C4: another control plane takes over from one that is gone, and the woken one does no harm`(how: String)
            async throws
        {
            let app = try await system.makeApp()
            let before = try await version()
            let watch = VersionWatch(system)
            let load = try await system.startLoad([app.client(rate: 60)])
            let first = try #require(await system.fleet.controls.first)
            // Nodes ask and report where somebody answers, as behind a balancer.
            for link in system.controlLinks {
                try await link.retarget(try #require(system.fleet.plan.moreControlPorts.first))
            }
            await first.process?.send(how == "killed" ? SIGKILL : SIGSTOP)
            for link in system.controlLinks { try await link.resetConnections() }
            let begin = ContinuousClock.now
            let answer = try await write(try second, app)
            #expect(answer.status == 201, "\(answer.response.text)")
            // Two seconds to hand over; the rest is the machine's.
            #expect(ContinuousClock.now - begin < .seconds(4), "handed over after \(ContinuousClock.now - begin)")
            #expect(try await write(try second, app).status == 201)
            if how == "killed" { try await first.start() } else { await first.process?.send(SIGCONT) }
            for link in system.controlLinks { try await link.retarget(system.fleet.plan.controlPort) }
            for link in system.controlLinks { try await link.resetConnections() }
            try await system.requireLive()
            #expect(try await write(system.admin, app).status == 201)
            #expect(try await write(try second, app).status == 201)
            try await expectGapless(since: before, writes: 4)
            system.expectUnharmed(await load.stop())
            #expect(await watch.stepsBack() == [])
            try await system.mend()
        }

        @Test func `P5: a publisher cut off from PostgreSQL steps down`() async throws {
            let app = try await system.makeApp()
            try await system.postgresLinks[0].set(.blackHole)
            let begin = ContinuousClock.now
            let answer = try await write(try second, app, timeout: 15)
            #expect(answer.status == 201, "\(answer.response.text)")
            #expect(ContinuousClock.now - begin < .seconds(12), "published after \(ContinuousClock.now - begin)")
            try await system.postgresLinks[0].heal()
            try await system.mend()
        }

        @Test func `C6: forged, huge and repeated messages change nothing and hide nothing`() async throws {
            let app = try await system.makeApp()
            let watch = VersionWatch(system)
            let load = try await system.startLoad([app.client(rate: 60)])
            let current = try await system.admin.call("GET", "/v1/snapshots/current")
            let lineage = current["lineage"]?.text ?? ""
            let version = current["version"]?.int ?? 0
            var random = SeededGenerator(seed: 6)
            var messages = (0..<200).map { _ in "\(lineage) \(Int64.random(in: 0...version, using: &random))" }
            messages += ["\(lineage) 9223372036854775808", "\(String(repeating: "f", count: 32)) 7", "garbage", ""]
            messages.shuffle(using: &random)
            let script = "for i = 1, #ARGV do redis.call('PUBLISH', 'weir:head', ARGV[i]) end"
            try await system.run("redis-cli", ["-p", "\(system.fleet.plan.redisPort)", "eval", script, "0"] + messages)
            try await system.redis(
                "eval",
                "redis.call('PUBLISH', 'weir:head', string.rep('x', 10000000))",
                "0"
            )
            let begin = ContinuousClock.now
            #expect(try await write(system.admin, app).status == 201)
            #expect(ContinuousClock.now - begin < .seconds(3), "enforced after \(ContinuousClock.now - begin)")
            system.expectUnharmed(await load.stop())
            #expect(await watch.stepsBack() == [])
            try await system.mend()
        }

        @Test(arguments: [true, false])
        func `C7: no request succeeds after a revocation was applied`(hasRedis: Bool) async throws {
            let app = try await system.makeApp()
            if !hasRedis { await system.fleet.redis?.process.process?.send(SIGKILL) }
            let load = try await system.startLoad([app.client(rate: 300, connections: 4)])
            await pause(for: .milliseconds(500))
            let asked = load.now
            try await system.admin.call("DELETE", "/v1/apps/\(app.id)/keys/\(app.keyID)?wait=applied")
            let applied = load.now
            await pause(for: .milliseconds(500))
            let history = await load.stop()
            #expect(history.between(.zero, asked).samples.allSatisfy { $0.isServed })
            let late = history.between(applied, .seconds(3600)).samples
            #expect(late.count > 50)
            #expect(
                late.allSatisfy { $0.status == 401 && $0.end == .complete },
                "\(late.filter { $0.status != 401 }.prefix(3))"
            )
            #expect(history.samples.allSatisfy { $0.isServed || $0.status == 401 })
            #expect(applied - asked < .seconds(2), "applied after \(applied - asked)")
            try await system.mend()
        }

        @Test func `C8: a slow control plane holds up usage, not requests, and polls do not pile up`() async throws {
            let app = try await system.makeApp()
            let load = try await system.startLoad([app.client(rate: 120)])
            for link in system.controlLinks { try await link.set(LinkFault(bytesPerSecond: 2000)) }
            await pause(for: .seconds(3 * FaultSystem.stretch))
            let open = try await system.controlLinks[0].openCount()
            #expect(open <= 6, "\(open) connections of one node to a slow control plane")
            for link in system.controlLinks { try await link.heal() }
            let history = await load.stop()
            system.expectUnharmed(history)
            system.expectServedOnce(app, history)
            try await system.mend()
            try await system.expectUsage(app)
        }

        @Test func `Redis, control planes and database down at once: served from what is known, then whole again`()
            async throws
        {
            let limit = 60
            let app = try await system.makeApp()
            let limited = try await system.makeApp([.perMonth(limit)])
            let watch = VersionWatch(system)
            let load = try await system.startLoad([app.client(rate: 80), limited.client(rate: 80)])
            await pause(for: .milliseconds(300))
            await system.fleet.redis?.process.process?.send(SIGKILL)
            for control in await system.fleet.controls { await control.process?.send(SIGKILL) }
            await system.fleet.postgres?.process.process?.send(SIGKILL)
            await pause(for: .seconds(2 * FaultSystem.stretch))
            #expect(limited.servedCount <= limit + limit / 3, "over the limit and one share")
            for node in system.nodes { #expect(await system.readiness(port: node) == 200) }
            try await system.mend()
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(history.of(app.id).allSatisfy { $0.isServed })
            system.expectServedOnce(app, history)
            try await system.expectUsage(app)
            try await system.expectUsage(limited)
            #expect(await watch.stepsBack() == [])
        }

        @Test func `a node killed with everything down comes back from its disk, from either copy, never from none`()
            async throws
        {
            let app = try await system.makeApp([.init(kind: "model_allowlist", config: ["allow": ["load"]])])
            try await system.addModel("another", port: system.providerLink.port)
            let made = Date()
            try await app.add("request_size", ["max_bytes": 10_000])
            let gateways = await system.fleet.gateways
            let node = gateways[0]
            let port = system.nodes[0]
            let data = "\(system.fleet.plan.directory)/nodes/gateway-1"
            // A change is enforced first and saved after; changes that follow each other are saved together.
            await expectSoon("saved", within: .seconds(5)) { try self.copies(in: data).contains { $0.saved > made } }
            for control in await system.fleet.controls { await control.process?.send(SIGKILL) }
            await system.fleet.redis?.process.process?.send(SIGKILL)
            await system.fleet.postgres?.process.process?.send(SIGKILL)
            await kill(node)

            let begin = ContinuousClock.now
            try await node.start()
            // The target is 200 ms for a release build on a quiet machine.
            #expect(ContinuousClock.now - begin < .seconds(5))
            system.expectUnharmed(try await app.burst(4, nodes: [0]))
            var stranger = app.client(rate: 1)
            stranger.model = "another"
            #expect(try await Load.burst(stranger, count: 2, nodes: [port]).samples.allSatisfy { $0.status == 403 })

            await kill(node)
            let names = try copies(in: data).map(\.name)
            #expect(names.count == 2)
            try corrupt("\(data)/\(names[0])")
            try await node.start()
            await kill(node)
            try corrupt("\(data)/\(names[0])")  // whole again
            try corrupt("\(data)/\(names[1])")
            try await node.start()
            #expect(await system.readiness(port: port) == 200)
            await kill(node)
            try corrupt("\(data)/\(names[0])")
            let empty = Task { try await node.start() }
            await expectSoon("listens, not ready", within: .seconds(5)) { await system.readiness(port: port) == 503 }
            try await system.restartPostgres()
            try await system.fleet.redis?.process.start()
            for control in await system.fleet.controls { try await control.start() }
            try await empty.value
            #expect(await system.readiness(port: port) == 200)
            try await system.mend()
        }

        private func copies(in directory: String) throws -> [(name: String, saved: Date)] {
            try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { $0.hasPrefix("snapshot-") && $0.hasSuffix(".weir") }.sorted()
                .map { name in
                    let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")
                    return (name, attributes[.modificationDate] as? Date ?? .distantPast)
                }
        }

        private func kill(_ node: SupervisedProcess) async {
            let process = await node.process
            process?.send(SIGKILL)
            _ = await process?.exit()
        }

        /// Flips one bit in the middle; a second time undoes it.
        private func corrupt(_ path: String) throws {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[bytes.count / 2] ^= 0x40
            try bytes.write(to: URL(fileURLWithPath: path))
        }
    }

    @Suite(.serialized, .faultSystem(gateways: 1)) struct `A restored database` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        @Test func `C3: begins a lineage; no node goes back, and what was revoked stays revoked until confirmed`()
            async throws
        {
            let kept = try await system.makeApp()
            let revoked = try await system.makeApp()
            let postgres = try #require(await system.fleet.postgres)
            let control = try #require(await system.fleet.control)
            let data = "\(postgres.directory)/data"
            await postgres.process.stop()
            try await system.run("cp", ["-a", data, "\(data).yesterday"])
            try await system.restartPostgres()
            try await system.mend()

            for number in 0..<5 { try await kept.add("request_size", ["max_bytes": .integer(Int64(30_000 + number))]) }
            try await system.admin.call("DELETE", "/v1/apps/\(revoked.id)/keys/\(revoked.keyID)?wait=applied")
            #expect(try await status(of: revoked) == 401)
            let before = try await system.admin.call("GET", "/v1/snapshots/current")

            let load = try await system.startLoad([kept.client(rate: 60), revoked.client(rate: 60)])
            await control.stop()
            await postgres.process.stop()
            try await system.run("rm", ["-rf", data])
            try await system.run("mv", ["\(data).yesterday", data])
            try await system.restartPostgres()
            try await control.start()

            await expectSoon("a new lineage", within: .seconds(10)) {
                try await system.admin.call("GET", "/v1/snapshots/current")["lineage"] != before["lineage"]
            }
            try await system.requireLive()
            try await kept.add("model_allowlist", ["allow": ["load"]])
            let history = await load.stop()
            #expect(history.of(kept.id).allSatisfy { $0.isServed })
            let again = history.of(revoked.id).filter { $0.status != 401 }
            #expect(again.isEmpty, "a revoked key worked again: \(again.prefix(2))")
            // Until somebody says that this is the history they want.
            try await system.admin.call("POST", "/v1/snapshots/lineage/confirm")
            await expectSoon("the restored key works", within: .seconds(5)) { try await status(of: revoked) == 200 }
        }

        private func status(of app: FaultApp) async throws -> Int {
            try #require(try await app.burst(1, connections: 1).samples.first).status
        }
    }
}
