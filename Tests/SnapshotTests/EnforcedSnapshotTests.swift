// What the request path asks: the right key, the right model, and the rules that apply, in order.

import AllocationCounter
import Policy
import Secrets
import Snapshot
import Testing

@Suite struct `A key id` {
    @Test(arguments: ["0123456789abcdef", "zzzzzzzzzzzzzzzz", "0000000000000000"])
    func `is read and written as 16 characters`(text: String) throws {
        let id = try #require(KeyID(text))
        #expect(id.text == text && id.bytes == Array(text.utf8) && "\(id)" == text)
        #expect(KeyID(ascii: id.bytes.span) == id)
    }

    @Test(arguments: [
        "", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "0123456789abcde_", "0123456789abcde\u{0}",
        "é123456789abcde", "/123456789abcdef", ":123456789abcdef", "`123456789abcdef", "{123456789abcdef",
    ]) func `is nothing else`(text: String) {
        #expect(KeyID(text) == nil)
    }

    @Test func `differs when one character does`() throws {
        let base = Array("0123456789abcdef".utf8)
        for index in base.indices {
            var other = base
            other[index] = UInt8(ascii: "z")
            #expect(KeyID(ascii: other.span) != KeyID(ascii: base.span))
        }
    }
}

@Suite struct `An enforced snapshot` {
    @Test func `finds a key with its app and its secret's digest`() throws {
        let snapshot = try Sample.enforce(try Sample.content())
        let key = try #require(snapshot.key(try Sample.keyID(11)))
        #expect(key.id == "k000000000000011" && key.subject.id == Array(key.id.utf8))
        #expect(key.app.id == "app_1" && key.app.subject.id == Array("app_1".utf8) && key.app.organisation == "acme")
        #expect(key.digest == SHA256.digest(Array("secret 11".utf8)))
        #expect(!key.isRevoked && key.expiresAt == nil && key.createdAt == 1_769_000_000_000)
        #expect(snapshot.key(try Sample.keyID(99)) == nil)
        #expect(snapshot.keyCount == 3 && snapshot.appCount == 2 && snapshot.policyCount == 3)
        #expect(key.app === snapshot.key(try Sample.keyID(10))?.app)
    }

    @Test func `finds a key and what applies to it without an allocation`() throws {
        let snapshot = try Sample.enforce(try Sample.large(300))
        let ids = try (0..<300).map { try Sample.keyID($0 * 10) } + [try Sample.keyID(999_999)]
        let before = weir_allocation_count()
        var ruleCount = 0
        var unknownCount = 0
        // By index: an array's iterator allocates in a debug build.
        for index in 0..<ids.count {
            if let key = snapshot.key(ids[index]) {
                ruleCount += key.rules.count + key.app.organisation.utf8.count
            } else {
                unknownCount += 1
            }
        }
        let after = weir_allocation_count()
        #expect(ruleCount > 0 && unknownCount == 1)
        #expect(after - before == 0)
        // The counter counts: this allocates.
        let array = [UInt8](repeating: 0, count: Int.random(in: 100...200))
        #expect(weir_allocation_count() > after && array.count >= 100)
    }

    /// Equal texts are kept once, and `==` on strings holds these two for equal.
    @Test func `keeps texts apart that differ in bytes only`() throws {
        let names = ["an organisation: caf\u{E9}", "an organisation: cafe\u{301}", "an organisation: caf\u{E9}"]
        let apps = try names.enumerated().map { index, name in
            AppRecord(id: "app_\(index)", name: "n", organisation: name, keys: [try Sample.key(index)])
        }
        let snapshot = try Sample.enforce(SnapshotContent(apps: apps))
        for (index, name) in names.enumerated() {
            let found = try #require(snapshot.key(try Sample.keyID(index))).app.organisation
            #expect(Array(found.utf8) == Array(name.utf8))
        }
    }

    @Test func `tells a usable key from one that is revoked, expired or of a disabled app`() throws {
        var content = try Sample.content()
        content.apps[0].keys = [try Sample.key(11), try Sample.key(12), try Sample.key(15)]
        let snapshot = try Sample.enforce(content)
        #expect(snapshot.key(try Sample.keyID(11))?.isUsable(at: .max) == true)
        #expect(snapshot.key(try Sample.keyID(12))?.isUsable(at: 1_799_999_999_999) == true)
        #expect(snapshot.key(try Sample.keyID(12))?.isUsable(at: 1_800_000_000_000) == false)
        #expect(snapshot.key(try Sample.keyID(15))?.isUsable(at: 0) == false)
        #expect(snapshot.key(try Sample.keyID(20))?.isUsable(at: 0) == false)
    }

    @Test func `finds a model by its bytes and no other`() throws {
        var content = try Sample.content()
        content.models += (0..<500).map { number in
            ModelRecord(name: "m\(number)", routes: [RouteRecord(providerID: "prv_1", upstreamModel: "u\(number)")])
        }
        content.models.append(
            ModelRecord(name: "caf\u{E9}", routes: [RouteRecord(providerID: "prv_1", upstreamModel: "c")])
        )
        let snapshot = try Sample.enforce(content)
        for number in 0..<500 {
            let model = try #require(snapshot.model(named: Array("m\(number)".utf8)))
            #expect(model.name == "m\(number)" && model.routes[0].upstreamModel == Array("u\(number)".utf8))
        }
        for name in ["", "m500", "M1", "gpt-4", "gpt-4o ", "gpt-4o\u{0}", "cafe\u{301}"] {
            #expect(snapshot.model(named: Array(name.utf8)) == nil)
        }
        #expect(snapshot.model(named: Array("caf\u{E9}".utf8)) != nil)
        #expect(
            snapshot.models.map(\.nameBytes)
                == snapshot.models.map(\.nameBytes).sorted { $0.lexicographicallyPrecedes($1) }
        )
        #expect(try Sample.enforce(SnapshotContent()).model(named: []) == nil)
    }

    @Test func `keeps a model's routes in order with their weights`() throws {
        let snapshot = try Sample.enforce(try Sample.content())
        let model = try #require(snapshot.model(named: Array("best".utf8)))
        #expect(model.routes.map(\.upstreamModelText) == ["claude", "gpt-4o"])
        #expect(model.upstreamModels == model.routes.map(\.upstreamModel))
        #expect(model.totalWeight == 3 && model.routes[1].weight == 0)
        #expect(model.routes[0].provider === snapshot.providers[1])
        #expect(snapshot.providers.map(\.index) == [0, 1] && snapshot.providers.map(\.id) == ["prv_1", "prv_2"])
        #expect(snapshot.providers[0].sealedCredential == [1, 2, 3] && !snapshot.providers[1].injectsStreamUsage)
    }

    @Test func `orders rules by priority, then time, then running number`() throws {
        var content = try Sample.content()
        content.policies = [
            try Sample.policy("p_late", createdAt: 300, sequence: 1),
            try Sample.policy("p_a_second", createdAt: 100, sequence: 8),
            try Sample.policy("p_z_first", createdAt: 100, sequence: 7),
            try Sample.policy("p_app", scope: .app("app_1"), createdAt: 200, sequence: 9),
            try Sample.policy("p_key", scope: .key(try Sample.keyID(11)), createdAt: 150, sequence: 9),
            try Sample.policy("p_last_priority", priority: .max, createdAt: 900, sequence: 1),
            try Sample.policy("p_top", scope: .key(try Sample.keyID(11)), priority: -1, createdAt: 999, sequence: 1),
            try Sample.policy("p_zero_b", priority: 0, createdAt: 2, sequence: 1),
            try Sample.policy("p_zero_a", scope: .app("app_1"), priority: 0, createdAt: 1, sequence: 2),
            try Sample.policy("p_other", scope: .app("app_2"), createdAt: 1, sequence: 2),
        ]
        let expected = [
            "p_top", "p_zero_a", "p_zero_b", "p_last_priority", "p_z_first", "p_a_second", "p_key", "p_app", "p_late",
        ]
        var random = Seeded(state: 3)
        for _ in 0..<20 {
            content.policies.shuffle(using: &random)
            let snapshot = try Sample.enforce(content)
            let rules = try #require(snapshot.key(try Sample.keyID(11))).rules
            #expect(rules.map { String(decoding: $0.policyID, as: UTF8.self) } == expected)
            let sibling = try #require(snapshot.key(try Sample.keyID(10))).rules
            #expect(
                sibling.map { String(decoding: $0.policyID, as: UTF8.self) }
                    == expected.filter { $0 != "p_top" && $0 != "p_key" }
            )
        }
    }

    @Test func `carries what the policy says into its rule`() throws {
        let snapshot = try Sample.enforce(try Sample.content())
        let rule = try #require(snapshot.key(try Sample.keyID(11))?.rules.first)
        #expect(rule.policyID == Array("pol_2".utf8) && rule.kind == "request_size" && rule.mode == .shadow)
        #expect(rule.onError == .allow && rule.priority == -5 && rule.createdAt == 1000)
        #expect(rule.program.maxBodyBytes == 1 << 20)
    }

    @Test func `bounds bodies by the least enforced rule`() throws {
        var content = try Sample.content()
        content.policies = [
            try Sample.policy("p1", maxBytes: 500),
            try Sample.policy("p2", scope: .app("app_1"), maxBytes: 400),
            try Sample.policy("p3", scope: .app("app_1"), mode: .shadow, maxBytes: 3),
            try Sample.policy("p4", scope: .key(try Sample.keyID(11)), maxBytes: 300),
        ]
        let snapshot = try Sample.enforce(content)
        #expect(snapshot.key(try Sample.keyID(11))?.maxBodyBytes == 300)
        #expect(snapshot.key(try Sample.keyID(10))?.maxBodyBytes == 400)
        #expect(snapshot.key(try Sample.keyID(20))?.maxBodyBytes == 500)
        content.policies = []
        #expect(try Sample.enforce(content).key(try Sample.keyID(11))?.maxBodyBytes == nil)
    }

    @Test func `shares one list between all keys without policies of their own`() throws {
        let snapshot = try Sample.enforce(try Sample.large(200))
        let shared = try #require(snapshot.key(try Sample.keyID(20))).rules
        let other = try #require(snapshot.key(try Sample.keyID(1990))).rules
        // The same memory, not an equal copy.
        let isShared = unsafe shared.withUnsafeBufferPointer { first in
            unsafe other.withUnsafeBufferPointer { second in unsafe first.baseAddress == second.baseAddress }
        }
        #expect(isShared)
        let own = try #require(snapshot.key(try Sample.keyID(1000))).rules
        #expect(own.count == shared.count + 1)
    }

    @Test func `is refused whole when a policy is of an unknown kind or its program is broken`() throws {
        var content = try Sample.content()
        content.policies[2].kind = "oracle"
        #expect(throws: SnapshotError.unknownKind(policy: "pol_3", kind: "oracle")) { try Sample.enforce(content) }
        content = try Sample.content()
        content.policies[2].program.removeLast()
        #expect {
            try Sample.enforce(content)
        } throws: { error in
            guard case SnapshotError.invalidProgram(policy: "pol_3", _) = error else { return false }
            return true
        }
        // For nobody, and refused all the same.
        content.policies[2].scope = .app("app_gone")
        #expect(throws: SnapshotError.self) { try Sample.enforce(content) }
    }

    @Test func `is refused when ids repeat or a route leads nowhere`() throws {
        for index in `The encoder's check`.mistakes.indices where [1, 2, 4, 5, 12, 13, 15].contains(index) {
            var content = try Sample.content()
            try `The encoder's check`.mistakes[index](&content)
            let spoilt = content
            #expect(throws: SnapshotError.self, "mistake \(index)") { try Sample.enforce(spoilt) }
        }
    }

    @Test func `is built from 10,000 apps with three keys each`() throws {
        let content = try Sample.large(10_000)
        let clock = ContinuousClock()
        var encoded = EncodedSnapshot(manifest: [], chunks: [:])
        let encoding = try clock.measure { encoded = try Sample.encode(content) }
        var decoded = SnapshotContent()
        let decoding = try clock.measure { decoded = try Sample.decode(encoded).1 }
        var snapshot: EnforcedSnapshot?
        let building = try clock.measure { snapshot = try Sample.enforce(decoded) }
        let size = encoded.chunks.values.reduce(0) { $0 + $1.count }
        print(
            """
            10,000 apps × 3 keys: encode \(encoding), decode \(decoding), build \(building), \
            manifest \(encoded.manifest.count) B, \(encoded.chunks.count) chunks of \(size) B
            """
        )
        #expect(snapshot?.keyCount == 30_000)
        #expect(decoded.canonical() == content.canonical())
    }
}
