// A node starts from its disk when everything else is down, so the copy there must survive a crash in the middle of a
// save and a disk that damages a file: there are two, written in turn, and every byte is verified when it is read.

public import Secrets

/// The last snapshots that a node enforced, on its disk.
///
/// Layout: schemas/snapshot.md §4. One process saves at a time. Calls block on the disk: they belong on the node
/// agent's thread, never on a request's.
public struct LastKnownGood: Sendable {
    /// The two copies' names.
    public static let fileNames = ["snapshot-a.weir", "snapshot-b.weir"]

    /// Where the copies are.
    public let directory: String

    /// Names a directory; it is made when something is saved.
    public init(directory: String) {
        self.directory = directory
    }

    /// Writes the snapshot over the older copy, or over one that is damaged.
    ///
    /// A temporary file is written, synchronised and renamed, then the directory is synchronised: a crash leaves both
    /// files as they were, or this one new. Costs reading both copies and one fsync of each file and directory.
    ///
    /// - Throws: when the disk refuses; both copies are then what they were.
    public func save(_ encoded: EncodedSnapshot) throws(DiskError) {
        try Disk.makeDirectory(directory)
        let generations = Self.fileNames.map(wholeGeneration(ofFile:))
        let target = (generations[0] ?? 0) <= (generations[1] ?? 0) ? 0 : 1
        let newest = max(generations[0] ?? 0, generations[1] ?? 0)
        let bytes = StoredCodec.write(encoded, generation: newest &+ 1)
        try Disk.replace(file: Self.fileNames[target], in: directory, with: bytes)
    }

    /// The newest copy that is whole and signed by the key; nil when neither is.
    public func load(verifyingKey: VerifyingKey, environment: [UInt8] = []) -> StoredSnapshot? {
        copies(verifyingKey: verifyingKey, environment: environment).first
    }

    /// Every copy that is whole and signed by the key, the newest first.
    ///
    /// The second one is for a node whose build cannot enforce the first.
    public func copies(verifyingKey: VerifyingKey, environment: [UInt8] = []) -> [StoredSnapshot] {
        inspect(verifyingKey: verifyingKey, environment: environment)
            .compactMap { copy in
                guard case .whole(let stored) = copy.state else { return nil }
                return stored
            }
            .sorted { $0.generation > $1.generation }
    }

    /// What is in each of the two files, for logs and people.
    public func inspect(verifyingKey: VerifyingKey, environment: [UInt8] = []) -> [StoredCopy] {
        Self.fileNames.map { name in
            StoredCopy(file: name, state: state(ofFile: name, verifyingKey, environment))
        }
    }

    private func state(
        ofFile name: String,
        _ verifyingKey: VerifyingKey,
        _ environment: [UInt8]
    ) -> StoredCopy.State {
        let bytes: [UInt8]?
        do throws(DiskError) {
            bytes = try Disk.read(file: name, in: directory, maxBytes: SnapshotBounds.maxStoredBytes)
        } catch {
            return .unreadable(error)
        }
        guard let bytes else { return .absent }
        do throws(SnapshotError) {
            return .whole(try StoredCodec.read(bytes, verifyingKey: verifyingKey, environment: environment))
        } catch {
            return .damaged(error)
        }
    }

    /// A file's generation; nil when it is absent or its checksum is wrong, and so the first to be replaced.
    private func wholeGeneration(ofFile name: String) -> UInt64? {
        do throws(DiskError) {
            guard let bytes = try Disk.read(file: name, in: directory, maxBytes: SnapshotBounds.maxStoredBytes) else {
                return nil
            }
            return StoredCodec.wholeGeneration(of: bytes)
        } catch {
            // Unreadable is as good as damaged; if the disk is at fault, the write that follows says so.
            return nil
        }
    }
}

/// One of the two files.
public struct StoredCopy: Sendable {
    /// What a file turned out to be.
    public enum State: Sendable {
        /// There is no such file.
        case absent
        /// It is whole, and its manifest is signed by the key.
        case whole(StoredSnapshot)
        /// It is not what was saved, or not for this node.
        case damaged(SnapshotError)
        /// The disk did not give its bytes.
        case unreadable(DiskError)
    }

    /// The file's name in the directory.
    public let file: String
    /// What it turned out to be.
    public let state: State
}

/// A verified snapshot from the disk.
public struct StoredSnapshot: Sendable {
    /// Counts the saves into this directory; the newest has the greatest.
    public let generation: UInt64
    /// The manifest.
    public let manifest: Manifest
    /// What the chunks say.
    public let content: SnapshotContent
    /// The bytes of both, to compare, to reuse chunks and to save again.
    public let encoded: EncodedSnapshot
}
