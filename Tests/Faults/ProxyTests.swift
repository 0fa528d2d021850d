// The proxy itself: a fault that is not there proves nothing.

import Stack
import Testing

@Suite(.serialized) struct `A fault proxy` {
    private func exchange(_ port: Int, deadline: Duration = .seconds(5)) async throws -> LoopbackResponse {
        try await LoopbackClient.send(
            LoopbackRequest(
                "POST",
                "http://127.0.0.1:\(port)/v1/chat/completions",
                body: Array(#"{"messages":[{"content":"weir-load app 1"}]}"#.utf8),
                deadline: deadline
            )
        )
    }

    @Test func `passes, refuses, delays, throttles, holds, cuts, corrupts and resets`() async throws {
        let provider = try await CountingProvider.start()
        let proxy = try await FaultProxy.start(to: provider.port)
        let good = try await exchange(proxy.port)
        #expect(good.status == 200 && good.end == .complete)

        try await proxy.set(.refused)
        await #expect(throws: StackError.self) { try await exchange(proxy.port) }
        try await proxy.heal()
        #expect(try await exchange(proxy.port).body == good.body)

        try await proxy.set(.delayed(.milliseconds(100)))
        #expect(try await time { try await exchange(proxy.port) } >= .milliseconds(200), "both ways")
        try await proxy.set(LinkFault(bytesPerSecond: 1000))
        #expect(try await time { try await exchange(proxy.port) } >= .milliseconds(300), "some 300 bytes back")

        try await proxy.set(LinkFault(cutAfterBytes: 150))
        #expect(try await exchange(proxy.port).end == .cutOff)
        try await proxy.set(LinkFault(cutAfterBytes: 0))
        await #expect(throws: StackError.self) { try await exchange(proxy.port) }

        try await proxy.set(LinkFault(corruptShare: 1))
        await #expect(throws: StackError.self) { try await exchange(proxy.port, deadline: .seconds(1)) }

        // Held bytes are delivered once the fault is lifted, in both directions.
        for fault in [LinkFault.blackHole, LinkFault(holds: [.toClient]), LinkFault(holds: [.toServer])] {
            try await proxy.set(fault)
            let served = provider.served("app").requests
            async let late = exchange(proxy.port)
            if fault.holds.contains(.toServer) {
                await pause(for: .milliseconds(150))
                #expect(provider.served("app").requests == served)
            } else {
                await expectSoon("sent", within: .seconds(4)) { provider.served("app").requests == served + 1 }
            }
            try await proxy.heal()
            let answer = try await late
            #expect(answer.body == good.body)
        }

        await expectSoon("all are over", within: .seconds(4)) { try await proxy.openCount() == 0 }
        try await proxy.set(LinkFault(holds: [.toClient]))
        let reset = Task { try await exchange(proxy.port) }
        await expectSoon("connected", within: .seconds(4)) { try await proxy.openCount() == 1 }
        try await proxy.resetConnections()
        await #expect(throws: StackError.self) { try await reset.value }
        #expect(try await proxy.openCount() == 0)
        await proxy.stop()
        await provider.stop()
    }

    private func time(_ work: () async throws -> LoopbackResponse) async throws -> Duration {
        let begin = ContinuousClock.now
        _ = try await work()
        return ContinuousClock.now - begin
    }

    @Test func `corrupts the same bytes for the same seed`() async throws {
        let provider = try await CountingProvider.start()
        var texts: [String] = []
        for seed in [UInt64(5), 5, 6] {
            let proxy = try await FaultProxy.start(to: provider.port, seed: seed)
            try await proxy.set(LinkFault(corruptShare: 0.02))
            do {
                texts.append(try await exchange(proxy.port).text)
            } catch {
                texts.append("\(error)")
            }
            await proxy.stop()
        }
        #expect(texts[0].prefix(40) == texts[1].prefix(40))
        await provider.stop()
    }
}
