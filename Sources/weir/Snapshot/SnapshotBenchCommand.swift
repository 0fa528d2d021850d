// `weir snapshot bench`: what a node pays for many apps: in time, in memory, and in bytes for one change. A command
// rather than a benchmark of the other package, because the figures that count are a fresh process's memory and the
// times of rare events, not the speed of a loop.

import ArgumentParser
import Foundation
import Policy
import Secrets
import Snapshot

struct SnapshotBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure snapshots of many apps: --make writes one to disk, without it one is loaded and changed."
    )

    @Argument(help: "Where the snapshot is kept.")
    var directory: String

    @Flag(help: "Make the snapshot, and measure the control plane's part.")
    var make = false

    @Option(help: "Apps.")
    var apps = 100_000

    @Option(help: "Keys of each app.")
    var keys = 3

    @Option(help: "Policies, 20 or more: ten for everyone, half of the rest for apps, half for keys.")
    var policies = 2000

    func validate() throws {
        guard apps >= 1, (1...10_000).contains(keys), policies >= 20 else {
            throw ValidationError("--apps and --keys must be 1 or more, --policies 20 or more")
        }
    }

    func run() throws {
        let signingKey = try SigningKey(seed: [UInt8](repeating: 7, count: 32))
        if make {
            try makeCopy(signingKey)
        } else {
            try measureNode(signingKey)
        }
    }

    private func makeCopy(_ signingKey: SigningKey) throws {
        let content = try Self.content(apps: apps, keys: keys, policies: policies)
        let image = try timed("encode and check all") { try SnapshotEncoder.check(content) }
        let encoded = sign(image, 1, signingKey)
        let sizes = encoded.chunks.values.map(\.count)
        print("chunks \(sizes.count), bytes \(sizes.reduce(0, +)), largest \(sizes.max() ?? 0)")
        print("manifest \(encoded.manifest.count) bytes")
        try measureChanges(image, content, signingKey)
        _ = try timed("save to disk") { try LastKnownGood(directory: directory).save(encoded) }
    }

    /// What the control plane does for one change, but for the database.
    private func measureChanges(_ image: SnapshotImage, _ content: SnapshotContent, _ signingKey: SigningKey) throws {
        var image = image
        var encoded = sign(image, 1, signingKey)
        var times: [Double] = []
        var moved: [Int] = []
        for number in 0..<200 {
            var app = content.apps[(number * 7919) % content.apps.count]
            app.keys[0].isRevoked = true
            let start = Self.cpuMilliseconds()
            try image.replaceApps([app.id: app])
            let next = sign(image, UInt64(number) + 2, signingKey)
            times.append(Self.cpuMilliseconds() - start)
            let fresh = next.chunks.filter { encoded.chunks[$0.key] == nil }
            moved.append(next.manifest.count + fresh.values.reduce(0) { $0 + $1.count })
            encoded = next
        }
        Self.report("change of one app, encoded and signed", times)
        print("bytes moved by it: median \(moved.sorted()[moved.count / 2]), most \(moved.max() ?? 0)")
    }

    private func measureNode(_ signingKey: SigningKey) throws {
        print("resident before \(Self.residentMegabytes()) MB")
        let store = LastKnownGood(directory: directory)
        let wall = ContinuousClock.now
        var loaded: EnforcedSnapshot?
        try timed("load from disk, verify, build") {
            guard let stored = store.load(verifyingKey: signingKey.verifyingKey) else {
                throw ValidationError("\(directory) has no copy: run with --make first")
            }
            loaded = try EnforcedSnapshot(manifest: stored.manifest) { stored.encoded.chunks[$0] }
        }
        guard let first = loaded else { return }
        print("start to ready \(wall.duration(to: .now)), \(first.appCount) apps, \(first.keyCount) keys")
        print("resident \(Self.residentMegabytes()) MB, greatest so far \(Self.peakMegabytes()) MB")
        Self.measureLookups(first)

        // From here on the process is also the control plane: its memory says nothing about a node.
        guard let stored = store.load(verifyingKey: signingKey.verifyingKey) else { return }
        let content = try timed("decode all records") {
            try SnapshotDecoder.content(manifest: stored.manifest) { stored.encoded.chunks[$0] }
        }
        var image = SnapshotImage(content)
        var current = first
        var version = first.version
        func swap(_ name: String, times count: Int, _ change: (Int, inout SnapshotImage) throws -> Void) throws {
            var times: [Double] = []
            for number in 0..<count {
                try change(number, &image)
                version += 1
                let encoded = sign(image, version, signingKey)
                let start = Self.cpuMilliseconds()
                let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: signingKey.verifyingKey)
                var gathered: [Digest: [UInt8]] = [:]
                while true {
                    let missing = try SnapshotDecoder.missing(manifest, enforced: current) { gathered[$0] }
                    guard !missing.isEmpty else { break }
                    for chunk in missing { gathered[chunk.digest] = encoded.chunks[chunk.digest] }
                }
                current = try EnforcedSnapshot(manifest: manifest, replacing: current) { gathered[$0] }
                times.append(Self.cpuMilliseconds() - start)
            }
            Self.report("swap, \(name)", times)
        }
        try swap("one app changed", times: 200) { number, image in
            var app = content.apps[(number * 7919) % content.apps.count]
            app.keys[0].isRevoked.toggle()
            try image.replaceApps([app.id: app])
        }
        let scoped = content.policies.filter { $0.scope != .global }
        let global = content.policies.filter { $0.scope == .global }
        try swap("one app's policy changed", times: 50) { number, image in
            var policy = scoped[number % scoped.count]
            policy.mode = .shadow
            try image.replacePolicies([policy.id: policy])
        }
        try swap("a policy for everyone changed", times: 10) { number, image in
            var policy = global[number % global.count]
            policy.priority = Int32(number)
            try image.replacePolicies([policy.id: policy])
        }
        let encoded = EncodedSnapshot(manifest: sign(image, version, signingKey).manifest, chunks: current.chunks())
        let scratch = directory + "/scratch"
        _ = try timed("save to disk") { try LastKnownGood(directory: scratch).save(encoded) }
        try FileManager.default.removeItem(atPath: scratch)
    }

    private static func measureLookups(_ snapshot: EnforcedSnapshot) {
        var ids: [KeyID] = []
        snapshot.forEachKey { ids.append($0.keyID) }
        ids.shuffle()
        let rounds = max(1, 2_000_000 / ids.count)
        var found = 0
        let start = cpuMilliseconds()
        for _ in 0..<rounds {
            for id in ids where snapshot.key(id)?.isRevoked == false { found += 1 }
        }
        let nanoseconds = (cpuMilliseconds() - start) * 1_000_000 / Double(rounds * ids.count)
        print("look-up of a random key \(Int(nanoseconds)) ns (\(found / rounds) usable)")
    }

    private func sign(_ image: SnapshotImage, _ version: UInt64, _ key: SigningKey) -> EncodedSnapshot {
        image.signed(
            lineage: String(repeating: "5c", count: 16),
            version: version,
            createdAt: 1_769_000_000_000 + Int64(version),
            signingKey: key
        )
    }

    // MARK: Content

    private static func content(apps: Int, keys: Int, policies: Int) throws -> SnapshotContent {
        let tiers = ["free", "standard", "enterprise"]
        let appRecords = try (0..<apps).map { number in
            AppRecord(
                id: "app_" + letters(number, count: 20),
                name: "application number \(number)",
                organisation: "org_default",
                tier: tiers[number % 3],
                tags: ["team-\(number % 50)", "eu"],
                keys: try (0..<keys).map { key in
                    let index = number * keys + key
                    guard let id = KeyID(letters(index, count: 16)) else { throw ValidationError("no key id") }
                    return KeyRecord(
                        id: id,
                        name: "key \(key) of \(number)",
                        digest: SHA256.digest(Array("secret \(index)".utf8)),
                        tags: ["ci"],
                        createdAt: 1_769_000_000_000 + Int64(index)
                    )
                }
            )
        }
        let kinds: [(String, ConfigValue)] = [
            ("request_size", .object(["max_bytes": .integer(1 << 20)])),
            ("model_allowlist", .object(["allow": .array([.string("gpt-*"), .string("claude-*")])])),
            ("rate_limit", .object(["limit": .integer(100), "window": .string("1m")])),
        ]
        let policyRecords = try (0..<policies).map { number in
            let (name, config) = kinds[number % kinds.count]
            guard let kind = PolicyRegistry.standard.kind(named: name) else { throw ValidationError("no \(name)") }
            let app = appRecords[(number * 37) % apps]
            return PolicyRecord(
                id: "pol_" + letters(number, count: 20),
                name: "policy \(number)",
                kind: name,
                scope: number < 10
                    ? .global : number % 2 == 0 ? .app(app.id) : .key(app.keys[0].id),
                createdAt: 1_769_000_000_000,
                sequence: UInt64(number),
                program: try kind.compile(config)
            )
        }
        let provider = ProviderRecord(id: "prv_1", name: "p", kind: .openAI, baseURL: "http://127.0.0.1:1/v1")
        let models = (0..<100).map { number in
            ModelRecord(
                name: "model-\(number)",
                routes: [RouteRecord(providerID: "prv_1", upstreamModel: "gpt-4o")]
            )
        }
        return SnapshotContent(apps: appRecords, policies: policyRecords, providers: [provider], models: models)
    }

    /// Digits and small letters that look drawn by lot, the same each time.
    private static func letters(_ number: Int, count: Int) -> String {
        let digest = SHA256.digest(Array("id \(number)".utf8)).bytes
        return String(
            decoding: digest.prefix(count).map { Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)[Int($0) % 36] },
            as: UTF8.self
        )
    }

    // MARK: Measuring

    @discardableResult
    private func timed<Value>(_ name: String, _ body: () throws -> Value) rethrows -> Value {
        let cpu = Self.cpuMilliseconds()
        let start = ContinuousClock.now
        let value = try body()
        let wall = start.duration(to: .now)
        print("\(name): \(wall), \(Int(Self.cpuMilliseconds() - cpu)) ms of CPU")
        return value
    }

    private static func report(_ name: String, _ times: [Double]) {
        let sorted = times.sorted()
        let format = { (value: Double) in String(format: "%.2f", value) }
        let (median, most) = (format(sorted[sorted.count / 2]), format(sorted.last ?? 0))
        print("\(name): median \(median) ms of CPU, most \(most) (\(times.count) times)")
    }

    private static func cpuMilliseconds() -> Double {
        Double(clock()) * 1000 / Double(CLOCKS_PER_SEC)
    }

    private static func residentMegabytes() -> Int { status("VmRSS:") }
    private static func peakMegabytes() -> Int { status("VmHWM:") }

    private static func status(_ field: String) -> Int {
        guard let bytes = FileManager.default.contents(atPath: "/proc/self/status") else { return 0 }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(field) {
            let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap {
                Int($0)
            }
            return (kilobytes ?? 0) / 1024
        }
        return 0
    }
}
