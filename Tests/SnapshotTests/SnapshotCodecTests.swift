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
        #expect(manifest.version == 42 && manifest.lineage == Sample.lineage && manifest.format == 2)
        #expect(manifest.createdAt == 1_769_000_000_000)
        #expect(manifest.environment.isEmpty)
        #expect(manifest.signingKeyID == (try Sample.signingKey().verifyingKey.id))
        #expect(manifest.apps.records == 2 && manifest.policies.records == 3)
        #expect([manifest.routes, manifest.policies, manifest.apps].map(\.name) == ["routes", "policies", "apps"])
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
        let encoded = try Sample.encode(content, version: 2)
        let routes: [UInt8] = [1, 3, 0, 0]
        let policies: [UInt8] = [2, 1, 0]
        let apps: [UInt8] = [3, 1, 1, 1, 0x61, 1, 0x41, 1, 0x6F, 0, 1, 1, 0x74, 1, 0]
        var manifest = Array("WEIRMAN".utf8) + [2] + (0..<16) + [2, 0, 0, 0, 0, 0, 0, 0]
        manifest += [0x00, 0xDA, 0x9D, 0xE0, 0x9B, 0x01, 0, 0] + [0]
        manifest += [4] + SHA256.digest(routes).bytes
        manifest += [3, 0, 0] + SHA256.digest(policies).bytes
        manifest += [15, 1, 12] + SHA256.digest(apps).bytes
        manifest += try Sample.signingKey().verifyingKey.id
        manifest += try Sample.signingKey().sign(manifest)
        #expect(
            encoded.chunks == [
                SHA256.digest(routes): routes, SHA256.digest(policies): policies,
                SHA256.digest(apps): apps,
            ]
        )
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

    @Test func `changes one leaf and the pages above it when one app or one policy changes`() throws {
        let content = try Sample.large(3000)
        let before = try Sample.encode(content)
        var changed = content
        changed.apps[500].keys[1].isRevoked.toggle()
        changed.policies[5].mode = .shadow
        let after = try Sample.encode(changed)
        let fresh = after.chunks.filter { before.chunks[$0.key] == nil }.values
        // For the app a leaf and two pages; the policies are few enough for one leaf.
        #expect(fresh.map { $0[0] }.sorted() == [2, 3, 5, 5])
        #expect(fresh.reduce(after.manifest.count) { $0 + $1.count } < 32 << 10)
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

    /// A few apps in one leaf each, and so many that there are pages.
    @Test(arguments: [2, 150]) func `is refused for every flipped bit of every chunk`(appCount: Int) throws {
        var content = try Sample.large(appCount)
        content.apps[0].name = String(repeating: "n", count: 200)
        let encoded = try Sample.encode(content)
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: Sample.signingKey().verifyingKey)
        #expect((appCount > 100) == encoded.chunks.values.contains { $0[0] == 5 })
        // Of many leaves one stands for all: each flip costs reading a whole snapshot up to it.
        var chunks = encoded.chunks.sorted { $0.value.count < $1.value.count }.map { $0 }
        if appCount > 100 { chunks = chunks.filter { $0.value[0] == 5 || $0.value[0] == 1 } }
        for (digest, chunk) in chunks {
            for index in chunk.indices {
                for bit in 0..<8 {
                    var flipped = chunk
                    flipped[index] ^= 1 << UInt8(bit)
                    #expect(throws: SnapshotError.self) {
                        try SnapshotDecoder.content(manifest: manifest) { wanted in
                            wanted == digest ? flipped : encoded.chunks[wanted]
                        }
                    }
                    #expect(throws: SnapshotError.self) {
                        try EnforcedSnapshot(manifest: manifest) { wanted in
                            wanted == digest ? flipped : encoded.chunks[wanted]
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
        newer[7] = 3
        #expect(throws: SnapshotError.unknownFormat(3)) { try SnapshotDecoder.manifest(newer, verifyingKey: key) }
        newer[7] = 1
        #expect(throws: SnapshotError.unknownFormat(1)) { try SnapshotDecoder.manifest(newer, verifyingKey: key) }
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
    /// A root as a manifest says it.
    struct Root {
        var chunk: [UInt8]
        var size: UInt64?
        var records: UInt64
        var recordBytes: UInt64

        /// A leaf, told truly: after kind and format there is the count, of one byte here.
        static func leaf(_ chunk: [UInt8]) -> Root {
            Root(chunk: chunk, records: UInt64(chunk[2]), recordBytes: UInt64(chunk.count - 3))
        }
    }

    /// Signs whatever the fields say, as a stolen key or a mistaken control plane would.
    static func sign(
        routes: [UInt8] = [1, 3, 0, 0],
        policies: Root = .leaf([2, 1, 0]),
        apps: Root = .leaf([3, 1, 0]),
        others: [[UInt8]] = []
    ) throws -> EncodedSnapshot {
        var writer = ByteWriter()
        writer.write(raw: Array("WEIRMAN".utf8) + [2])
        writer.write(raw: [UInt8](repeating: 0, count: 16))
        writer.write(u64: 1)
        writer.write(u64: 0)
        writer.write(bytes: [])
        writer.write(varint: UInt64(routes.count))
        writer.write(raw: SHA256.digest(routes).bytes)
        for root in [policies, apps] {
            writer.write(varint: root.size ?? UInt64(root.chunk.count))
            writer.write(varint: root.records)
            writer.write(varint: root.recordBytes)
            writer.write(raw: SHA256.digest(root.chunk).bytes)
        }
        let key = try Sample.signingKey()
        writer.write(raw: key.verifyingKey.id)
        writer.write(raw: key.sign(writer.bytes))
        var stored: [Digest: [UInt8]] = [:]
        for chunk in [routes, policies.chunk, apps.chunk] + others { stored[SHA256.digest(chunk)] = chunk }
        return EncodedSnapshot(manifest: writer.bytes, chunks: stored)
    }

    @Test func `is accepted when it is well formed after all`() throws {
        #expect(try Sample.decode(Self.sign()).1 == SnapshotContent())
    }

    @Test(arguments: [1 << 24 + 1, 1 << 32, .max, 1 << 63] as [UInt64])
    func `is refused when a chunk claims to be huge`(size: UInt64) throws {
        var root = Root.leaf([3, 1, 0])
        root.size = size
        let encoded = try Self.sign(apps: root)
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }

    @Test(arguments: [(1, 0), (0, 1), (2, 1), (1 << 40, 1 << 40), (.max, .max), (5, 1 << 31)] as [(UInt64, UInt64)])
    func `is refused when it counts other records than there are`(records: UInt64, bytes: UInt64) throws {
        let encoded = try Self.sign(apps: Root(chunk: [3, 1, 0], records: records, recordBytes: bytes))
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }

    @Test(arguments: 0..<3, [1, 127, 4096, 1 << 20, 1 << 32, 1 << 62, .max] as [UInt64])
    func `is refused when a chunk counts more records than it holds`(chunk: Int, count: UInt64) throws {
        var writer = ByteWriter()
        writer.write(raw: [[1, 3], [2, 1], [3, 1]][chunk])
        writer.write(varint: count)
        writer.write(raw: [UInt8](repeating: 0, count: 64))
        let root = Root(chunk: writer.bytes, records: min(count, 64), recordBytes: 64)
        let encoded =
            switch chunk {
            case 0: try Self.sign(routes: writer.bytes)
            case 1: try Self.sign(policies: root)
            default: try Self.sign(apps: root)
            }
        #expect(throws: SnapshotError.self) { try Sample.decode(encoded) }
    }

    @Test func `is refused when chunks stand in for each other`() throws {
        let swapped = try Self.sign(policies: .leaf([3, 1, 0]), apps: .leaf([2, 1, 0]))
        #expect(throws: SnapshotError.malformed(part: "policies", CodecError(.invalid, offset: 0))) {
            try Sample.decode(swapped)
        }
    }

    /// Two apps of 10 kB, whose ids begin different ways, under one page; the parts, to be put together wrongly.
    struct Divided {
        let page: [UInt8]
        let leaves: [[UInt8]]
        let records: UInt64
        let recordBytes: UInt64

        init() throws {
            var content = SnapshotContent()
            // FNV-1a of "b" ends in 5, that of "a" in c.
            for id in ["a", "b"] {
                let tags = [String](repeating: String(repeating: id, count: 128), count: 64)
                let keys = try (0..<10).map { try Sample.key(Int(id.utf8.first ?? 0) * 100 + $0) }
                content.apps.append(
                    AppRecord(id: id, name: id, organisation: "o", tags: tags, keys: keys)
                )
            }
            let encoded = try Sample.encode(content)
            let manifest = try SnapshotDecoder.manifest(
                encoded.manifest,
                verifyingKey: Sample.signingKey().verifyingKey
            )
            #expect(manifest.apps.isPage)
            page = try #require(encoded.chunks[manifest.apps.digest])
            records = UInt64(manifest.apps.records)
            recordBytes = UInt64(manifest.apps.recordBytes)
            let missing = try SnapshotDecoder.missing(manifest) { digest in
                encoded.chunks[digest].flatMap { $0[0] == 3 ? nil : $0 }
            }
            leaves = try missing.map { try #require(encoded.chunks[$0.digest]) }
            #expect(missing.map(\.name) == ["apps/5", "apps/c"])
        }

        func signed(page: [UInt8]? = nil, leaves: [[UInt8]]? = nil) throws -> EncodedSnapshot {
            let root = Root(chunk: page ?? self.page, records: records, recordBytes: recordBytes)
            return try `A signed snapshot of hostile bytes`.sign(apps: root, others: leaves ?? self.leaves)
        }

        /// The page with other children: by the bit of each, with what it says of the leaf.
        func page(_ children: [(bit: Int, leaf: [UInt8], records: UInt64)]) -> [UInt8] {
            var writer = ByteWriter()
            let bits = children.reduce(0) { $0 | 1 << $1.bit }
            writer.write(raw: [5, 1, UInt8(bits & 0xFF), UInt8(bits >> 8)])
            for child in children {
                writer.write(varint: UInt64(child.leaf.count))
                writer.write(varint: child.records)
                writer.write(varint: UInt64(child.leaf.count - 3))
                writer.write(raw: SHA256.digest(child.leaf).bytes)
            }
            return writer.bytes
        }
    }

    @Test func `may have pages`() throws {
        let divided = try Divided()
        #expect(try Sample.decode(divided.signed()).1.apps.map(\.id) == ["b", "a"])
        let same = divided.page([(5, divided.leaves[0], 1), (12, divided.leaves[1], 1)])
        #expect(same == divided.page)
    }

    /// Else one app could stand in two chunks, and the one that is not rewritten would keep a revoked key alive.
    @Test func `is refused when a record is not in the leaf of its id`() throws {
        let divided = try Divided()
        for bits in [(3, 12), (5, 13), (0, 1)] {
            let page = divided.page([(bits.0, divided.leaves[0], 1), (bits.1, divided.leaves[1], 1)])
            let encoded = try divided.signed(page: page)
            #expect(throws: SnapshotError.self, "\(bits)") { try Sample.decode(encoded) }
        }
        let swapped = divided.page([(5, divided.leaves[1], 1), (12, divided.leaves[0], 1)])
        #expect(throws: SnapshotError.self) { try Sample.decode(divided.signed(page: swapped)) }
    }

    @Test func `is refused when a page's sums or children are not true`() throws {
        let divided = try Divided()
        let (b, a) = (divided.leaves[0], divided.leaves[1])
        let pages = [
            divided.page([(5, b, 2), (12, a, 1)]), divided.page([(12, a, 1)]), divided.page([]),
            divided.page([(5, b, 0), (12, a, 2)]), divided.page([(5, b, 1), (12, a, 1)]) + [0],
            divided.page([(5, b, 1), (12, a, 1), (13, [3, 1, 0], 0)]), Array(divided.page.dropLast()),
        ]
        for (index, page) in pages.enumerated() {
            let encoded = try divided.signed(page: page, leaves: divided.leaves + [[3, 1, 0]])
            #expect(throws: SnapshotError.self, "page \(index)") { try Sample.decode(encoded) }
        }
    }

    /// Small enough for one leaf, and so a page has no business there.
    @Test func `is refused when it is divided without need`() throws {
        let leaf: [UInt8] = [3, 1, 1, 1, 0x61, 1, 0x41, 1, 0x6F, 0, 1, 1, 0x74, 1, 0]
        var writer = ByteWriter()
        writer.write(raw: [5, 1, 0, 0x10, UInt8(leaf.count), 1, 12])
        writer.write(raw: SHA256.digest(leaf).bytes)
        let encoded = try Self.sign(apps: Root(chunk: writer.bytes, records: 1, recordBytes: 12), others: [leaf])
        #expect(throws: SnapshotError.malformed(part: "apps", CodecError(.invalid, offset: 0))) {
            try Sample.decode(encoded)
        }
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `never crashes and never means two things, whatever its chunks hold`(seed: UInt64) throws {
        let divided = try Divided()
        let encoded = try Sample.encode(try Sample.content())
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: Sample.signingKey().verifyingKey)
        let originals = try [manifest.routes, manifest.policies, manifest.apps].map {
            try #require(encoded.chunks[$0.digest])
        }
        var random = Seeded(state: seed)
        for _ in 0..<20 {
            let target = Int.random(in: 0..<4, using: &random)
            var chunk = target < 3 ? originals[target] : divided.page
            for _ in 0..<Int.random(in: 1...4, using: &random) where chunk.count > 4 {
                let index = Int.random(in: 0..<chunk.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: chunk[index] = UInt8.random(in: 0...255, using: &random)
                case 1: chunk[index] = [0, 1, 0x7F, 0x80, 0xFF][Int.random(in: 0..<5, using: &random)]
                case 2: chunk.insert(UInt8.random(in: 0...255, using: &random), at: index)
                default: chunk.removeSubrange(index..<min(chunk.count, index + 3))
                }
            }
            let signed: EncodedSnapshot
            // The sums are told truly, so that it is the records that are judged.
            switch target {
            case 0: signed = try Self.sign(routes: chunk)
            case 1: signed = try Self.sign(policies: .leaf(chunk.count > 3 ? chunk : [2, 1, 0]))
            case 2: signed = try Self.sign(apps: .leaf(chunk.count > 3 ? chunk : [3, 1, 0]))
            default: signed = try divided.signed(page: chunk)
            }
            do {
                let (_, content) = try Sample.decode(signed)
                // One form for each content: what was accepted is written back as the same chunks.
                let again = try Sample.encode(content)
                #expect(Set(again.chunks.keys) == Set(signed.chunks.keys))
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
