// Trees of chunks: the same records give the same chunks, whether they were written at once or came to be change by
// change; and what a node takes over from the version before is what it would have built anew.

import Policy
import Secrets
import Testing

@testable import Snapshot

/// A configuration that changes, with all that the control plane and a node make of it, step by step.
private struct History {
    var content: SnapshotContent
    var image: SnapshotImage
    var random: Seeded
    private var number = 1_000_000

    init(seed: UInt64, apps: Int) throws {
        content = try Sample.large(apps)
        image = SnapshotImage(content)
        random = Seeded(state: seed)
    }

    private mutating func next() -> Int {
        number += 1
        return number
    }

    /// An app that is small, or so large that a few of them fill a leaf.
    private mutating func app(_ id: String) throws -> AppRecord {
        var app = try Sample.app(next(), keys: Int.random(in: 0...4, using: &random))
        app.id = id
        app.keys = try app.keys.map { key in
            var key = key
            key.id = try Sample.keyID(next())
            return key
        }
        if Bool.random(using: &random), Bool.random(using: &random) {
            app.tags = [String](repeating: String(repeating: "t", count: 128), count: 40)
        }
        return app
    }

    mutating func step() throws {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3:  // some apps change, come or go, in one change
            var changes: [String: AppRecord?] = [:]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                if let old = content.apps.randomElement(using: &random), Int.random(in: 0..<3, using: &random) > 0 {
                    changes[old.id] = try Bool.random(using: &random) ? app(old.id) : .some(nil)
                } else {
                    let id = "app_new_\(next())"
                    changes[id] = try app(id)
                }
            }
            // One that never was may go as well.
            changes["app_unknown"] = .some(nil)
            content.apps.removeAll { changes[$0.id] != nil }
            content.apps += changes.values.compactMap { $0 }
            try image.replaceApps(changes)
        case 3:  // most of them go
            let gone = content.apps.shuffled(using: &random).prefix(content.apps.count * 9 / 10).map(\.id)
            try image.replaceApps([String: AppRecord?](uniqueKeysWithValues: gone.map { ($0, nil) }))
            let ids = Set(gone)
            content.apps.removeAll { ids.contains($0.id) }
        case 4:  // many come
            let new = try (0..<150).map { _ in try app("app_many_\(next())") }
            content.apps += new
            try image.replaceApps([String: AppRecord?](uniqueKeysWithValues: new.map { ($0.id, $0) }))
        case 5..<9:
            var changes: [String: PolicyRecord?] = [:]
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                if let old = content.policies.randomElement(using: &random), Bool.random(using: &random) {
                    changes[old.id] = try Bool.random(using: &random) ? policy(old.id) : .some(nil)
                } else {
                    let id = "pol_new_\(next())"
                    changes[id] = try policy(id)
                }
            }
            content.policies.removeAll { changes[$0.id] != nil }
            content.policies += changes.values.compactMap { $0 }
            try image.replacePolicies(changes)
        default:
            content.models[0].maxOutputTokens = Int64(next())
            try image.replaceRoutes(content.providers, content.models)
        }
    }

    private mutating func policy(_ id: String) throws -> PolicyRecord {
        let app = content.apps.randomElement(using: &random)
        let scope: PolicyScope
        switch Int.random(in: 0..<4, using: &random) {
        case 0: scope = .global
        case 1: scope = try app?.keys.first.map { .key($0.id) } ?? .key(Sample.keyID(next()))
        case 2: scope = .app("app_unknown")
        default: scope = app.map { .app($0.id) } ?? .global
        }
        return try Sample.policy(
            id,
            scope: scope,
            priority: Bool.random(using: &random) ? Int32(next()) : nil,
            sequence: UInt64(next()),
            maxBytes: Int64(next())
        )
    }

    func signed(_ image: SnapshotImage, version: UInt64) throws -> EncodedSnapshot {
        image.signed(
            lineage: Sample.lineage,
            version: version,
            createdAt: 5,
            signingKey: try Sample.signingKey()
        )
    }
}

@Suite struct `A tree of chunks` {
    @Test(arguments: 0..<9 as Range<UInt64>) func `is the same however its records came to be`(seed: UInt64) throws {
        var history = try History(seed: seed, apps: [0, 3, 300][Int(seed % 3)])
        for step in 0..<25 {
            try history.step()
            let changed = try history.signed(history.image, version: 7)
            let whole = try history.signed(SnapshotImage(history.content), version: 7)
            try #require(changed == whole, "step \(step)")
        }
    }

    @Test(arguments: 100..<109 as Range<UInt64>)
    func `is enforced the same when it takes over from the version before`(seed: UInt64) throws {
        var history = try History(seed: seed, apps: [0, 3, 300][Int(seed % 3)])
        let key = try Sample.signingKey().verifyingKey
        var current: EnforcedSnapshot?
        for version in 1...15 as ClosedRange<UInt64> {
            for _ in 0..<Int.random(in: 1...3, using: &history.random) { try history.step() }
            let encoded = try history.signed(history.image, version: version)
            let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: key)
            // As a node does: only what it does not have, page by page.
            var gathered: [Digest: [UInt8]] = [:]
            while true {
                let missing = try SnapshotDecoder.missing(manifest, enforced: current) { gathered[$0] }
                if missing.isEmpty { break }
                for chunk in missing {
                    #expect(gathered[chunk.digest] == nil)
                    gathered[chunk.digest] = encoded.chunks[chunk.digest]
                }
            }
            let next = try EnforcedSnapshot(manifest: manifest, replacing: current) { gathered[$0] }
            let anew = try EnforcedSnapshot(manifest: manifest) { encoded.chunks[$0] }
            try #require(SnapshotDescription.text(next) == SnapshotDescription.text(anew), "version \(version)")
            #expect(next.chunks() == encoded.chunks && next.chunkCount == encoded.chunks.count)
            #expect(next.keyCount == history.content.apps.reduce(0) { $0 + $1.keys.count })
            for app in history.content.apps {
                for key in app.keys {
                    let found = try #require(next.key(key.id))
                    #expect(found.digest == key.digest && found.app.id == app.id)
                }
            }
            current = next
        }
    }

    @Test func `keeps what did not change, objects and all`() throws {
        var content = try Sample.large(300)
        var image = SnapshotImage(content)
        let first = try EnforcedSnapshot(
            manifest: image.manifest(lineage: Sample.lineage, version: 1, createdAt: 0)
        ) { image.chunks[$0] }
        content.apps[7].name = "another"
        try image.replaceApps([content.apps[7].id: content.apps[7]])
        let policy = try Sample.policy("pol_app_100", scope: .app("app_100"), mode: .shadow, sequence: 110)
        try image.replacePolicies([policy.id: policy])
        let second = try EnforcedSnapshot(
            manifest: image.manifest(lineage: Sample.lineage, version: 2, createdAt: 0),
            replacing: first
        ) { image.chunks[$0] }
        for app in content.apps {
            let (old, new) = (try #require(first.key(app.keys[0].id)), try #require(second.key(app.keys[0].id)))
            // Its neighbours in the leaf stay the same objects; so do the rules of all policies but the one.
            #expect((old.app === new.app) == (app.id != "app_7"))
            let same = zip(old.rules, new.rules).filter { $0 === $1 }.count
            #expect(old.rules.count == new.rules.count)
            #expect(same == old.rules.count - (app.id == "app_100" ? 1 : 0))
        }
        #expect(first.providers[0] === second.providers[0])
    }

    @Test func `is refused whole when a key moves to another app and stays in the first as well`() throws {
        let content = try Sample.large(300)
        var image = SnapshotImage(content)
        let first = try EnforcedSnapshot(
            manifest: image.manifest(lineage: Sample.lineage, version: 1, createdAt: 0)
        ) { image.chunks[$0] }
        var thief = content.apps[250]
        thief.keys.append(content.apps[3].keys[0])
        try image.replaceApps([thief.id: thief])
        let doubled = image
        let id = content.apps[3].keys[0].id
        #expect(throws: SnapshotError.duplicate(part: "keys", id: id.text)) {
            try EnforcedSnapshot(
                manifest: doubled.manifest(lineage: Sample.lineage, version: 2, createdAt: 0),
                replacing: first
            ) { doubled.chunks[$0] }
        }
        // Given up by the first it may move.
        var robbed = content.apps[3]
        robbed.keys.removeFirst()
        try image.replaceApps([robbed.id: robbed])
        let moved = try EnforcedSnapshot(
            manifest: image.manifest(lineage: Sample.lineage, version: 3, createdAt: 0),
            replacing: first
        ) { image.chunks[$0] }
        #expect(moved.key(id)?.app.id == thief.id && first.key(id)?.app.id == content.apps[3].id)
    }

    @Test func `leaves an image as it was when a record is out of bounds`() throws {
        let content = try Sample.large(300)
        var image = SnapshotImage(content)
        let before = image.chunks
        var long = content.apps[9]
        long.name = String(repeating: "n", count: 257)
        #expect(throws: SnapshotError.self) { try image.replaceApps([long.id: long]) }
        var policy = content.policies[0]
        policy.program = [UInt8](repeating: 0, count: SnapshotBounds.maxProgramBytes + 1)
        #expect(throws: SnapshotError.self) { try image.replacePolicies([policy.id: policy]) }
        var model = content.models[0]
        model.routes[0].providerID = "prv_9"
        #expect(throws: SnapshotError.self) { try image.replaceRoutes(content.providers, [model]) }
        #expect(image.chunks == before)
        #expect(try image.app("app_9") == content.apps[9] && image.app("app_unknown") == nil)
    }

    /// FNV-1a of "a" is 0xaf63dc4c8601ec8c, of "foobar" 0x85944171f73967e8: the published vectors.
    @Test(arguments: [("a", "/c8ce"), ("foobar", "/8e76")]) func `puts a record where its id's hash says`(
        id: String,
        path: String
    ) {
        let hash = FNV1a.hash(id)
        var place = TreePlace.root
        for _ in 0..<4 { place = place.child(place.index(of: hash)) }
        #expect(place.suffix == path && place.holds(hash) && !place.holds(hash ^ 0x10))
        for _ in 0..<12 { place = place.child(place.index(of: hash)) }
        #expect(place.depth == TreeShape.maxDepth && place.holds(hash) && !place.holds(hash ^ (1 << 63)))
    }
}
