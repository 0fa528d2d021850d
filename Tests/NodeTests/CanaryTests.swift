// A node and a canary: whether it is in one is its own doing, what it cannot enforce it does without, and its disk
// keeps what is known to be good.

import Policy
import Secrets
import Snapshot
import Synchronization
import Testing

@testable import Gateway

@Suite(.serialized) struct `A node in a canary` {
    /// A snapshot and the canary that adds one policy to it, for all nodes or none.
    private func canary(
        _ fixture: NodeFixture,
        _ base: EncodedSnapshot,
        kind: String = "request_size",
        threshold: UInt64 = .max,
        signedBy other: SigningKey? = nil
    ) throws -> EncodedCanary {
        let policy = PolicyRecord(
            id: "pol_1",
            name: "p",
            kind: kind,
            scope: .global,
            mode: .enforce,
            onError: .deny,
            priority: nil,
            createdAt: 1,
            sequence: 1,
            program: try PolicyRegistry.standard.kind(named: "request_size")?
                .compile(.object(["max_bytes": .integer(100)])) ?? []
        )
        let key = other ?? fixture.key
        let manifest = try SnapshotDecoder.manifest(base.manifest, verifyingKey: fixture.key.verifyingKey)
        let image = SnapshotImage(try SnapshotDecoder.content(manifest: manifest) { base.chunks[$0] })
        return try image.canary(
            id: String(repeating: "c", count: 32),
            threshold: threshold,
            changing: policy.id,
            to: policy,
            lineage: manifest.lineage,
            version: manifest.version,
            signingKey: key
        )
    }

    private func start(_ fixture: NodeFixture) async throws -> (RedisWriter, NodeAgent) {
        let writer = try RedisWriter(port: fixture.redisPort)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.isFollowingRedis })
        return (writer, agent)
    }

    @Test func `enforces its chunks, reports it, and all do when it is over`() async throws {
        let fixture = try await NodeFixture()
        let (writer, agent) = try await start(fixture)
        let base = fixture.snapshot(1)
        writer.publish(base, lineage: NodeFixture.lineage, version: 1, canary: try canary(fixture, base))
        #expect(await eventually { agent.status.version == 1 })
        #expect(agent.status.canary == String(repeating: "c", count: 32))
        #expect(fixture.enforced.last?.policyCount == 1)
        #expect(
            await eventually {
                fixture.control.state.withLock { $0.reports.last?.canary } == String(repeating: "c", count: 32)
            }
        )
        writer.publish(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.canary == nil)
        #expect(fixture.enforced.last?.policyCount == 0)
    }

    @Test func `is not in it when its hash is above the threshold`() async throws {
        let fixture = try await NodeFixture()
        let (writer, agent) = try await start(fixture)
        let base = fixture.snapshot(1)
        let rank = SnapshotCanary.rank(of: "node-1", id: String(repeating: "c", count: 32))
        for (version, threshold, isIn) in [(1, rank - 1, false), (2, rank, true)] as [(UInt64, UInt64, Bool)] {
            let next = version == 1 ? base : fixture.snapshot(version)
            writer.publish(
                next,
                lineage: NodeFixture.lineage,
                version: version,
                canary: try canary(fixture, next, threshold: threshold)
            )
            #expect(await eventually { agent.status.version == version })
            #expect((agent.status.canary != nil) == isIn)
        }
    }

    @Test func `gets it from the control plane without Redis, and after a start from its disk`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        let base = fixture.snapshot(1)
        try fixture.saveCopy(base)
        fixture.control.serve(
            base,
            lineage: NodeFixture.lineage,
            version: 1,
            canary: try canary(fixture, base)
        )
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.canary != nil })
        #expect(agent.status.version == 1)
        #expect(fixture.enforced.versions == [1, 1])
        // And then it waits for news like any other.
        let polls = agent.status.polls
        try await Task.sleep(for: .milliseconds(300))
        #expect(agent.status.polls - polls <= 1)
    }

    @Test func `keeps on disk what is enforced without it`() async throws {
        let fixture = try await NodeFixture()
        let (writer, agent) = try await start(fixture)
        let base = fixture.snapshot(1)
        writer.publish(base, lineage: NodeFixture.lineage, version: 1, canary: try canary(fixture, base))
        #expect(await eventually { agent.status.canary != nil })
        let store = LastKnownGood(directory: fixture.dataDirectory)
        #expect(await eventually { store.load(verifyingKey: fixture.key.verifyingKey) != nil })
        let stored = try #require(store.load(verifyingKey: fixture.key.verifyingKey))
        #expect(stored.encoded == base)
    }

    @Test func `does without one that it cannot enforce, and says so`() async throws {
        let fixture = try await NodeFixture()
        let (writer, agent) = try await start(fixture)
        let base = fixture.snapshot(1)
        writer.publish(
            base,
            lineage: NodeFixture.lineage,
            version: 1,
            canary: try canary(fixture, base, kind: "of_the_future")
        )
        #expect(await eventually { agent.status.refusal != nil })
        #expect(await eventually { agent.status.version == 1 })
        #expect(agent.status.canary == nil)
        #expect(agent.status.refusal?.contains("kind of_the_future is unknown") == true)
        #expect(await eventually { fixture.control.state.withLock { $0.reports.last?.status } == "nack" })
        // The next version, without a canary, is nothing to complain of.
        writer.publish(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { agent.status.version == 2 && agent.status.refusal == nil })
    }

    @Test func `refuses a notice that another key signed`() async throws {
        let fixture = try await NodeFixture()
        let (writer, agent) = try await start(fixture)
        let base = fixture.snapshot(1)
        let forged = try canary(fixture, base, signedBy: SigningKey.generate())
        writer.publish(base, lineage: NodeFixture.lineage, version: 1, canary: forged)
        #expect(await eventually { agent.status.refusal?.contains("signed by another key") == true })
        // The control plane has it as it was meant.
        fixture.control.serve(base, lineage: NodeFixture.lineage, version: 1)
        writer.beat()
        #expect(await eventually { agent.status.version == 1 })
        #expect(agent.status.canary == nil)
    }

    @Test func `believes no notice of another version or with a flipped bit`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        let base = fixture.snapshot(1)
        let notice = try canary(fixture, base).notice
        let key = fixture.key.verifyingKey
        let manifest = try SnapshotDecoder.manifest(base.manifest, verifyingKey: key)
        #expect(try manifest.applying(SnapshotCanary(notice, verifyingKey: key)) != manifest)
        for index in notice.indices {
            var flipped = notice
            flipped[index] ^= 1 << UInt8(index % 8)
            #expect(throws: SnapshotError.self) { try SnapshotCanary(flipped, verifyingKey: key) }
            #expect(throws: SnapshotError.self) {
                try SnapshotCanary(Array(notice.prefix(index)), verifyingKey: key)
            }
        }
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2, notice: notice)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.canary == nil)
    }
}
