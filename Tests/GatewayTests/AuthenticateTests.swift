// Who is let in: what the snapshot says, and what a node holds back after a restore.

import NIOHTTP1
import Secrets
import Snapshot
import Testing

@testable import Gateway

@Suite struct `A key that is held back` {
    @Test func `opens nothing although the snapshot admits it`() throws {
        let secret = String(repeating: "s", count: 32)
        let id = try #require(KeyID("0123456789abcdef"))
        let record = KeyRecord(
            id: id,
            name: "k",
            digest: SHA256.digest(Array(secret.utf8)),
            tags: [],
            createdAt: 1,
            expiresAt: nil,
            isRevoked: false
        )
        let app = AppRecord(
            id: "a",
            name: "a",
            organisation: "o",
            tier: "",
            tags: [],
            isEnabled: true,
            keys: [record]
        )
        let snapshot = try EnforcedSnapshot(
            version: 1,
            lineage: String(repeating: "5", count: 32),
            createdAt: 1,
            content: SnapshotContent(apps: [app], policies: [], providers: [], models: [])
        )
        let head = RequestHead(["authorization": "Bearer wk_\(id.text)_\(secret)"])
        #expect(try Authenticate.key(of: head, in: snapshot, nowMilliseconds: 5).keyID == id)
        #expect(throws: AuthenticationFailure.revoked) {
            try Authenticate.key(of: head, in: snapshot, held: [id], nowMilliseconds: 5)
        }
    }
}
