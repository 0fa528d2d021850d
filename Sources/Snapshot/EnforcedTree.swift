// The chunks of a version as a node holds them, made from those of the version before: equal chunks are taken over
// unread, and of a changed leaf only the records whose bytes are other ones are made again.

internal import Codec
import Policy
internal import Secrets

/// What a node makes of a record.
protocol LoadedRecord: Sendable {
    /// The record's id.
    var id: String { get }
    /// Of the record's bytes: equal records need not be made again.
    var digest: Digest { get }
}

/// An app and its keys.
struct LoadedApp: LoadedRecord {
    let app: EnforcedApp
    let keys: [KeyEntry]
    let digest: Digest

    var id: String { app.id }

    init(_ record: AppRecord, digest: Digest, _ texts: TextPool) {
        let app = EnforcedApp(record, texts)
        self.app = app
        keys = record.keys.map { KeyEntry($0, app: app, texts) }
        self.digest = digest
    }
}

/// Reads one tree of a snapshot, given the same tree of the version before.
struct TreeLoader<Item: LoadedRecord> {
    /// Makes what a leaf's records become.
    struct Leaf {
        let range: Range<Int>
        let id: String
        let make: (Digest) throws(SnapshotError) -> Item
    }

    private let chunks: (Digest) -> [UInt8]?
    private let read: ([UInt8], ChunkReference) throws(SnapshotError) -> [Leaf]
    private var old: [String: Item] = [:]
    /// What is new.
    private(set) var added: [Item] = []

    /// Makes a loader.
    ///
    /// - Parameters:
    ///   - chunks: gives the bytes of a digest, or nil.
    ///   - read: a leaf's records.
    init(
        chunks: @escaping (Digest) -> [UInt8]?,
        read: @escaping ([UInt8], ChunkReference) throws(SnapshotError) -> [Leaf]
    ) {
        self.chunks = chunks
        self.read = read
    }

    /// What was there before and is not any more, or is another; after `load`.
    var removed: some Sequence<Item> { old.values }

    /// The tree under a reference.
    mutating func load(
        _ reference: ChunkReference,
        replacing before: TreeNode<Item>?
    ) throws(SnapshotError) -> TreeNode<Item> {
        if let before, before.reference == reference { return before }
        let bytes = try SnapshotDecoder.verified(reference, chunks)
        let isPageBefore = before?.children.isEmpty == false
        // Records may move when a leaf is divided or leaves are joined: whatever was here is looked up by its id.
        if let before, !isPageBefore || !reference.isPage { giveUp(before) }
        guard reference.isPage else {
            return TreeNode(reference, chunk: bytes, items: try items(bytes, reference))
        }
        let references = try SnapshotDecoder.verifiedPage(bytes, reference)
        var children: [TreeNode<Item>?] = []
        children.reserveCapacity(references.count)
        for (index, child) in references.enumerated() {
            let before = isPageBefore ? before?.children[index] : nil
            if let child {
                children.append(try load(child, replacing: before))
            } else {
                if let before { giveUp(before) }
                children.append(nil)
            }
        }
        return TreeNode(reference, chunk: bytes, children: children)
    }

    private mutating func giveUp(_ node: TreeNode<Item>) {
        for item in node.items { old[item.id] = item }
        for case let child? in node.children { giveUp(child) }
    }

    private mutating func items(_ bytes: [UInt8], _ reference: ChunkReference) throws(SnapshotError) -> [Item] {
        let records = try read(bytes, reference)
        var items: [Item] = []
        items.reserveCapacity(records.count)
        for record in records {
            let digest = SHA256.digest(bytes.span.extracting(record.range))
            if let known = old[record.id], known.digest == digest {
                old[record.id] = nil
                items.append(known)
                continue
            }
            let item = try record.make(digest)
            added.append(item)
            items.append(item)
        }
        return items
    }
}

extension TreeNode where Item == LoadedApp {
    /// The app with an id.
    func app(_ id: String) -> LoadedApp? {
        leaf(FNV1a.hash(id))?.items.first { $0.id.utf8.elementsEqual(id.utf8) }
    }
}
