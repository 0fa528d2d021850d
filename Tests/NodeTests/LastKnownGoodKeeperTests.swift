// What is on disk is the newest, and a burst of large snapshots is not written one by one.

import Foundation
import Logging
import Secrets
import Snapshot
import Stack
import Testing

@testable import Gateway

@Suite struct `The keeper of the last known good` {
    private let key = SigningKey.generate()

    /// A snapshot of a version, and its manifest; a large one is over a megabyte.
    private func snapshot(_ version: UInt64, isLarge: Bool) throws -> (manifest: [UInt8], EnforcedSnapshot) {
        let tags = isLarge ? (0..<64).map { "\($0)" + String(repeating: "t", count: 120) } : []
        let apps = (0..<(isLarge ? 200 : 2)).map { number in
            AppRecord(id: "app_\(number)", name: "v\(version)", organisation: "o", tags: tags)
        }
        let encoded = SnapshotEncoder.encode(
            SnapshotContent(apps: apps),
            lineage: NodeFixture.lineage,
            version: version,
            createdAt: 1,
            signingKey: key
        )
        let manifest = try SnapshotDecoder.manifest(encoded.manifest, verifyingKey: key.verifyingKey)
        return (encoded.manifest, try EnforcedSnapshot(manifest: manifest) { encoded.chunks[$0] })
    }

    private func keeper(_ directory: String) throws -> LastKnownGoodKeeper {
        try LastKnownGoodKeeper(
            directory: directory,
            retryPause: .milliseconds(20),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private func newest(_ directory: TemporaryDirectory) -> StoredSnapshot? { newest(directory.path) }

    private func newest(_ directory: String) -> StoredSnapshot? {
        LastKnownGood(directory: directory).load(verifyingKey: key.verifyingKey)
    }

    @Test func `writes a burst of large snapshots as a few, and the last one in any case`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-keeper")
        let keeper = try keeper(directory.path)
        let all = try (1...8 as ClosedRange<UInt64>).map { try snapshot($0, isLarge: true) }
        keeper.save(manifest: all[0].manifest, of: all[0].1)
        #expect(await eventually { newest(directory)?.manifest.version == 1 })
        // Within the rest after the first, which is a second at least: all of these wait.
        for (manifest, snapshot) in all.dropFirst() { keeper.save(manifest: manifest, of: snapshot) }
        keeper.stop()
        let last = try #require(newest(directory))
        #expect(last.manifest.version == 8)
        // Each write is one generation; on a busy machine the rest may end in the middle of the burst.
        #expect(last.generation <= 3)
    }

    @Test func `writes small ones at once, again and again`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-keeper")
        let keeper = try keeper(directory.path)
        for version in 1...5 as ClosedRange<UInt64> {
            let (manifest, snapshot) = try snapshot(version, isLarge: false)
            keeper.save(manifest: manifest, of: snapshot)
            #expect(await eventually { newest(directory)?.manifest.version == version })
        }
        #expect(newest(directory)?.generation == 5)
        keeper.stop()
    }

    @Test func `writes the last of a burst without another one after it`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-keeper")
        let keeper = try keeper(directory.path)
        for version in 1...3 as ClosedRange<UInt64> {
            let (manifest, snapshot) = try snapshot(version, isLarge: true)
            keeper.save(manifest: manifest, of: snapshot)
        }
        #expect(await eventually { newest(directory)?.manifest.version == 3 })
        keeper.stop()
    }

    @Test func `writes what the disk did not take, once it does`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-keeper")
        // Nobody can make a directory below a file, root neither.
        let place = directory.path + "/nodes"
        try Data().write(to: URL(fileURLWithPath: place))
        let keeper = try keeper(place)
        let (manifest, snapshot) = try snapshot(7, isLarge: false)
        keeper.save(manifest: manifest, of: snapshot)
        await pause(for: .milliseconds(100))
        try FileManager.default.removeItem(atPath: place)
        #expect(await eventually { newest(place)?.manifest.version == 7 })
        keeper.stop()
    }
}
