// Content that the tests share: one of each thing, small enough that every bit of it can be flipped.

import Policy
import Secrets
import Snapshot
import Testing

/// SplitMix64: the same numbers for the same seed, on every machine.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

enum Sample {
    static let lineage = "000102030405060708090a0b0c0d0e0f"

    static func signingKey(_ byte: UInt8 = 7) throws -> SigningKey {
        try SigningKey(seed: [UInt8](repeating: byte, count: 32))
    }

    /// A policy of a kind that exists, limiting bodies.
    static func policy(
        _ id: String,
        scope: PolicyScope = .global,
        mode: RuleMode = .enforce,
        priority: Int32? = nil,
        createdAt: Int64 = 1000,
        sequence: UInt64 = 1,
        maxBytes: Int64 = 1 << 20
    ) throws -> PolicyRecord {
        let kind = try #require(PolicyRegistry.standard.kind(named: "request_size"))
        return PolicyRecord(
            id: id,
            name: "policy \(id)",
            kind: "request_size",
            scope: scope,
            mode: mode,
            onError: .allow,
            priority: priority,
            createdAt: createdAt,
            sequence: sequence,
            program: try kind.compile(.object(["max_bytes": .integer(maxBytes)]))
        )
    }

    /// The key with a number: `k` and 15 digits.
    static func keyID(_ number: Int) throws -> KeyID {
        let digits = String(number)
        return try #require(KeyID("k" + String(repeating: "0", count: 15 - digits.count) + digits))
    }

    static func key(_ number: Int) throws -> KeyRecord {
        KeyRecord(
            id: try keyID(number),
            name: "key \(number)",
            digest: SHA256.digest(Array("secret \(number)".utf8)),
            tags: ["ci"],
            createdAt: 1_769_000_000_000,
            expiresAt: number.isMultiple(of: 2) ? 1_800_000_000_000 : nil,
            isRevoked: number.isMultiple(of: 5)
        )
    }

    static func app(_ number: Int, keys: Int) throws -> AppRecord {
        AppRecord(
            id: "app_\(number)",
            name: "App \(number) é",
            organisation: "acme",
            tier: "gold",
            tags: ["a", "b"],
            isEnabled: number != 2,
            keys: try (0..<keys).map { try key(number * 10 + $0) }
        )
    }

    /// Two apps, three keys, three policies, two providers, two models.
    static func content() throws -> SnapshotContent {
        SnapshotContent(
            apps: [try app(1, keys: 2), try app(2, keys: 1)],
            policies: [
                try policy("pol_1"),
                try policy("pol_2", scope: .app("app_1"), mode: .shadow, priority: -5),
                try policy("pol_3", scope: .key(try keyID(11)), maxBytes: 77),
            ],
            providers: [
                ProviderRecord(
                    id: "prv_1",
                    name: "OpenAI",
                    kind: .openAI,
                    baseURL: "https://api.openai.com/v1",
                    sealedCredential: [1, 2, 3]
                ),
                ProviderRecord(
                    id: "prv_2",
                    name: "Claude",
                    kind: .anthropic,
                    baseURL: "https://api.anthropic.com",
                    injectsStreamUsage: false
                ),
            ],
            models: [
                ModelRecord(
                    name: "gpt-4o",
                    routes: [RouteRecord(providerID: "prv_1", upstreamModel: "gpt-4o-2024")],
                    maxOutputTokens: 16_384,
                    encoding: "o200k_base"
                ),
                ModelRecord(
                    name: "best",
                    routes: [
                        RouteRecord(providerID: "prv_2", upstreamModel: "claude", weight: 3),
                        RouteRecord(providerID: "prv_1", upstreamModel: "gpt-4o", weight: 0),
                    ]
                ),
            ]
        )
    }

    /// `count` apps with three keys each, a policy for every hundredth.
    static func large(_ count: Int) throws -> SnapshotContent {
        var content = try Self.content()
        content.apps = try (0..<count).map { number in
            AppRecord(
                id: "app_\(number)",
                name: "App \(number)",
                organisation: "acme",
                tags: ["a", "b"],
                keys: try (0..<3).map { try key(number * 10 + $0) }
            )
        }
        for number in stride(from: 0, to: count, by: 100) {
            content.policies.append(
                try policy("pol_app_\(number)", scope: .app("app_\(number)"), sequence: UInt64(number) + 10)
            )
        }
        return content
    }

    static func encode(
        _ content: SnapshotContent,
        version: UInt64 = 42
    ) throws -> EncodedSnapshot {
        SnapshotEncoder.encode(
            content,
            lineage: lineage,
            version: version,
            createdAt: 1_769_000_000_000,
            signingKey: try signingKey()
        )
    }

    /// Verifies and reads a whole snapshot.
    static func decode(_ encoded: EncodedSnapshot, key: VerifyingKey? = nil) throws -> (Manifest, SnapshotContent) {
        let key = try key ?? signingKey().verifyingKey
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: key)
        return (manifest, try SnapshotDecoder.content(manifest: manifest) { encoded.chunks[$0] })
    }

    static func enforce(_ content: SnapshotContent) throws -> EnforcedSnapshot {
        try EnforcedSnapshot(version: 1, lineage: lineage, createdAt: 0, content: content)
    }
}
