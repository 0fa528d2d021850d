// The snapshot's wire form: what is read is what was signed, to the bit, or nothing is.

import Codec
import Policy
import Secrets
import Snapshot
import Testing

@Suite struct `An encoded snapshot` {
    @Test func `is read as it was written`() throws {
        let content = try Sample.content()
        let (manifest, back) = try Sample.decode(try Sample.encode(content))
        #expect(back.canonical() == content.canonical())
        #expect(manifest.version == 42 && manifest.lineage == Sample.lineage && manifest.format == 1)
        #expect(manifest.createdAt == 1_769_000_000_000)
        #expect(manifest.environment.isEmpty)
        #expect(manifest.signingKeyID == (try Sample.signingKey().verifyingKey.id))
        #expect(manifest.chunks.count == 1 + manifest.bucketCounts.policies + manifest.bucketCounts.apps)
        #expect(manifest.chunks.first?.name == "routes" && manifest.chunks.last?.name.hasPrefix("apps/") == true)
    }

    @Test func `may be empty`() throws {
        let (_, back) = try Sample.decode(try Sample.encode(SnapshotContent()))
        #expect(back == SnapshotContent())
    }

    @Test func `keeps the extremes of every field`() throws {
        var content = try Sample.content()
        content.policies[0].priority = .min
        content.policies[1].priority = .max
        content.policies[0].createdAt = .min
        content.policies[1].createdAt = .max
        content.policies[0].sequence = .max
        content.policies[2].program = []
        content.apps[0].keys[0].expiresAt = .min
        content.apps[0].keys[1].createdAt = .max
        content.apps[0].name = ""
        content.apps[0].tags = [String](repeating: String(repeating: "t", count: 128), count: 64)
        content.models[0].routes[0].weight = SnapshotBounds.maxWeight
        content.models[1].name = String(repeating: "é", count: 128)
        content.providers[0].sealedCredential = []
        let (_, back) = try Sample.decode(try Sample.encode(content))
        #expect(back.canonical() == content.canonical())
    }

    /// Pins schemas/snapshot.md: whoever changes a layout changes its format's number too.
    @Test func `has the bytes that the schema shows`() throws {
        let content = SnapshotContent(
            apps: [AppRecord(id: "a", name: "A", organisation: "o", tier: "", tags: ["t"], isEnabled: true)],
            models: []
        )
        let encoded = try Sample.encode(content, version: 2, buckets: BucketCounts(policies: 1, apps: 1))
        let routes: [UInt8] = [1, 3, 0, 0]
        let policies: [UInt8] = [2, 1, 0]
        let apps: [UInt8] = [3, 1, 1, 1, 0x61, 1, 0x41, 1, 0x6F, 0, 1, 1, 0x74, 1, 0]
        var manifest = Array("WEIRMAN".utf8) + [1] + (0..<16) + [2, 0, 0, 0, 0, 0, 0, 0]
        manifest += [0x00, 0xDA, 0x9D, 0xE0, 0x9B, 0x01, 0, 0] + [0] + [0, 0]
        for chunk in [routes, policies, apps] {
            manifest += [UInt8(chunk.count)] + SHA256.digest(chunk).bytes
            #expect(encoded.chunks[SHA256.digest(chunk)] == chunk)
        }
        manifest += try Sample.signingKey().verifyingKey.id
        manifest += try Sample.signingKey().sign(manifest)
        #expect(encoded.chunks.count == 3)
        #expect(encoded.manifest == manifest)
    }

    @Test func `is the same whatever order its content came in`() throws {
        let content = try Sample.large(200)
        var random = Seeded(state: 1)
        var shuffled = content
        shuffled.apps.shuffle(using: &random)
        shuffled.policies.shuffle(using: &random)
        shuffled.providers.shuffle(using: &random)
        shuffled.models.shuffle(using: &random)
        for index in shuffled.apps.indices {
            shuffled.apps[index].keys.shuffle(using: &random)
        }
        #expect(try Sample.encode(content) == Sample.encode(shuffled))
    }

    @Test func `changes one chunk when one app or one policy changes`() throws {
        let content = try Sample.large(1000)
        let before = try Sample.encode(content)
        #expect(before.chunks.count > 60)
        var changed = content
        changed.apps[500].keys[1].isRevoked.toggle()
        #expect(Set(try Sample.encode(changed).chunks.keys).subtracting(before.chunks.keys).count == 1)
        changed = content
        changed.policies[5].mode = .shadow
        #expect(Set(try Sample.encode(changed).chunks.keys).subtracting(before.chunks.keys).count == 1)
    }

    /// FNV-1a of "a" is 0xaf63dc4c8601ec8c, of "foobar" 0x85944171f73967e8: the published vectors.
    @Test(arguments: [("a", 0xC8C), ("foobar", 0x7E8)]) func `puts a record into the bucket of its id's hash`(
        id: String,
        bucket: Int
    ) throws {
        let content = SnapshotContent(apps: [AppRecord(id: id, name: "", organisation: "")])
        let encoded = try Sample.encode(content, buckets: BucketCounts(policies: 1, apps: 4096))
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: Sample.signingKey().verifyingKey)
        let filled = manifest.chunks.filter { $0.kind == .apps && $0.size > 3 }
        #expect(filled.map(\.name) == ["apps/\(bucket)"])
    }

    @Test func `keeps its buckets while they are near enough`() throws {
        let content = try Sample.large(1000)
        let fitting = BucketCounts.fitting(content)
        #expect(fitting.apps == 64)
        var smaller = content
        smaller.apps.removeLast(900)
        #expect(BucketCounts.fitting(smaller).apps == 32)
        #expect(fitting.adjusted(to: smaller).apps == 64)
        smaller.apps.removeLast(90)
        #expect(fitting.adjusted(to: smaller).apps == 8)
        #expect(BucketCounts.fitting(SnapshotContent()).adjusted(to: content) == fitting)
        #expect(BucketCounts(policies: 3, apps: 1) == nil && BucketCounts(policies: 1, apps: 8192) == nil)
        let (_, back) = try Sample.decode(try Sample.encode(content, buckets: BucketCounts(policies: 1, apps: 4096)))
        #expect(back.canonical() == content.canonical())
    }

    @Test func `is refused for every flipped bit of its manifest`() throws {
        let encoded = try Sample.encode(try Sample.content())
        let key = try Sample.signingKey().verifyingKey
        for index in encoded.manifest.indices {
            for bit in 0..<8 {
                var flipped = encoded.manifest
                flipped[index] ^= 1 << UInt8(bit)
                #expect(throws: SnapshotError.self, "byte \(index), bit \(bit)") {
                    try SnapshotDecoder.manifest(flipped, verifyingKey: key)
                }
            }
        }
    }

    @Test func `is refused for every flipped bit of every chunk`() throws {
        let encoded = try Sample.encode(try Sample.content())
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: Sample.signingKey().verifyingKey)
        for reference in manifest.chunks {
            let chunk = try #require(encoded.chunks[reference.digest])
            for index in chunk.indices {
                for bit in 0..<8 {
                    var flipped = chunk
                    flipped[index] ^= 1 << UInt8(bit)
                    #expect(throws: SnapshotError.self) {
                        try SnapshotDecoder.content(manifest: manifest) { digest in
                            digest == reference.digest ? flipped : encoded.chunks[digest]
                        }
                    }
                }
            }
        }
    }

    @Test func `is refused when its manifest is cut or goes on`() throws {
        let encoded = try Sample.encode(try Sample.content())
        let key = try Sample.signingKey().verifyingKey
        for count in 0..<encoded.manifest.count {
            #expect(throws: SnapshotError.self) {
                try SnapshotDecoder.manifest(Array(encoded.manifest.prefix(count)), verifyingKey: key)
            }
        }
        #expect(throws: SnapshotError.self) { try SnapshotDecoder.manifest(encoded.manifest + [0], verifyingKey: key) }
    }

    @Test func `says who is to blame`() throws {
        let encoded = try Sample.encode(try Sample.content())
        let key = try Sample.signingKey().verifyingKey
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: key)
        let other = try Sample.signingKey(8).verifyingKey
        #expect(throws: SnapshotError.foreignKey) {
            try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: other)
        }
        var forged = encoded.manifest
        forged[30] ^= 1
        #expect(throws: SnapshotError.badSignature) { try SnapshotDecoder.manifest(forged, verifyingKey: key) }
        var newer = encoded.manifest
        newer[7] = 2
        #expect(throws: SnapshotError.unknownFormat(2)) { try SnapshotDecoder.manifest(newer, verifyingKey: key) }
        #expect(throws: SnapshotError.foreignEnvironment) {
            try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: key, environment: [1])
        }
        #expect(throws: SnapshotError.malformed(part: "manifest", CodecError(.truncated, offset: 0))) {
            try SnapshotDecoder.manifest([], verifyingKey: key)
        }
        #expect(throws: SnapshotError.missingChunk("routes")) {
            try SnapshotDecoder.content(manifest: manifest) { _ in nil }
        }
        #expect(throws: SnapshotError.wrongDigest("routes")) {
            try SnapshotDecoder.content(manifest: manifest) { _ in [1] }
        }
    }

    @Test func `never goes back within a lineage`() throws {
        let manifest = try SnapshotDecoder.manifest(
            try Sample.encode(SnapshotContent(), version: 5).manifest,
            verifyingKey: Sample.signingKey().verifyingKey
        )
        #expect(manifest.mayReplace(version: 4, lineage: Sample.lineage))
        #expect(!manifest.mayReplace(version: 5, lineage: Sample.lineage))
        #expect(!manifest.mayReplace(version: 6, lineage: Sample.lineage))
        #expect(manifest.mayReplace(version: 6, lineage: String(repeating: "f", count: 32)))
    }
}

@Suite struct `A signed snapshot of hostile bytes` {
    /// Signs whatever the fields say, as a stolen key or a mistaken control plane would.
    static func sign(_ chunks: [[UInt8]], logarithms: [UInt8] = [0, 0], sizes: [UInt64]? = nil) throws
        -> EncodedSnapshot
    {
        var writer = ByteWriter()
        writer.write(raw: Array("WEIRMAN".utf8) + [1])
        writer.write(raw: [UInt8](repeating: 0, count: 16))
        writer.write(u64: 1)
        writer.write(u64: 0)
        writer.write(bytes: [])
        writer.write(raw: logarithms)
        var stored: [Digest: [UInt8]] = [:]
        for (index, chunk) in chunks.enumerated() {
            let digest = SHA256.digest(chunk)
            stored[digest] = chunk
            writer.write(varint: sizes?[index] ?? UInt64(chunk.count))
            writer.write(raw: digest.bytes)
        }
        let key = try Sample.signingKey()
        writer.write(raw: key.verifyingKey.id)
        writer.write(raw: key.sign(writer.bytes))
        return EncodedSnapshot(manifest: writer.bytes, chunks: stored)
    }

    static let empty: [[UInt8]] = [[1, 3, 0, 0], [2, 1, 0], [3, 1, 0]]

    @Test func `is accepted when it is well formed after all`() throws {
        #expect(try Sample.decode(Self.sign(Self.empty)).1 == SnapshotContent())
    }

    @Test(arguments: [[12, 12], [13, 0], [0, 13], [31, 31], [255, 255], [32, 0], [63, 64]] as [[UInt8]])
    func `is refused when its bucket counts promise more than there is`(logarithms: [UInt8]) throws {
        let encoded = try Self.sign(Self.empty, logarithms: logarithms)
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }

    @Test(arguments: [1 << 24 + 1, 1 << 32, .max, 1 << 63] as [UInt64])
    func `is refused when a chunk claims to be huge`(size: UInt64) throws {
        let encoded = try Self.sign(Self.empty, sizes: [size, 3, 3])
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }

    @Test(arguments: 0..<3, [1, 127, 4096, 1 << 20, 1 << 32, 1 << 62, .max] as [UInt64])
    func `is refused when a chunk counts more records than it holds`(chunk: Int, count: UInt64) throws {
        var writer = ByteWriter()
        writer.write(raw: Array(Self.empty[chunk].prefix(2)))
        writer.write(varint: count)
        writer.write(raw: [UInt8](repeating: 0, count: 64))
        var chunks = Self.empty
        chunks[chunk] = writer.bytes
        let encoded = try Self.sign(chunks)
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }

    @Test func `is refused when chunks stand in for each other`() throws {
        let swapped = try Self.sign([Self.empty[0], Self.empty[2], Self.empty[1]])
        #expect(throws: SnapshotError.malformed(part: "policies/0", CodecError(.invalid, offset: 0))) {
            try Sample.decode(swapped)
        }
    }

    /// Else one app could stand in two chunks, and the one that is not rewritten would keep a revoked key alive.
    @Test func `is refused when a record is not in the bucket of its id`() throws {
        let content = SnapshotContent(apps: [try Sample.app(1, keys: 1)], policies: [try Sample.policy("p")])
        let honest = try Sample.encode(content, buckets: BucketCounts(policies: 2, apps: 2))
        let manifest = try SnapshotDecoder.manifest(honest.manifest, verifyingKey: Sample.signingKey().verifyingKey)
        let chunks = try manifest.chunks.map { try #require(honest.chunks[$0.digest]) }
        #expect(throws: Never.self) { try Sample.decode(try Self.sign(chunks, logarithms: [1, 1])) }
        for (first, second) in [(1, 2), (3, 4)] {
            var moved = chunks
            moved.swapAt(first, second)
            let encoded = try Self.sign(moved, logarithms: [1, 1])
            #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
        }
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `never crashes and never means two things, whatever its chunks hold`(seed: UInt64) throws {
        let encoded = try Sample.encode(try Sample.content(), buckets: BucketCounts(policies: 1, apps: 1))
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: Sample.signingKey().verifyingKey)
        let originals = try manifest.chunks.map { try #require(encoded.chunks[$0.digest]) }
        var random = Seeded(state: seed)
        for _ in 0..<20 {
            var chunks = originals
            let target = Int.random(in: 0..<3, using: &random)
            for _ in 0..<Int.random(in: 1...4, using: &random) where chunks[target].count > 4 {
                let index = Int.random(in: 0..<chunks[target].count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: chunks[target][index] = UInt8.random(in: 0...255, using: &random)
                case 1: chunks[target][index] = [0, 1, 0x7F, 0x80, 0xFF][Int.random(in: 0..<5, using: &random)]
                case 2: chunks[target].insert(UInt8.random(in: 0...255, using: &random), at: index)
                default: chunks[target].removeSubrange(index..<min(chunks[target].count, index + 3))
                }
            }
            do {
                let (_, content) = try Sample.decode(try Self.sign(chunks))
                // One form for each content: what was accepted is written back as the same chunks.
                let again = try Sample.encode(content, buckets: BucketCounts(policies: 1, apps: 1))
                #expect(Set(again.chunks.values) == Set(chunks))
            } catch is SnapshotError {}
        }
    }
}

@Suite struct `The encoder's check` {
    @Test func `passes what nodes accept`() throws {
        try SnapshotEncoder.check(Sample.content())
        try SnapshotEncoder.check(SnapshotContent())
    }

    /// Each makes good content bad in one way.
    static let mistakes: [@Sendable (inout SnapshotContent) throws -> Void] = [
        { $0.apps.append($0.apps[0]) },
        { $0.apps[1].keys.append($0.apps[0].keys[0]) },
        { $0.apps[0].keys.append($0.apps[0].keys[0]) },
        { $0.policies.append($0.policies[0]) },
        { $0.providers.append($0.providers[0]) },
        { $0.models.append($0.models[0]) },
        { $0.apps[0].id = "" },
        { $0.apps[0].id = "app é" },
        { $0.apps[0].name = String(repeating: "n", count: 257) },
        { $0.apps[0].tags = [String](repeating: "t", count: 65) },
        { $0.policies[0].program = [UInt8](repeating: 0, count: SnapshotBounds.maxProgramBytes + 1) },
        { $0.policies[0].scope = .app("") },
        { $0.models[0].routes = [] },
        { $0.models[0].routes[0].weight = 0 },
        { $0.models[0].routes[0].weight = SnapshotBounds.maxWeight + 1 },
        { $0.models[0].routes[0].providerID = "prv_9" },
        { $0.models[0].name = "" },
    ]

    @Test(arguments: mistakes.indices) func `refuses what nodes refuse`(index: Int) throws {
        var content = try Sample.content()
        try Self.mistakes[index](&content)
        let spoilt = content
        #expect(throws: SnapshotError.self) { try SnapshotEncoder.check(spoilt) }
        let encoded = try Sample.encode(spoilt)
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }
}
