// A node starts from its disk when everything else is down, so the copy there must survive a crash in the middle of a
// save and a disk that damages a file: there are two, written in turn, and every byte is verified when it is read.

internal import Codec
public import Secrets
internal import Synchronization

/// The last snapshots that a node enforced, on its disk.
///
/// Layout: schemas/snapshot.md §4. One process saves at a time. Calls block on the disk: they belong on the node
/// agent's thread, never on a request's.
public final class LastKnownGood: Sendable {
    /// The two copies' names.
    public static let fileNames = ["snapshot-a.weir", "snapshot-b.weir"]

    /// Where the copies are.
    public let directory: String

    /// The generations of the copies that are whole, once they were read or written.
    private let generations = Mutex<[UInt64?]?>(nil)

    /// Names a directory; it is made when something is saved.
    public init(directory: String) {
        self.directory = directory
    }

    /// Writes the snapshot over the older copy, or over one that is damaged.
    ///
    /// A temporary file is written, synchronised and renamed, then the directory is synchronised: a crash leaves both
    /// files as they were, or this one new. Costs one fsync of each file and directory; the first save also reads both
    /// copies, to learn whether they are whole.
    ///
    /// - Returns: the bytes written.
    /// - Throws: when the disk refuses; both copies are then what they were.
    @discardableResult
    public func save(_ encoded: EncodedSnapshot) throws(DiskError) -> Int {
        try Disk.makeDirectory(directory)
        var generations = generations.withLock { $0 } ?? Self.fileNames.map(wholeGeneration(ofFile:))
        let target = (generations[0] ?? 0) <= (generations[1] ?? 0) ? 0 : 1
        let generation = max(generations[0] ?? 0, generations[1] ?? 0) &+ 1
        // Should the write fail, what is there is looked at anew by the next save.
        self.generations.withLock { $0 = nil }
        let parts = StoredCodec.parts(encoded, generation: generation)
        try Disk.replace(file: Self.fileNames[target], in: directory, withParts: parts)
        generations[target] = generation
        self.generations.withLock { [generations] in $0 = generations }
        return encoded.chunks.values.reduce(encoded.manifest.count) { $0 + $1.count }
    }

    /// The newest copy that is whole and signed by the key; nil when neither is.
    public func load(verifyingKey: VerifyingKey, environment: [UInt8] = []) -> StoredSnapshot? {
        newestFirst(verifyingKey: verifyingKey, environment: environment).first { _ in true }
    }

    /// Every copy that is whole and signed by the key, the newest first.
    ///
    /// The second one is for a node whose build cannot enforce the first; it is read when it is asked for.
    public func newestFirst(
        verifyingKey: VerifyingKey,
        environment: [UInt8] = []
    ) -> some Sequence<StoredSnapshot> {
        // What a damaged file says of its generation is not to be believed, but then it gives no copy either.
        let order = Self.fileNames.map { (name: $0, generation: statedGeneration(ofFile: $0) ?? 0) }
            .sorted { $0.generation > $1.generation }
        return order.lazy.compactMap { [self] file in
            guard case .whole(let stored) = state(ofFile: file.name, verifyingKey, environment) else { return nil }
            return stored
        }
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
        do throws(StoredCodec.Failure) {
            guard let file = try open(name) else { return .absent }
            let index = try StoredCodec.index(from: file)
            let manifest: Manifest
            do throws(SnapshotError) {
                manifest = try SnapshotDecoder.manifest(
                    index.manifest,
                    verifyingKey: verifyingKey,
                    environment: environment
                )
            } catch {
                return .damaged(error)
            }
            var chunks: [Digest: [UInt8]] = [:]
            chunks.reserveCapacity(index.chunks.count)
            try StoredCodec.readChunks(of: index, from: file) { chunks[$0] = $1 }
            let encoded = EncodedSnapshot(manifest: index.manifest, chunks: chunks)
            return .whole(StoredSnapshot(generation: index.generation, manifest: manifest, encoded: encoded))
        } catch {
            switch error {
            case .disk(let error): return .unreadable(error)
            case .content(let error): return .damaged(.malformed(part: "file", error))
            }
        }
    }

    private func open(_ name: String) throws(StoredCodec.Failure) -> DiskReader? {
        do throws(DiskError) {
            return try DiskReader.open(file: name, in: directory)
        } catch {
            throw .disk(error)
        }
    }

    private func statedGeneration(ofFile name: String) -> UInt64? {
        do throws(StoredCodec.Failure) {
            return try open(name).map { file throws(StoredCodec.Failure) in try StoredCodec.index(from: file) }?
                .generation
        } catch {
            // Whoever reads the file says why.
            return nil
        }
    }

    /// A file's generation; nil when it is absent or damaged, and so the first to be replaced.
    private func wholeGeneration(ofFile name: String) -> UInt64? {
        do throws(StoredCodec.Failure) {
            guard let file = try open(name) else { return nil }
            let index = try StoredCodec.index(from: file)
            try StoredCodec.readChunks(of: index, from: file) { _, _ in }
            return index.generation
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
    /// The bytes of it and of its chunks, which are what was saved; what they say is for their decoder to judge.
    public let encoded: EncodedSnapshot
}
