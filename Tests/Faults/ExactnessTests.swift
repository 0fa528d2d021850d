// RELIABILITY R5, R8, R9, R11: what must stay exact, or off by a known amount, with a deadline that a busy machine keeps.

import Glibc
import Stack
import Testing

extension Faults {
    /// The deadline is a second, so that only a fault makes a node fall back.
    @Suite(.serialized, .faultSystem(arguments: ["--redis-deadline", "1000"])) struct `Limits` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        @Test func `R8: scripts are lost again and again, and the limit is exact`() async throws {
            let limit = 100
            let app = try await system.makeApp([.perMonth(limit)])
            let load = try await system.startLoad([app.client(rate: 100)])
            for _ in 0..<6 {
                await pause(for: .milliseconds(300))
                try await system.redis("script", "flush")
            }
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(app.servedCount == limit)
            #expect(history.samples.count > limit, "too few requests to meet the limit")
            system.expectServedOnce(app, history)
            try await system.expectUsage(app)
        }

        @Test func `R5: a flush in mid-window admits the limit once more at most, and the next window is exact`()
            async throws
        {
            let limit = 40
            let window = 4
            let app = try await system.makeApp([
                .init(kind: "rate_limit", config: ["limit": 40, "window": .string("\(window)s")])
            ])
            let resets = try await epochResets()
            await atStart(ofWindow: window)
            _ = try await app.burst(30)
            #expect(app.servedCount == 30)
            try await system.redis("flushall")
            _ = try await app.burst(3 * limit)
            let first = app.servedCount
            #expect(first <= 2 * limit, "in the window of the flush")
            #expect(first >= limit)
            await atStart(ofWindow: window)
            let history = try await app.burst(2 * limit)
            #expect(app.servedCount - first == limit, "in the next window")
            system.expectUnharmed(history)
            #expect(try await epochResets() > resets, "a counter that fell is seen")
            // The head was lost as well; the publisher puts it back by itself.
            try await system.requireLive()
            try await app.add("request_size", ["max_bytes": 10_000])
        }

        private func epochResets() async throws -> Double {
            var sum = 0.0
            for node in system.nodes.indices {
                sum += try await system.metrics(node).sum("weir_limits_epoch_resets_total")
            }
            return sum
        }

        @Test func `R9: a squatted counter is one app's trouble, not the others'`() async throws {
            let limit = 30
            let squatted = try await system.makeApp([.perMonth(limit)])
            let other = try await system.makeApp([.perMonth(limit)])
            _ = try await squatted.burst(4)
            let keys = try await system.redis("keys", "*\(squatted.id)*").split(separator: "\n").map(String.init)
            try #require(!keys.isEmpty)
            for key in keys {
                try await system.redis("del", key)
                try await system.redis("lpush", key, "x")
            }
            let before = try await system.metrics(0)
            async let first = squatted.burst(2 * limit)
            async let second = other.burst(2 * limit)
            let (own, others) = try await (first, second)
            system.expectUnharmed(own)
            system.expectUnharmed(others)
            #expect(other.servedCount == limit, "the other app's limit is exact")
            #expect(squatted.servedCount <= 4 + limit + limit / 2, "over the limit and one share")
            #expect(try await system.metrics(0).sum("weir_redis_errors_total") > before.sum("weir_redis_errors_total"))
            try await system.requireExact(.seconds(1))
            for key in keys { try await system.redis("del", key) }
        }

        @Test func `R11: a failover to a lagging replica admits no more than the lag`() async throws {
            let limit = 100
            let lag = 30
            let app = try await system.makeApp([.perMonth(limit)])
            let replica = try PrivateRedis(
                directory: "\(system.directory.path)/replica",
                port: try FreePort.claim(),
                moreArguments: ["--replicaof", "127.0.0.1", "\(system.fleet.plan.redisPort)"]
            )
            try await replica.process.start()
            let port = "\(replica.port)"
            _ = try await app.burst(40)
            await expectSoon("the replica is in step", within: .seconds(10)) {
                let own = try await system.redis("info", "replication").field("master_repl_offset")
                let its = try await system.run("redis-cli", ["-p", port, "info", "replication"])
                return its.field("master_link_status") == "up" && its.field("slave_repl_offset") == own
            }
            try await system.run("redis-cli", ["-p", port, "replicaof", "no", "one"])
            _ = try await app.burst(lag)
            #expect(app.servedCount == 40 + lag)
            for link in system.redisLinks + system.controlRedisLinks {
                try await link.retarget(replica.port)
                try await link.resetConnections()
            }
            try await system.requireExact()
            let history = try await app.burst(2 * limit)
            system.expectUnharmed(history)
            #expect(app.servedCount <= limit + lag, "over the limit and the writes that were lost")
            #expect(app.servedCount >= limit)
            try await app.add("request_size", ["max_bytes": 10_000])
            for link in system.redisLinks + system.controlRedisLinks {
                try await link.retarget(system.fleet.plan.redisPort)
                try await link.resetConnections()
            }
            await replica.stop()
            try await system.mend()
        }

        /// Waits for the next window's start; fixed windows are aligned to the epoch.
        private func atStart(ofWindow seconds: Int) async {
            let current = window(of: seconds)
            _ = await wait(upTo: .seconds(2 * seconds), every: .milliseconds(5)) { window(of: seconds) != current }
        }

        private func window(of seconds: Int) -> Int {
            var now = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &now)
            return now.tv_sec / seconds
        }
    }
}

extension String {
    /// A field of Redis's INFO.
    func field(_ name: String) -> String? {
        split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(name):") }.map {
            String($0.dropFirst(name.count + 1))
        }
    }
}
