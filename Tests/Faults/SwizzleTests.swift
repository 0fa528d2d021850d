// RELIABILITY S1: everything is stopped in a random order and restored in another, again and again under load, while the
// three histories are kept. The seed is in every message; WEIR_SWIZZLE_SEED repeats it, WEIR_SWIZZLE_SECONDS lengthens it.

import Foundation
import Glibc
import Stack
import Testing

extension Faults {
    @Suite(.serialized, .faultSystem()) struct `Everything` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        /// What can be stopped, and how.
        private enum Fault: Sendable {
            case link(String, FaultProxy, LinkFault)
            case process(String, SupervisedProcess, signal: Int32)

            var name: String {
                switch self {
                case .link(let name, _, let fault):
                    "\(name) \(fault.refuses ? "refused" : fault.holds.isEmpty ? "slow" : "held")"
                case .process(let name, _, let signal): "\(name) \(signal == SIGKILL ? "killed" : "stopped")"
                }
            }

            func stop() async throws {
                switch self {
                case .link(_, let link, let fault): try await link.set(fault)
                case .process(_, let process, let signal): await process.process?.send(signal)
                }
            }

            /// Ends the fault.
            ///
            /// - Returns: what waits until a killed process answers again; to be awaited when all of a round is restored,
            ///   because what it needs to be ready may be restored after it.
            func restore() async throws -> Task<Void, any Error>? {
                switch self {
                case .link(_, let link, _):
                    try await link.heal()
                case .process(_, let process, let signal) where signal == SIGKILL:
                    _ = await process.process?.exit()
                    return Task { try await process.start() }
                case .process(_, let process, _):
                    await process.process?.send(SIGCONT)
                }
                return nil
            }
        }

        @Test func `S1: swizzled, the three histories hold, and all is whole after the last restore`() async throws {
            let environment = ProcessInfo.processInfo.environment
            let seconds = environment["WEIR_SWIZZLE_SECONDS"].flatMap { Int($0) } ?? 15
            let seed = environment["WEIR_SWIZZLE_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...999_999)
            var random = SeededGenerator(seed: seed)
            let limit = 120
            let app = try await system.makeApp()
            let limited = try await system.makeApp([.perMonth(limit)])
            let watch = VersionWatch(system)
            let load = try await system.startLoad([app.client(rate: 50), limited.client(rate: 30)])

            /// When requests may fail or wait: a node or the provider is not itself.
            var excused: [Range<Duration>] = []
            var story: [String] = []
            let end = ContinuousClock.now + .seconds(seconds)
            while ContinuousClock.now < end {
                let faults = try await faults(&random)
                let harmsRequests = faults.contains { $0.name.hasPrefix("provider") || $0.name.hasPrefix("gateway") }
                let begin = load.now
                for fault in faults.shuffled(using: &random) {
                    story.append("\(load.now) \(fault.name)")
                    try await fault.stop()
                    await pause(for: .milliseconds(Int.random(in: 0...400, using: &random)))
                }
                await pause(for: .milliseconds(Int.random(in: 200...1200, using: &random)))
                var starts: [Task<Void, any Error>] = []
                for fault in faults.shuffled(using: &random) {
                    if let start = try await fault.restore() { starts.append(start) }
                    story.append("\(load.now) \(fault.name) no more")
                    await pause(for: .milliseconds(Int.random(in: 0...200, using: &random)))
                }
                for start in starts { try await start.value }
                if harmsRequests { excused.append((begin - .seconds(2))..<(load.now + .seconds(5))) }
                await pause(for: .milliseconds(Int.random(in: 0...500, using: &random)))
            }
            let restored = load.now
            let told = "seed \(seed): \(story)"
            try await system.requireLive(.seconds(10))
            let probe = try await system.makeApp([.perMonth(1_000_000)])
            for node in system.nodes.indices {
                // A link that was slow for less than a second is a relapse to the breaker: Redis must then answer in time
                // for up to 10 s in a row. All else is back within 5 s.
                #expect(
                    await system.returns(node, probe, within: .seconds(20)),
                    "node \(node) stays off Redis, \(told)"
                )
            }
            let whole = load.now
            #expect(whole - restored < .seconds(25), "whole again after \(whole - restored), \(told)")
            await pause(for: .seconds(1))
            let history = await load.stop()

            // Clients: nothing failed but what a broken provider or a stopped node excuses.
            let failures = history.failures.filter { sample in !excused.contains { $0.contains(sample.start) } }
            #expect(failures.isEmpty, "\(failures.prefix(3)), \(told)")
            system.expectUnharmed(history.between(whole, .seconds(100_000)))
            // Limits: at most the limit and one share, over all the outages of one window.
            #expect(limited.servedCount <= limit + limit / system.nodes.count, "\(told)")
            // Versions.
            #expect(await watch.stepsBack() == [], "\(told)")
            // Usage: a record for each request that was not refused, whatever became of it. A request whose client never
            // got its answer's head may have one or none.
            for app in [app, limited] {
                let all = history.of(app.id).filter { !$0.isLimited && $0.end != .notConnected }
                let sure = all.count { $0.status != 0 }
                await expectSoon("usage, \(told)", within: .seconds(15)) { try await app.usage().requests >= sure }
                let rows = try await app.usage().requests
                #expect(rows <= all.count, "more usage rows than requests, \(told)")
                #expect(system.provider.served(app.id).requests <= all.count * 2)
            }
        }

        /// A few things to stop at once, each in one of its ways.
        private func faults(_ random: inout SeededGenerator) async throws -> [Fault] {
            let ways: [LinkFault] = [.refused, .blackHole, .delayed(.milliseconds(200))]
            func way() -> LinkFault { ways[Int.random(in: 0..<ways.count, using: &random)] }
            var all: [Fault] = []
            for (index, link) in system.redisLinks.enumerated() {
                all.append(.link("redis of node \(index)", link, way()))
            }
            for (index, link) in system.controlLinks.enumerated() {
                all.append(.link("control plane of node \(index)", link, way()))
            }
            all.append(.link("provider", system.providerLink, way()))
            all.append(.link("redis of the control plane", system.controlRedisLinks[0], way()))
            all.append(.link("postgres", system.postgresLinks[0], way()))
            let isKill = Bool.random(using: &random)
            let control = try #require(await system.fleet.control)
            all.append(.process("control", control, signal: isKill ? SIGKILL : SIGSTOP))
            let redis = try #require(await system.fleet.redis)
            // Not killed: an emptied Redis begins its counts again, which is R1's case and bound.
            all.append(.process("redis", redis.process, signal: SIGSTOP))
            let gateways = await system.fleet.gateways
            all.append(
                .process("gateway", gateways[Int.random(in: 0..<gateways.count, using: &random)], signal: SIGSTOP)
            )
            return Array(all.shuffled(using: &random).prefix(Int.random(in: 2...5, using: &random)))
        }
    }
}
