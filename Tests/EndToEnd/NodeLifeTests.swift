// Nodes that stop and start: drained without a broken stream, and serving from their disk when nothing else is there.

import Foundation
import Glibc
import Stack
import Testing

@Suite(.serialized) struct `A gateway node, end to end` {
    @Test func `drains at SIGTERM: streams end whole, and then it is gone`() async throws {
        let system = try await WholeSystem.start(gateways: 1)
        let app = try await system.makeApp()
        let body = chat("Draining [[mock: chunk-ms=50 words=40]]", model: "mock-small", ["stream": true])
        let began = Locked(false)
        async let streamed = app.send(body) { _ in
            began.change { $0 = true }
            return true
        }
        #expect(await wait(upTo: .seconds(10)) { began.value })
        let node = try #require(await system.fleet.gateways.first)
        let process = try #require(await node.process)
        process.send(SIGTERM)
        let url = system.gateways[0]
        let isOut = await wait(upTo: .seconds(3)) {
            do throws(StackError) {
                return try await LoopbackClient.send(LoopbackRequest("GET", "\(url)/readyz")).status != 200
            } catch {
                return true  // no longer listening
            }
        }
        #expect(isOut)
        let response = try await streamed
        #expect(response.end == .complete)
        #expect(response.text.hasSuffix("data: [DONE]\n\n"))
        #expect(await process.exit() == .code(0))
        #expect(try await app.record(of: response)["outcome"]?.text == "completed", "shipped before it left")
        await system.stop()
    }

    @Test func `serves from its disk with everything else down, and enforces what it last knew`() async throws {
        let system = try await WholeSystem.start(gateways: 1)
        let app = try await system.makeApp([
            ("model_allowlist", ["allow": ["mock-small"]]), ("rate_limit", ["limit": 1000, "window": "31d"]),
        ])
        let node = try #require(await system.fleet.gateways.first)
        await node.stop()
        await system.fleet.control?.stop()
        await system.fleet.redis?.stop()
        await system.fleet.postgres?.stop()

        let begin = ContinuousClock.now
        try await node.start()
        let took = ContinuousClock.now - begin
        // The target is 200 ms for a release build on a quiet machine; this one shares its cores with other tests.
        #expect(took < .seconds(5), "ready after \(took)")
        #expect(try await app.send(chat()).status == 200)
        #expect(try await app.send(chat(model: "mock-large")).status == 403)
        let stranger = try await LoopbackClient.send(
            LoopbackRequest("POST", "\(system.gateways[0])/v1/chat/completions", body: chat().bytes)
        )
        #expect(stranger.status == 401)
        await system.stop()
    }

    @Test func `goes on without Redis and without the control plane, and hears of changes again after`() async throws {
        let system = try await WholeSystem.start()
        let app = try await system.makeApp([("rate_limit", ["limit": 1000, "window": "31d"])])
        await system.fleet.redis?.process.process?.send(SIGKILL)
        for node in [0, 1, 0, 1] { #expect(try await app.send(chat(), node: node).status == 200) }
        // Without Redis, changes come by long-poll.
        _ = try await app.add("model_allowlist", ["allow": ["mock-small"]])
        for node in [0, 1] { #expect(try await app.send(chat(model: "mock-large"), node: node).status == 403) }

        await system.fleet.control?.stop()
        for node in [0, 1] { #expect(try await app.send(chat(), node: node).status == 200) }

        try await system.fleet.redis?.process.start()
        try await system.fleet.control?.start()
        #expect(await wait(upTo: .seconds(20)) { await system.liveNodes() == 2 })
        _ = try await app.add("request_size", ["max_bytes": 200])
        let long = chat(String(repeating: "x", count: 300))
        for node in [0, 1] { #expect(try await app.send(long, node: node).status == 413) }
        await system.stop()
    }
}
