// Usage arrives exactly once at whoever merges by identity: records are numbered once, and resent until acknowledged.

import Ledger
import Limits
import Snapshot
import Stack
import Synchronization
import Testing

@testable import Gateway

@Suite(.serialized) struct `A node's usage` {
    @Test func `arrives in order, numbered from 1`() async throws {
        let (fixture, agent) = try await serving()
        for index in 0..<1_200 { agent.record(NodeFixture.record("r\(index)")) }
        #expect(await eventually { agent.status.usageShipped == 1_200 })
        let batches = fixture.control.state.withLock { $0.batches }
        #expect(batches.allSatisfy { $0.records.count <= 500 && $0.nodeID == "node-1" && $0.bootID == "boot-1" })
        let records = batches.flatMap(\.records)
        #expect(records.map(\.sequence) == Array(1...1_200))
        #expect(records.map(\.requestID) == (0..<1_200).map { "r\($0)" })
        #expect(agent.status.usageQueued == 0)
    }

    @Test func `is resent with the same identities after a failure, and nothing is doubled`() async throws {
        let (fixture, agent) = try await serving()
        fixture.control.state.withLock { state in
            state.usageFaults = [
                .refuse(503), .loseAnswer, .refuse(401), .answer("<html>welcome</html>"), .loseAnswer,
                .answer(#"{"accepted":1,"duplicates":0}"#), .refuse(500),
            ]
        }
        for index in 0..<700 { agent.record(NodeFixture.record("r\(index)")) }
        #expect(await eventually { agent.status.usageShipped == 700 })
        let (batches, merged, duplicates) = fixture.control.state.withLock { ($0.batches, $0.merged, $0.duplicates) }
        #expect(merged.count == 700)
        #expect(duplicates > 0)  // what the lost answers cost, and what merging by identity absorbed
        // libcurl itself sends once more when a reused connection dies without an answer: up to two of the seven.
        #expect((5...7).contains(agent.status.usageResends))
        var requestBySequence: [UInt64: String] = [:]
        for record in batches.flatMap(\.records) {
            #expect(
                requestBySequence.updateValue(record.requestID, forKey: record.sequence) ?? record.requestID
                    == record.requestID
            )
        }
        #expect(Set(requestBySequence.values).count == 700)
    }

    @Test func `waits while the control plane is away, and drops and counts what is too much`() async throws {
        let (fixture, agent) = try await serving(usageCapacity: 200)
        fixture.control.goDown()
        for index in 0..<5_000 { agent.record(NodeFixture.record("r\(index)")) }
        #expect(await eventually { agent.status.usageDropped > 0 })
        let status = agent.status
        #expect(status.usageQueued <= 200)
        fixture.control.comeBack()
        #expect(await eventually { agent.status.usageQueued == 0 })
        #expect(agent.status.usageShipped + agent.status.usageDropped == 5_000)
        let records = fixture.control.state.withLock { $0.merged.count }
        #expect(UInt64(records) == agent.status.usageShipped)
    }

    @Test func `loses only the one record that the control plane will never take`() async throws {
        let (fixture, agent) = try await serving()
        fixture.control.state.withLock { $0.poison = "r321" }
        for index in 0..<600 { agent.record(NodeFixture.record("r\(index)")) }
        #expect(await eventually { agent.status.usageShipped == 599 && agent.status.usageQueued == 0 })
        #expect(agent.status.usageDropped == 1)
        let merged = fixture.control.state.withLock { Set($0.merged.values) }
        #expect(merged == Set((0..<600).filter { $0 != 321 }.map { "r\($0)" }))
    }

    @Test func `is shipped whole by a drain`() async throws {
        var timing = NodeFixture.timing
        timing.usageInterval = .seconds(3_600)  // only the drain ships
        let (fixture, agent) = try await serving(timing: timing)
        fixture.control.state.withLock { $0.usageFaults = [.refuse(503), .loseAnswer] }
        for index in 0..<499 { agent.record(NodeFixture.record("r\(index)")) }
        #expect(fixture.control.state.withLock { $0.batches.isEmpty })
        agent.drain(deadline: .seconds(10))
        #expect(fixture.control.state.withLock { $0.merged.count } == 499)
        agent.record(NodeFixture.record("late"))
        #expect(agent.status.usageDropped == 1)
    }

    @Test func `does not hold a drain past its deadline`() async throws {
        let (fixture, agent) = try await serving()
        fixture.control.goDown()
        agent.record(NodeFixture.record("r"))
        let start = ContinuousClock.now
        agent.drain(deadline: .milliseconds(300))
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(agent.status.usageShipped == 0)
    }

    @Test func `of many threads is all there`() async throws {
        let (fixture, agent) = try await serving()
        await withTaskGroup { group in
            for thread in 0..<8 {
                group.addTask { for index in 0..<500 { agent.record(NodeFixture.record("t\(thread)-\(index)")) } }
            }
        }
        #expect(await eventually { agent.status.usageShipped == 4_000 })
        #expect(fixture.control.state.withLock { Set($0.merged.values).count } == 4_000)
        #expect(fixture.control.state.withLock { $0.duplicates } == 0)
    }
}

@Suite(.serialized) struct `A node's reports` {
    @Test func `tell at once what is enforced, and bring the number of nodes`() async throws {
        var timing = NodeFixture.timing
        timing.reportInterval = .seconds(3_600)  // only swaps report
        let (fixture, agent) = try await serving(timing: timing)
        fixture.control.state.withLock {
            $0.liveNodes = 3
            $0.rank = 2
        }
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { fixture.control.state.withLock { $0.reports.last?.version } == 2 })
        #expect(await eventually { agent.place == FleetPlace(nodes: 3, rank: 2) })
        // A node that starts while the control plane is down must not take the whole of every limit.
        let store = LastKnownGood(directory: fixture.dataDirectory)
        #expect(await eventually { (try? store.loadPlace())?.map { [$0.nodes, $0.rank] } == [3, 2] })
        let report = try #require(fixture.control.state.withLock { $0.reports.last })
        #expect(report.bootID == "boot-1")
        #expect(report.lineage == NodeFixture.lineage)
        #expect(report.status == "ack")
        #expect(report.reason == nil)
        #expect(report.source == "control")
        #expect(report.url == "http://127.0.0.1:8080")
        #expect(report.startedAt > 1_700_000_000_000)
    }

    @Test func `repeat as a heartbeat`() async throws {
        let (fixture, agent) = try await serving()
        let count = fixture.control.state.withLock { $0.reports.count }
        #expect(await eventually { fixture.control.state.withLock { $0.reports.count } >= count + 3 })
        #expect(agent.status.isControlReachable)
    }

    @Test func `are not made before there is anything to enforce`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.polls > 3 })
        #expect(fixture.control.state.withLock { $0.reports.isEmpty })
        #expect(agent.place == .alone)
    }
}

/// A node that enforces version 1 from the control plane, without Redis.
private func serving(
    timing: NodeTiming = NodeFixture.timing,
    usageCapacity: Int = 65_536
) async throws -> (NodeFixture, NodeAgent) {
    let fixture = try await NodeFixture(hasRedis: false)
    fixture.control.serve(fixture.snapshot(1), lineage: NodeFixture.lineage, version: 1)
    let agent = try fixture.agent(timing: timing, usageCapacity: usageCapacity)
    #expect(await eventually { agent.status.version == 1 })
    return (fixture, agent)
}
