// RELIABILITY U1 to U5, K1 and K5 with real processes and links; what providers and clients do wrong byte by byte is
// GatewayTests', ReactorTests' and EndToEnd's.

import Foundation
import Glibc
import Stack
import Testing

extension Faults {
    @Suite(
        .serialized,
        .faultSystem(arguments: ["--redis-deadline", "1000", "--first-byte-timeout", "1", "--idle-timeout", "1"])
    )
    struct `Providers` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        private func send(
            _ app: FaultApp,
            isStream: Bool = false,
            node: Int = 0
        ) async throws -> (answer: LoopbackResponse, took: Duration) {
            let content = "\(CountingProvider.mark)\(app.id) alone"
            let body = #"{"model":"load","stream":\#(isStream),"messages":[{"role":"user","content":"\#(content)"}]}"#
            let begin = ContinuousClock.now
            let answer = try await LoopbackClient.send(
                LoopbackRequest(
                    "POST",
                    "http://127.0.0.1:\(system.nodes[node])/v1/chat/completions",
                    headers: [("Authorization", "Bearer \(app.key)"), ("Content-Type", "application/json")],
                    body: Array(body.utf8)
                )
            )
            return (answer, ContinuousClock.now - begin)
        }

        private func expectError(
            _ answer: LoopbackResponse,
            _ statuses: Set<Int>,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            #expect(statuses.contains(answer.status), "\(answer.status) \(answer.text)", sourceLocation: sourceLocation)
            let error = try JSONValue(parsing: answer.body)["error"]
            #expect(error?["message"]?.text?.isEmpty == false, "in the SDK's shape", sourceLocation: sourceLocation)
            #expect(answer.header("x-weir-origin") == "gateway", sourceLocation: sourceLocation)
            #expect(
                !answer.text.contains("\(system.providerLink.port)"),
                "no internals",
                sourceLocation: sourceLocation
            )
        }

        @Test func `U1: a provider that refuses is an error in time, others are served, and it comes back`()
            async throws
        {
            let healthy = try await CountingProvider.start()
            try await system.addModel("healthy", port: healthy.port)
            let app = try await system.makeApp()
            let load = try await system.startLoad([app.client(rate: 60, model: "healthy")])
            try await system.providerLink.set(.refused)
            for _ in 0..<8 {
                let (answer, took) = try await send(app)
                try expectError(answer, [502, 503])
                #expect(took < .seconds(3.5), "answered after \(took)")
            }
            #expect(try await system.metrics(0).text.contains("weir_breaker_state{dependency=\"provider"))
            try await system.providerLink.heal()
            await expectSoon("served again", within: .seconds(10)) { try await send(app).answer.status == 200 }
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(history.samples.allSatisfy { $0.isServed })
            await healthy.stop()
        }

        @Test func `U1: behind a provider that is gone, the next route serves, and no client sees an error`()
            async throws
        {
            let second = try await CountingProvider.start()
            for (name, port) in [("first", system.providerLink.port), ("second", second.port)] {
                _ = try await system.admin.ensure(
                    "/v1/providers",
                    [
                        "name": .string("\(name)-of-pair"), "kind": "openai_compatible",
                        "base_url": .string("http://127.0.0.1:\(port)/v1"),
                    ],
                    writeOnly: ["credential": .string(FaultSystem.providerKey)]
                )
            }
            _ = try await system.admin.ensure(
                "/v1/models",
                [
                    "name": "pair",
                    "routes": [
                        ["provider": "first-of-pair", "upstream_model": "pair", "weight": 1],
                        ["provider": "second-of-pair", "upstream_model": "pair", "weight": 0],
                    ],
                ]
            )
            let app = try await system.makeApp([.perMonth(1_000_000)])
            let load = try await system.startLoad([app.client(rate: 60, model: "pair")])
            await pause(for: .milliseconds(500))
            try await system.providerLink.set(.refused)
            let broken = load.now
            await pause(for: .seconds(1 * FaultSystem.stretch))
            try await system.providerLink.heal()
            let before = app.servedCount
            await expectSoon("the first route serves again", within: .seconds(15)) { app.servedCount > before }
            let history = await load.stop()
            // An answer that was under way when its connection was reset has no second chance; one not begun has.
            let failures = history.failures.filter { $0.end != .cut && !($0.isStream && $0.status == 200) }
            #expect(failures.isEmpty, "since \(broken): \(failures.prefix(3))")
            #expect(second.served(app.id).requests > 0)
            let usage = history.samples.count
            await expectSoon("one record for each request", within: .seconds(10)) {
                try await app.usage().requests >= usage
            }
            #expect(try await app.usage().requests == usage)
            await second.stop()
        }

        @Test func `U2: a provider that takes the request and says nothing is given up at the first-byte deadline`()
            async throws
        {
            let app = try await system.makeApp([.perMonth(1000)])
            try await system.providerLink.set(LinkFault(holds: [.toClient]))
            let (answer, took) = try await send(app)
            try expectError(answer, [502, 503, 504])
            #expect(took > .milliseconds(900))
            #expect(took < .seconds(3), "answered after \(took)")
            try await system.providerLink.heal()
            await expectSoon("served again", within: .seconds(10)) { try await send(app).answer.status == 200 }
        }

        @Test func `U4: an answer cut in the middle ends in the protocol's error, never in a good end`() async throws {
            let app = try await system.makeApp()
            try await system.providerLink.resetConnections()
            try await system.providerLink.set(LinkFault(cutAfterBytes: 400))
            let (stream, _) = try await send(app, isStream: true)
            #expect(stream.status == 200)
            #expect(stream.text.contains("\"error\""), "\(stream.text)")
            #expect(!stream.text.contains("[DONE]"))
            try await system.providerLink.set(LinkFault(cutAfterBytes: 250))
            let (whole, _) = try await send(app)
            #expect(whole.end != .complete || whole.status >= 500, "a cut JSON body must not look whole: \(whole.text)")
            try await system.providerLink.heal()
            await expectSoon("served again", within: .seconds(10)) { try await send(app).answer.status == 200 }
        }

        @Test func `U5: silence within a stream is cut at the idle deadline`() async throws {
            let app = try await system.makeApp()
            system.provider.pauseChunks(.milliseconds(300))
            async let sent = send(app, isStream: true)
            await pause(for: .milliseconds(400))
            try await system.providerLink.set(LinkFault(holds: [.toClient]))
            let (answer, took) = try await sent
            system.provider.pauseChunks(.zero)
            #expect(answer.status == 200)
            #expect(answer.text.contains("one"))
            #expect(answer.text.contains("\"error\""), "\(answer.text)")
            #expect(!answer.text.contains("[DONE]"))
            #expect(took < .seconds(4), "cut after \(took)")
            try await system.providerLink.heal()
            await expectSoon("served again", within: .seconds(10)) { try await send(app).answer.status == 200 }
        }

        @Test(arguments: [UInt64(11), 12]) func `K1, K5: clients that leave at any moment leave nothing behind`(
            seed: UInt64
        ) async throws {
            var random = SeededGenerator(seed: seed)
            let app = try await system.makeApp([.perMonth(1_000_000)])
            let stays = try await system.makeApp()
            system.provider.pauseChunks(.milliseconds(20))
            let node = try #require(await system.fleet.gateways.first?.process)
            _ = try await stays.burst(8, nodes: [0])
            let before = try descriptors(of: node.pid)
            let load = try await system.startLoad([stays.client(rate: 40)])
            for _ in 0..<60 {
                let patience = Duration.milliseconds(Int.random(in: 0...120, using: &random))
                let isReset = Bool.random(using: &random)
                let isStream = Bool.random(using: &random)
                try await LeavingClient.send(
                    app,
                    to: system.nodes[0],
                    isStream: isStream,
                    leavingAfter: patience,
                    reset: isReset
                )
            }
            let history = await load.stop()
            system.provider.pauseChunks(.zero)
            system.expectUnharmed(history)
            #expect(history.samples.allSatisfy { $0.isServed }, "seed \(seed)")
            await expectSoon("all descriptors are back, seed \(seed)", within: .seconds(8)) {
                try descriptors(of: node.pid) <= before + 4
            }
            // One record each for those that reached a provider, whatever became of their clients.
            let expected = app.servedCount
            await expectSoon("a record each, seed \(seed)", within: .seconds(8)) {
                try await app.usage().requests >= expected
            }
            #expect(try await app.usage().requests <= 60)
            try await system.mend()
        }

        private func descriptors(of pid: Int32) throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
        }
    }
}
