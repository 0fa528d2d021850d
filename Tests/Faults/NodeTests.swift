// RELIABILITY N6 to N12 and R12: nodes that are stopped, drained, out of descriptors or memory, starved, in another time,
// or there twice.

import Foundation
import Glibc
import Stack
import Testing

extension Faults {
    @Suite(.serialized, .faultSystem(arguments: ["--redis-deadline", "1000"])) struct `Nodes` {
        let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        @Test func `N9: stopped and woken, a node is current again at once and settles nothing twice`() async throws {
            let tokens = 100_000
            let app = try await system.makeApp([
                .init(kind: "token_limit", config: ["limit": .integer(Int64(tokens)), "window": "31d"])
            ])
            let other = try await system.makeApp()
            let watch = VersionWatch(system)
            system.provider.pauseChunks(.milliseconds(100))
            let load = try await system.startLoad([app.client(rate: 60, isStream: true)], nodes: [0])
            await pause(for: .milliseconds(500))
            let node = try #require(await system.fleet.gateways.first?.process)
            node.send(SIGSTOP)
            await pause(for: .seconds(2 * FaultSystem.stretch))
            try await system.admin.call(
                "POST",
                "/v1/policies",
                FaultSystem.policy("model_allowlist", ["allow": ["nothing"]], app: other.id)
            )
            node.send(SIGCONT)
            await expectSoon("the change is enforced by the woken node", within: .seconds(2)) {
                try await other.burst(1, nodes: [0]).samples.first?.status == 403
            }
            let history = await load.stop()
            system.provider.pauseChunks(.zero)
            // Requests waited while the node was stopped; none was lost.
            system.expectUnharmed(history, longest: .seconds(4 * FaultSystem.stretch))
            #expect(await watch.stepsBack() == [])
            try await system.expectUsage(app)
            // What the limit was charged in the end is what was used: settled once each.
            let charged = try await chargedTokens(app, of: tokens)
            #expect(charged >= app.servedCount * CountingProvider.totalTokens)
            #expect(
                charged <= (app.servedCount + 8) * CountingProvider.totalTokens,
                "the estimate of the request that asked"
            )
            try await system.mend()
        }

        /// What a token limit stands at, by the header of one more request.
        private func chargedTokens(_ app: FaultApp, of limit: Int) async throws -> Int {
            let answer = try await LoopbackClient.send(
                LoopbackRequest(
                    "POST",
                    "http://127.0.0.1:\(system.nodes[1])/v1/chat/completions",
                    headers: [("Authorization", "Bearer \(app.key)"), ("Content-Type", "application/json")],
                    body: Array(#"{"model":"load","max_tokens":5,"messages":[{"role":"user","content":"ask"}]}"#.utf8)
                )
            )
            let remaining = try #require(answer.header("x-ratelimit-remaining-tokens").flatMap { Int($0) })
            return limit - remaining
        }

        @Test func `N10: drained one after another under load, no request fails and streams end whole`() async throws {
            let app = try await system.makeApp()
            system.provider.pauseChunks(.milliseconds(30))
            // Clients keep to the nodes that are ready, as a balancer does: each restart has its own load on the others.
            for index in system.nodes.indices {
                let load = try await system.startLoad([app.client(rate: 60)])
                await pause(for: .milliseconds(400))
                let node = await system.fleet.gateways[index]
                let process = try #require(await node.process)
                process.send(SIGTERM)
                let port = system.nodes[index]
                await expectSoon("not ready first", within: .seconds(2)) { await system.readiness(port: port) != 200 }
                // A balancer sends nothing more; what it has sent, on whatever connection, is answered whole.
                let history = await load.stop()
                let status = await process.exit()
                #expect(status == .code(0))
                #expect(history.failures.isEmpty, "\(history.failures.count), first \(history.failures.prefix(3))")
                try await node.start()
            }
            system.provider.pauseChunks(.zero)
            try await system.mend()
            try await system.expectUsage(app)
        }

        @Test func `N12: two nodes with one id both ship, and it shows`() async throws {
            let app = try await system.makeApp()
            let port = try FreePort.claim()
            let twin = try await system.fleet.addGateway(
                name: "twin",
                port: port,
                arguments: ["--node-id", "gateway-1"]
            )
            let own = try await app.burst(20, nodes: [0])
            let its = try await Load.burst(app.client(rate: 1), count: 20, nodes: [port])
            #expect(own.served(app.id).count == 20)
            #expect(its.served(app.id).count == 20)
            try await system.expectUsage(app)
            await expectSoon("the alarm", within: .seconds(5)) {
                let nodes = try await system.admin.list("/v1/nodes").filter { $0["id"]?.text == "gateway-1" }
                return nodes.contains { $0["duplicate"] == true }
            }
            await twin.stop()
            try await system.mend()
        }

        @Test func `N6: without descriptors it goes on serving whom it has, and everybody once there are some`()
            async throws
        {
            let app = try await system.makeApp()
            let node = try #require(await system.fleet.gateways.first?.process)
            let load = try await system.startLoad([app.client(rate: 60)])
            await pause(for: .milliseconds(300))
            // What serving the load takes; a loop that spins takes a core besides.
            let start = try cpuSeconds(of: node.pid)
            await pause(for: .seconds(1))
            let usual = try cpuSeconds(of: node.pid) - start
            let used = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(node.pid)/fd").count
            try await system.run("prlimit", ["--pid", "\(node.pid)", "--nofile=\(used + 4):4096"])
            let idle = try await IdleClients.connect(60, to: system.nodes[0])
            let before = try cpuSeconds(of: node.pid)
            await pause(for: .seconds(1))
            let spent = try cpuSeconds(of: node.pid) - before
            #expect(spent < usual + 0.5, "\(spent) s of CPU in a second, usually \(usual)")
            await idle.close()
            try await system.run("prlimit", ["--pid", "\(node.pid)", "--nofile=4096:4096"])
            await expectSoon("a new client is served", within: .seconds(3)) {
                try await app.burst(1, nodes: [0], connections: 1).served(app.id).count == 1
            }
            let history = await load.stop()
            let failures = history.failures.filter { $0.node == 1 }
            #expect(failures.isEmpty, "the other node: \(failures.prefix(3))")
            // Connections that stood before were served all along.
            let own = history.of(app.id).filter { $0.node == 0 }
            #expect(own.count { $0.isServed } * 10 >= own.count * 9, "\(own.filter { !$0.isServed }.prefix(3))")
            #expect(node.exitStatus == nil)
            try await system.mend()
        }

        @Test func `N7: ten times the clients it can hold cost it memory up to its bound, not its life`() async throws {
            let app = try await system.makeApp()
            let node = try #require(await system.fleet.gateways.first?.process)
            _ = try await app.burst(20, nodes: [0])
            let before = try residentKiB(of: node.pid)
            let idle = try await IdleClients.connect(1000, to: system.nodes[0])
            let during = try residentKiB(of: node.pid)
            #expect(during - before < 1000 * 64, "\(during - before) KiB for 1000 idle clients")
            await idle.close()
            system.expectUnharmed(try await app.burst(20, nodes: [0]))
            try await system.mend()
        }

        @Test func `N11: starved of CPU, it does not take its own lateness for Redis's`() async throws {
            // Production's deadline, the machine's cores all busy.
            try await system.restartNodes(arguments: ["--redis-deadline", "10"])
            let app = try await system.makeApp([.perMonth(1_000_000)])
            var loops: [ChildProcess] = []
            for number in 0..<8 {
                let specification = ProcessSpecification(
                    name: "busy",
                    executable: try Program.find("sh", hint: "a shell"),
                    arguments: ["-c", "while :; do :; done"],
                    logFile: "\(system.directory.path)/busy-\(number).log"
                )
                loops.append(try await ChildProcess.start(specification))
            }
            let before = try await openings()
            let load = try await system.startLoad([app.client(rate: 20)])
            await pause(for: .seconds(3 * FaultSystem.stretch))
            let history = await load.stop()
            for loop in loops { await loop.stop(grace: .zero) }
            let opened = try #require(try await openings()) - (try #require(before))
            #expect(opened <= 2, "the breaker opened for the node's own lateness")
            #expect(history.failures.isEmpty, "\(history.failures.prefix(3))")
            try await system.restartNodes()
            try await system.mend()
        }

        private func openings() async throws -> Double? {
            try await system.metrics(0).value("weir_breaker_transitions_total", "dependency=\"redis\"", "to=\"open\"")
        }

        private func cpuSeconds(of pid: Int32) throws -> Double {
            let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
            // After the name in brackets: state is the first field, user and system time the 12th and 13th.
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ").dropFirst()
            let ticks = fields.dropFirst(11).prefix(2).compactMap { Double($0) }.reduce(0, +)
            return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        }

        func residentKiB(of pid: Int32) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
            return try #require(line.split(separator: " ").compactMap { Int($0) }.first)
        }
    }

    @Suite(.serialized) struct `Clocks` {
        @Test func `R12, N8: clocks that jump and differ change no limit, no version and no duration`() async throws {
            let library = "\(FaultSystem.builtPrograms)/libClockShift.so"
            try #require(FileManager.default.fileExists(atPath: library), "swift build makes it")
            let directory = try TemporaryDirectory(prefix: "weir-clocks")
            func clock(_ name: String) -> [String: String] {
                ["LD_PRELOAD": library, "WEIR_CLOCK_SHIFT": "\(directory.path)/\(name)"]
            }
            // The processes map the file: a clock is moved by writing into it.
            func set(_ name: String, _ seconds: Int64) throws {
                let url = URL(fileURLWithPath: "\(directory.path)/\(name)")
                let bytes = Data((0..<8).map { UInt8(truncatingIfNeeded: seconds >> (8 * $0)) })
                guard FileManager.default.fileExists(atPath: url.path) else { return try bytes.write(to: url) }
                let file = try FileHandle(forWritingTo: url)
                try file.write(contentsOf: bytes)
                try file.close()
            }
            for name in ["redis", "one", "two"] { try set(name, 0) }
            let system = try await FaultSystem.start(gateways: 2, arguments: ["--redis-deadline", "1000"]) { plan in
                plan.environment = ["redis": clock("redis"), "gateway-1": clock("one"), "gateway-2": clock("two")]
            }
            do {
                try await FaultSystem.$current.withValue(system) { try await Self.body(system, set) }
            } catch {
                await system.stop()
                throw error
            }
            await system.stop()
        }

        private static func body(_ system: FaultSystem, _ set: (String, Int64) throws -> Void) async throws {
            let limit = 60
            let watch = VersionWatch(system)
            let free = try await system.makeApp()
            // Nodes five seconds apart, Redis in the middle: the limit is by Redis's time alone.
            let skewed = try await system.makeApp([.perMonth(limit)])
            try set("one", -5)
            try set("two", 5)
            _ = try await skewed.burst(2 * limit)
            #expect(skewed.servedCount == limit, "with skewed nodes")

            // A key's end moves by the skew and no more.
            let expiring = try await system.makeApp()
            let end = Date(timeIntervalSinceNow: 60).ISO8601Format()
            let key = try await system.admin.send("GET", "/v1/apps/\(expiring.id)/keys/\(expiring.keyID)")
            try await system.admin.call(
                "PATCH",
                "/v1/apps/\(expiring.id)/keys/\(expiring.keyID)?wait=applied",
                ["expires_at": .string(end)],
                headers: [("If-Match", try #require(key.response.header("etag")))]
            )
            #expect(try await expiring.burst(4).failures.isEmpty)

            // Each clock in turn jumps an hour, there and back, under load.
            let load = try await system.startLoad([free.client(rate: 60)])
            for name in ["one", "two", "redis"] {
                for offset in [Int64(3600), -3600, 0] {
                    try set(name, offset)
                    await pause(for: .milliseconds(500))
                    if name != "redis", offset == 3600 {
                        let node = name == "one" ? 0 : 1
                        let seen = try await expiring.burst(2, nodes: [node])
                        #expect(seen.samples.allSatisfy { $0.status == 401 }, "an hour on, the key has expired")
                    }
                }
            }
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(history.of(free.id).allSatisfy { $0.isServed })

            // A jump of Redis's within a window's life gives the limit once more at most, and never a negative TTL.
            let jumped = try await system.makeApp([.init(kind: "rate_limit", config: ["limit": 60, "window": "30m"])])
            _ = try await jumped.burst(limit + 20)
            #expect(jumped.servedCount == limit)
            try set("redis", 3600)
            _ = try await jumped.burst(limit + 20)
            #expect(jumped.servedCount <= 2 * limit)
            try set("redis", 0)
            _ = try await jumped.burst(limit + 20)
            #expect(jumped.servedCount <= 3 * limit)
            for key in try await system.redis("keys", "*\(jumped.id)*").split(separator: "\n") {
                #expect(Int(try await system.redis("pttl", String(key))) ?? -1 > 0, "\(key) never ends")
            }

            try await system.expectUsage(free)
            #expect(await watch.stepsBack() == [])
            for node in system.nodes.indices {
                let negative = try await system.metrics(node).text.split(separator: "\n").filter { line in
                    line.last != nil && line.split(separator: " ").last?.hasPrefix("-") == true
                }
                #expect(negative.isEmpty, "no metric is negative")
            }
            for gateway in await system.fleet.gateways { #expect(await gateway.pid != 0, "a node died of it") }
        }
    }
}
