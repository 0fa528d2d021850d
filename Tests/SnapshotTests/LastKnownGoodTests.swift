// The copies on disk, damaged in every way that a crash or a disk can think of: a node starts from a whole one or
// from none, never from half a policy.

import Foundation
import Secrets
import Snapshot
import Testing

@Suite struct `The last-known-good store` {
    /// A directory of this test's own, removed when it ends.
    final class Directory {
        let path: String

        init() throws {
            path = "\(FileManager.default.temporaryDirectory.path)/weir-lkg-\(UUID().uuidString)"
        }

        deinit {
            do {
                try FileManager.default.removeItem(atPath: path)
            } catch {
                // A test that saved nothing made no directory.
            }
        }

        var store: LastKnownGood { LastKnownGood(directory: path + "/deep/er") }

        func file(_ index: Int) -> URL {
            URL(fileURLWithPath: "\(store.directory)/\(LastKnownGood.fileNames[index])")
        }
    }

    static func save(_ versions: [UInt64], in store: LastKnownGood) throws {
        for version in versions {
            try store.save(try Sample.encode(try Sample.content(), version: version))
        }
    }

    /// Of the whole copies, the newest first.
    static func versions(in directory: Directory, _ key: VerifyingKey) -> [UInt64] {
        directory.store.newestFirst(verifyingKey: key).map { $0.manifest.version }
    }

    @Test func `is empty before the first save`() throws {
        let directory = try Directory()
        #expect(directory.store.load(verifyingKey: try Sample.signingKey().verifyingKey) == nil)
    }

    @Test func `gives back the newest of what was saved, and keeps the one before`() throws {
        let directory = try Directory()
        let key = try Sample.signingKey().verifyingKey
        for version in 1...5 as ClosedRange<UInt64> {
            try Self.save([version], in: directory.store)
            let stored = try #require(directory.store.load(verifyingKey: key))
            #expect(stored.manifest.version == version)
            #expect(stored.encoded == (try Sample.encode(try Sample.content(), version: version)))
        }
        #expect(Self.versions(in: directory, key) == [5, 4])
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.store.directory)
        #expect(names.sorted() == LastKnownGood.fileNames)
    }

    @Test func `goes by the order of saves, since a restored database begins a new lineage`() throws {
        let directory = try Directory()
        try Self.save([7, 3], in: directory.store)
        #expect(directory.store.load(verifyingKey: try Sample.signingKey().verifyingKey)?.manifest.version == 3)
    }

    @Test func `trusts nothing signed by another key`() throws {
        let directory = try Directory()
        try Self.save([1], in: directory.store)
        let other = try Sample.signingKey(9).verifyingKey
        #expect(directory.store.load(verifyingKey: other) == nil)
        guard case .damaged(.foreignKey) = directory.store.inspect(verifyingKey: other)[0].state else {
            Issue.record("the copy is not said to be foreign")
            return
        }
    }

    @Test(arguments: [0, 1]) func `uses the other copy when one is damaged, and replaces the damaged one`(
        damaged: Int
    ) throws {
        let directory = try Directory()
        let key = try Sample.signingKey().verifyingKey
        try Self.save([1, 2], in: directory.store)
        let whole = try Data(contentsOf: directory.file(damaged))
        let survivor: UInt64 = damaged == 0 ? 2 : 1
        var random = Seeded(state: UInt64(damaged))
        var wounds: [Data] = [Data(), Data(count: whole.count), whole + [0], Data("rubbish".utf8)]
        wounds += (0..<60).map { _ in whole.prefix(Int.random(in: 0..<whole.count, using: &random)) }
        wounds += (0..<60).map { _ in
            var flipped = whole
            flipped[Int.random(in: 0..<whole.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            return flipped
        }
        var zeroed = whole
        zeroed.replaceSubrange(whole.count / 2..<whole.count, with: Data(count: whole.count - whole.count / 2))
        wounds.append(zeroed)
        for wound in wounds {
            try wound.write(to: directory.file(damaged))
            #expect(Self.versions(in: directory, key) == [survivor])
        }
        try Self.save([3], in: directory.store)
        #expect(Self.versions(in: directory, key) == [3, survivor])
    }

    @Test func `accepts no flipped byte of a copy`() throws {
        let directory = try Directory()
        let key = try Sample.signingKey().verifyingKey
        try Self.save([1], in: directory.store)
        let whole = try Data(contentsOf: directory.file(0))
        for index in whole.indices {
            var flipped = whole
            flipped[index] ^= 0x10
            try flipped.write(to: directory.file(0))
            #expect(directory.store.load(verifyingKey: key) == nil, "byte \(index)")
        }
    }

    @Test func `loads nothing when both copies are damaged, and recovers with the next save`() throws {
        let directory = try Directory()
        let key = try Sample.signingKey().verifyingKey
        try Self.save([1, 2], in: directory.store)
        for index in 0...1 {
            try Data("rubbish".utf8).write(to: directory.file(index))
        }
        #expect(directory.store.load(verifyingKey: key) == nil)
        try Self.save([3, 4], in: directory.store)
        #expect(Self.versions(in: directory, key) == [4, 3])
    }

    @Test func `is not disturbed by what a crashed save left`() throws {
        let directory = try Directory()
        try Self.save([1], in: directory.store)
        for index in 0...1 {
            try Data("half".utf8).write(to: URL(fileURLWithPath: directory.file(index).path + ".new"))
        }
        try Self.save([2], in: directory.store)
        #expect(directory.store.load(verifyingKey: try Sample.signingKey().verifyingKey)?.manifest.version == 2)
    }

    @Test func `says so when the disk refuses`() throws {
        let store = LastKnownGood(directory: "/proc/weir")
        let encoded = try Sample.encode(SnapshotContent())
        #expect(throws: DiskError.self) { try store.save(encoded) }
        #expect(store.load(verifyingKey: try Sample.signingKey().verifyingKey) == nil)
    }

    @Test func `keeps what it had when the file cannot be replaced`() throws {
        let directory = try Directory()
        let key = try Sample.signingKey().verifyingKey
        try Self.save([1], in: directory.store)
        // A directory in the file's place can't be renamed over.
        try FileManager.default.createDirectory(at: directory.file(1), withIntermediateDirectories: false)
        let encoded = try Sample.encode(SnapshotContent(), version: 2)
        #expect(throws: DiskError.self) { try directory.store.save(encoded) }
        #expect(Self.versions(in: directory, key) == [1])
    }
}
