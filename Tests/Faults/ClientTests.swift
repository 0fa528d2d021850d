// RELIABILITY K2 to K4: clients that say nothing, send slowly or do not read. They cost what a connection costs, and go.

import Foundation
import Glibc
import Stack
import Testing

extension Faults.`Nodes` {
    @Test func `K4: readers that stop reading hold back their provider, not the node's memory`() async throws {
        let app = try await system.makeApp()
        _ = try await app.burst(20, nodes: [0])
        let node = try #require(await system.fleet.gateways.first?.process)
        let before = try residentKiB(of: node.pid)
        let count = 8
        let served = app.servedCount
        let readers = try await IdleClients.connect(count, to: system.nodes[0], isReading: false)
        let body = """
            {"model":"load","messages":[{"role":"user","content":"\(CountingProvider.mark)\(app.id) \
            \(CountingProvider.flood)"}],"stream":true}
            """
        await readers.write(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \(app.key)\r\n"
                + "content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        await expectSoon("all are being answered", within: .seconds(5)) { app.servedCount >= served + count - 2 }
        system.expectUnharmed(try await app.burst(20))
        await pause(for: .seconds(1))
        let grown = try residentKiB(of: node.pid) - before
        // 512 KiB a connection and as much for what lies between; unbounded, it would be 8 MiB each.
        #expect(grown < count * 2048, "\(grown) KiB for \(count) readers that stopped")
        await readers.close()
        try await system.mend()
    }

    @Test(.enabled(if: FaultSystem.stretch > 1, "waits for time-outs of 30 and 60 seconds"))
    func `K2, K3: silent and slow clients are shed in time, and probes are answered meanwhile`() async throws {
        let port = system.nodes[0]
        let app = try await system.makeApp()
        let silent = try await IdleClients.connect(100, to: port)
        let slowHeads = try await IdleClients.connect(100, to: port)
        let slowBodies = try await IdleClients.connect(50, to: port)
        await slowHeads.write("POST /v1/chat/completions HTTP/1.1\r\n")
        await slowBodies.write(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \(app.key)\r\n"
                + "content-length: 1000\r\n\r\n{"
        )
        let begin = ContinuousClock.now
        var shedHeads: Duration?
        var shedAll: Duration?
        while ContinuousClock.now - begin < .seconds(90), shedAll == nil {
            #expect(await system.readiness(port: port) == 200)
            await slowHeads.write("x")
            await slowBodies.write(" ")
            await pause(for: .seconds(1))
            let now = ContinuousClock.now - begin
            if shedHeads == nil, slowHeads.openCount == 0, silent.openCount == 0 { shedHeads = now }
            if shedHeads != nil, slowBodies.openCount == 0 { shedAll = now }
        }
        #expect(try #require(shedHeads) < .seconds(35), "silent and slow heads")
        #expect(try #require(shedAll) < .seconds(65), "slow uploads")
        #expect(app.servedCount == 0, "no provider was asked")
    }
}
