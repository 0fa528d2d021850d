// A restored database must not give revoked keys back their doors: what a node saw revoked or deleted it goes on
// refusing, over its restarts, until an admin says otherwise.

import Secrets
import Snapshot
import Stack
import Synchronization
import Testing

@testable import Gateway

@Suite(.serialized) struct `A node whose database is restored` {
    private static let restored = String(repeating: "5", count: 32)

    private func key(
        _ number: Int,
        revoked: Bool = false,
        createdAt: Int64 = 1,
        expiresAt: Int64? = nil
    ) -> KeyRecord {
        let text = String(repeating: "0", count: 15) + "\(number)"
        guard let id = KeyID(text) else { preconditionFailure("16 digits") }
        return KeyRecord(
            id: id,
            name: "k\(number)",
            digest: SHA256.digest([UInt8(number)]),
            tags: [],
            createdAt: createdAt,
            expiresAt: expiresAt,
            isRevoked: revoked
        )
    }

    private func app(_ id: String, isEnabled: Bool = true, _ keys: [KeyRecord]) -> AppRecord {
        AppRecord(id: id, name: id, organisation: "o", tier: "", tags: [], isEnabled: isEnabled, keys: keys)
    }

    private func snapshot(
        _ fixture: NodeFixture,
        _ version: UInt64,
        lineage: String = NodeFixture.lineage,
        createdAt: Int64,
        _ keys: [KeyRecord],
        others: [AppRecord] = []
    ) -> EncodedSnapshot {
        SnapshotEncoder.encode(
            SnapshotContent(apps: [app("a", keys)] + others, policies: [], providers: [], models: []),
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            signingKey: fixture.key
        )
    }

    @Test func `holds on to revocations and deletions until an admin confirms`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        fixture.control.state.withLock { $0.confirmedLineage = NodeFixture.lineage }
        // Key 1 stays, 2 was revoked, 3 deleted, both after the backup was made; 4 is made after the restore.
        let before = snapshot(fixture, 9, createdAt: 1_000, [key(1), key(2, revoked: true)])
        fixture.control.serve(before, lineage: NodeFixture.lineage, version: 9)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.version == 9 })
        #expect(agent.status.heldRevocations == 0)
        let after = snapshot(
            fixture,
            4,
            lineage: Self.restored,
            createdAt: 2_000,
            [key(1), key(2), key(3), key(4, createdAt: 1_500)]
        )
        fixture.control.serve(after, lineage: Self.restored, version: 4)
        #expect(await eventually { agent.status.lineage == Self.restored })
        let held = Set([key(2).id, key(3).id])
        #expect(fixture.held.last == held)
        #expect(agent.status.heldRevocations == 2)
        #expect(await eventually { fixture.control.state.withLock { $0.reports.last?.heldRevocations } == 2 })
        #expect(try HeldRevocations.load(directory: fixture.dataDirectory)?.keys == held)
        let store = LastKnownGood(directory: fixture.dataDirectory)
        #expect(
            await eventually { store.load(verifyingKey: fixture.key.verifyingKey)?.manifest.lineage == Self.restored }
        )
        agent.drain(deadline: .seconds(2))

        // The next start holds on to them too, and later versions change nothing.
        let next = try fixture.agent()
        #expect(await eventually { next.status.lineage == Self.restored })
        #expect(next.status.heldRevocations == 2)
        let later = snapshot(fixture, 5, lineage: Self.restored, createdAt: 2_500, [key(1), key(2), key(3)])
        fixture.control.serve(later, lineage: Self.restored, version: 5)
        #expect(await eventually { next.status.version == 5 })
        #expect(fixture.held.last == held)

        fixture.control.state.withLock { $0.confirmedLineage = Self.restored }
        #expect(await eventually { next.status.heldRevocations == 0 })
        #expect(fixture.held.last == [])
        #expect(try HeldRevocations.load(directory: fixture.dataDirectory)?.keys == [])
    }

    @Test func `holds on to apps that were disabled and to keys that had expired`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        let future = WallClock.milliseconds + 3_600_000
        // Key 1 had its end brought forward and 2 put off, 3's app was disabled and 4's enabled, after the backup.
        let before = snapshot(
            fixture,
            9,
            createdAt: 1_000,
            [key(1, expiresAt: 900), key(2, expiresAt: future + 1)],
            others: [app("b", isEnabled: false, [key(3)]), app("c", [key(4)])]
        )
        fixture.control.serve(before, lineage: NodeFixture.lineage, version: 9)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.version == 9 })
        let after = snapshot(
            fixture,
            4,
            lineage: Self.restored,
            createdAt: 2_000,
            [key(1), key(2, expiresAt: future)],
            others: [app("b", [key(3)]), app("c", isEnabled: false, [key(4)])]
        )
        fixture.control.serve(after, lineage: Self.restored, version: 4)
        #expect(await eventually { agent.status.lineage == Self.restored })
        #expect(fixture.held.last == [key(1).id, key(3).id])
        agent.drain(deadline: .seconds(2))
    }

    @Test func `reads its list only as it was written`() throws {
        let directory = try TemporaryDirectory(prefix: "weir-held")
        #expect(try HeldRevocations.load(directory: directory.path) == nil)
        let list = HeldRevocations(lineage: Self.restored, keys: Set((0..<9).map { key($0).id }))
        try list.save(directory: directory.path)
        #expect(try HeldRevocations.load(directory: directory.path) == list)
    }
}
