// What people see of a snapshot: all that was published, and nothing that opens anything.

import Foundation
import Secrets
import Snapshot
import Testing

@Suite struct `A snapshot's description` {
    static func sample() throws -> (Manifest, SnapshotContent) {
        var content = try Sample.content()
        content.apps.removeLast()
        content.apps[0].keys.removeLast()
        content.policies.removeLast(2)
        content.models.removeLast()
        content.providers.removeLast()
        content.providers[0].baseURL = "https://user:pa@ss@api.openai.com/v1?x=@y"
        content.apps[0].name = "Evil \u{1B}[2J\n\"name\" \u{202E}"
        return try Sample.decode(try Sample.encode(content))
    }

    @Test func `is one line a record, without control characters`() throws {
        let (manifest, content) = try Self.sample()
        let bytes = manifest.routes.size + manifest.policies.recordBytes + manifest.apps.recordBytes
        let expected = #"""
            snapshot version=42 lineage=000102030405060708090a0b0c0d0e0f created_at=2026-01-21T12:53:20.000Z format=2 apps=1 policies=1 bytes=\#(bytes)
            provider id=prv_1 name=OpenAI kind=openAI base_url=https://api.openai.com/v1?x=@y has_credential=true injects_stream_usage=true
            model name=gpt-4o routes=["prv_1/gpt-4o-2024*1"]
            policy id=pol_1 name="policy pol_1" kind=request_size scope=global mode=enforce on_error=allow created_at=1970-01-01T00:00:01.000Z program_bytes=\#(content.policies[0].program.count)
            app id=app_1 name="Evil \u001b[2J\u000a\"name\" \u202e" organisation=acme tier=gold tags=["a","b"] is_enabled=true
            key id=k000000000000010 app=app_1 name="key 10" tags=["ci"] created_at=2026-01-21T12:53:20.000Z expires_at=2027-01-15T08:00:00.000Z is_revoked=true
            """#
        #expect(SnapshotDescription.text(manifest: manifest, content: content).joined(separator: "\n") == expected)
    }

    @Test func `is valid JSON on every line`() throws {
        let (manifest, content) = try Self.sample()
        let lines = SnapshotDescription.jsonLines(manifest: manifest, content: content)
        let objects = try lines.map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        #expect(
            objects.compactMap { $0["record"] as? String } == ["snapshot", "provider", "model", "policy", "app", "key"]
        )
        #expect(objects[4]["name"] as? String == content.apps[0].name)
        #expect(objects[3]["priority"] is NSNull)
    }

    @Test func `shows a key's rules in their order`() throws {
        let snapshot = try Sample.enforce(try Sample.content())
        let lines = SnapshotDescription.text(snapshot)
        #expect(
            lines.contains(
                #"key id=k000000000000011 app=app_1 is_app_enabled=true is_revoked=false max_body_bytes=77 "#
                    + #"rules=["request_size:pol_2:shadow","request_size:pol_1:enforce","request_size:pol_3:enforce"]"#
            )
        )
        #expect(lines.count == 1 + 2 + 3)
        #expect(
            try SnapshotDescription.jsonLines(snapshot).allSatisfy { line in
                try JSONSerialization.jsonObject(with: Data(line.utf8)) is [String: Any]
            }
        )
    }

    @Test func `shows neither digests nor credentials`() throws {
        var content = try Sample.content()
        let secret = Array("SEALED-CREDENTIAL".utf8)
        content.providers[0].sealedCredential = secret
        let (manifest, back) = try Sample.decode(try Sample.encode(content))
        let snapshot = try Sample.enforce(content)
        let all =
            SnapshotDescription.text(manifest: manifest, content: back)
            + SnapshotDescription.jsonLines(manifest: manifest, content: back)
            + SnapshotDescription.text(snapshot) + SnapshotDescription.jsonLines(snapshot)
        for line in all {
            #expect(!line.contains("SEALED"))
            for key in content.apps.flatMap(\.keys) {
                #expect(!line.contains(key.digest.hex))
            }
        }
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"), (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (.max, "9223372036854775807"), (.min, "-9223372036854775808"),
        ] as [(Int64, String)]
    )
    func `writes times as RFC 3339 has them`(milliseconds: Int64, expected: String) throws {
        let snapshot = try EnforcedSnapshot(
            version: 1,
            lineage: Sample.lineage,
            createdAt: milliseconds,
            content: SnapshotContent()
        )
        #expect(SnapshotDescription.text(snapshot).first?.contains("created_at=\(expected) ") == true)
    }
}
