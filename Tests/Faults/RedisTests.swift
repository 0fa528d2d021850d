// RELIABILITY R1 to R9, R13, R14: Redis goes, freezes, lies or forgets, and no client may notice.

import Glibc
import Stack
import Testing

extension Faults {
    @Suite(.serialized, .faultSystem()) struct `Redis` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        @Test(arguments: ["killed", "stopped"])
        func `R1, R2: Redis gone under load costs no request and at most one share`(how: String) async throws {
            let limit = 120
            let free = try await system.makeApp()
            let limited = try await system.makeApp([("rate_limit", ["limit": .integer(Int64(limit)), "window": "31d"])])
            let load = try await system.startLoad([free.client(rate: 120), limited.client(rate: 60)])
            await pause(for: .seconds(1))
            let redis = try #require(await system.fleet.redis)
            await redis.process.process?.send(how == "killed" ? SIGKILL : SIGSTOP)
            await pause(for: .seconds(2 * FaultSystem.stretch))
            if how == "killed" { try await redis.process.start() } else { await redis.process.process?.send(SIGCONT) }
            try await system.requireExact(.seconds(3))
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(history.of(free.id).allSatisfy { $0.isServed })
            let admitted = limited.servedCount
            // A restarted Redis is an empty one: its counter begins again, and the nodes' own use is merged into it.
            #expect(admitted >= limit)
            #expect(admitted <= limit + limit / system.nodes.count, "admitted over the limit and one share")
            system.expectServedOnce(limited, history)
            try await system.expectUsage(free)
            try await system.expectUsage(limited)
        }
    }
}
