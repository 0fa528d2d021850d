// Over which chunks records are spread: a radix tree by the hash of their ids (schemas/snapshot.md §3). What is a leaf
// and what is a page follows from the records alone, so equal records give equal chunks however they came to be, and a
// change rewrites one leaf and the few pages above it, at any size and without a day on which everything is rewritten.

internal import Codec
internal import Secrets

/// The shape of a tree of chunks.
enum TreeShape {
    /// Children of a page: one for each value of four bits.
    static let fanout = 16
    /// Four bits of the hash each; what is there is a leaf, whatever its size.
    static let maxDepth = 16
    /// Bytes of records that one leaf holds before it is divided: 100,000 apps of three keys are 4,096 leaves of 10 kB.
    static let maxLeafBytes = 16 << 10

    /// Whether records lie in one chunk: one record cannot be divided.
    static func isLeaf(records: Int, bytes: Int, depth: Int) -> Bool {
        bytes <= maxLeafBytes || records <= 1 || depth >= maxDepth
    }
}

/// A place in a tree: the low bits of the hashes of what lies there.
struct TreePlace: Sendable, Equatable {
    static let root = TreePlace(depth: 0, prefix: 0)

    /// Pages above it.
    let depth: Int
    /// `4 × depth` bits, the rest 0.
    let prefix: UInt64

    func child(_ index: Int) -> TreePlace {
        TreePlace(depth: depth + 1, prefix: prefix | UInt64(index) << UInt64(4 * depth))
    }

    /// Which child of this place a hash belongs to.
    func index(of hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> UInt64(4 * depth)) & (TreeShape.fanout - 1)
    }

    func holds(_ hash: UInt64) -> Bool {
        depth >= TreeShape.maxDepth ? hash == prefix : hash & (1 << UInt64(4 * depth) - 1) == prefix
    }

    /// Empty for the root, else `/` and one hex digit for each page above, the root's digit first.
    var suffix: String {
        guard depth > 0 else { return "" }
        return "/" + (0..<depth).map { String(prefix >> UInt64(4 * $0) & 15, radix: 16) }.joined()
    }
}

/// A chunk of a tree and what is under it; immutable, so that versions share what they have in common.
///
/// `Item` is what a node makes of a record; the control plane makes nothing of it.
final class TreeNode<Item: Sendable>: Sendable {
    let reference: ChunkReference
    /// The chunk's bytes.
    let chunk: [UInt8]
    /// Sixteen of a page, none of a leaf.
    let children: [TreeNode?]
    /// What a leaf's records became, in their order.
    let items: [Item]

    init(_ reference: ChunkReference, chunk: [UInt8], children: [TreeNode?] = [], items: [Item] = []) {
        self.reference = reference
        self.chunk = chunk
        self.children = children
        self.items = items
    }

    /// Calls `body` with this node and all under it, pages before their children.
    func visit(_ body: (TreeNode) -> Void) {
        body(self)
        for child in children { child?.visit(body) }
    }

    /// The leaf where the record with a hash would be; nil when there is none.
    func leaf(_ hash: UInt64) -> TreeNode? {
        var node = self
        while !node.children.isEmpty {
            guard let next = node.children[node.reference.place.index(of: hash)] else { return nil }
            node = next
        }
        return node
    }
}

/// A record on its way into a leaf.
struct EncodedRecord: Sendable {
    let hash: UInt64
    let id: String
    let bytes: [UInt8]

    init(id: String, bytes: [UInt8]) {
        hash = FNV1a.hash(id)
        self.id = id
        self.bytes = bytes
    }
}

/// Writes trees, from nothing or from the one before.
struct TreeWriter {
    typealias Node = TreeNode<Never>

    let kind: ChunkKind
    /// Nodes that were made.
    private(set) var made: [Node] = []
    /// Digests of nodes that were replaced.
    private(set) var replaced: [Digest] = []

    init(_ kind: ChunkKind) {
        self.kind = kind
    }

    /// The tree of these records alone.
    mutating func build(_ records: [EncodedRecord]) -> Node {
        let sorted = records.sorted { precedes($0.id, $1.id) }
        return build(sorted, .root)
    }

    /// The tree with some records replaced, added or (nil) removed.
    ///
    /// - Throws: when a leaf of the tree is not what this build writes.
    mutating func edit(_ root: Node, _ changes: [String: EncodedRecord?]) throws(CodecError) -> Node {
        let changes = changes.map { id, record in Edit(hash: FNV1a.hash(id), id: id, record: record) }
        let records = try edit(root, changes, at: .root)
        switch records {
        case .node(let node): return node
        case .few(let records): return build(records, .root)
        }
    }

    private struct Edit {
        let hash: UInt64
        let id: String
        let record: EncodedRecord?
    }

    /// A subtree after an edit: whole, or as the sorted records of what belongs into one leaf, here or further up.
    private enum Edited {
        case node(Node)
        case few([EncodedRecord])
    }

    private mutating func edit(_ node: Node, _ edits: [Edit], at place: TreePlace) throws(CodecError) -> Edited {
        replaced.append(node.reference.digest)
        if node.children.isEmpty {
            let changed = Set(edits.map(\.id))
            var records = try Self.records(of: node).filter { !changed.contains($0.id) }
            records += edits.compactMap(\.record)
            records.sort { precedes($0.id, $1.id) }
            return settled(records, place)
        }
        var byChild = [[Edit]](repeating: [], count: TreeShape.fanout)
        for edit in edits { byChild[place.index(of: edit.hash)].append(edit) }
        var children: [Edited?] = node.children.map { child in child.map { .node($0) } }
        for (index, edits) in byChild.enumerated() where !edits.isEmpty {
            if let child = node.children[index] {
                children[index] = try edit(child, edits, at: place.child(index))
            } else {
                let records = edits.compactMap(\.record).sorted { precedes($0.id, $1.id) }
                children[index] = settled(records, place.child(index))
            }
        }
        return try joined(children, place)
    }

    /// What the records of a place become: few enough for one leaf, or a page.
    private mutating func settled(_ records: [EncodedRecord], _ place: TreePlace) -> Edited {
        let bytes = records.reduce(0) { $0 + $1.bytes.count }
        guard !TreeShape.isLeaf(records: records.count, bytes: bytes, depth: place.depth) else { return .few(records) }
        return .node(build(records, place))
    }

    private mutating func joined(_ children: [Edited?], _ place: TreePlace) throws(CodecError) -> Edited {
        var count = 0
        var bytes = 0
        for child in children {
            switch child {
            case .node(let node):
                count += node.reference.records
                bytes += node.reference.recordBytes
            case .few(let records):
                count += records.count
                bytes += records.reduce(0) { $0 + $1.bytes.count }
            case nil: break
            }
        }
        if TreeShape.isLeaf(records: count, bytes: bytes, depth: place.depth) {
            // So little is left that it goes together; what was whole is opened again.
            var all: [EncodedRecord] = []
            for child in children {
                switch child {
                case .node(let node): all += try collect(node)
                case .few(let records): all += records
                case nil: break
                }
            }
            return .few(all.sorted { precedes($0.id, $1.id) })
        }
        var nodes = [Node?](repeating: nil, count: TreeShape.fanout)
        for (index, child) in children.enumerated() {
            switch child {
            case .node(let node): nodes[index] = node
            case .few(let records) where !records.isEmpty: nodes[index] = build(records, place.child(index))
            case .few, nil: break
            }
        }
        return .node(page(nodes, place))
    }

    /// All records under a node that is given up.
    private mutating func collect(_ node: Node) throws(CodecError) -> [EncodedRecord] {
        replaced.append(node.reference.digest)
        guard !node.children.isEmpty else { return try Self.records(of: node) }
        var records: [EncodedRecord] = []
        for child in node.children {
            if let child { records += try collect(child) }
        }
        return records
    }

    private static func records(of leaf: Node) throws(CodecError) -> [EncodedRecord] {
        let slices = try ChunkCodec.slices(leaf.chunk, kind: leaf.reference.kind, at: leaf.reference.place)
        return slices.map { EncodedRecord(id: $0.id, bytes: Array(leaf.chunk[$0.range])) }
    }

    /// Records come sorted.
    private mutating func build(_ records: [EncodedRecord], _ place: TreePlace) -> Node {
        let bytes = records.reduce(0) { $0 + $1.bytes.count }
        if TreeShape.isLeaf(records: records.count, bytes: bytes, depth: place.depth) {
            let chunk = ChunkCodec.leaf(kind, records.map(\.bytes))
            return keep(Node(reference(chunk, place, records: records.count, bytes: bytes), chunk: chunk))
        }
        var byChild = [[EncodedRecord]](repeating: [], count: TreeShape.fanout)
        for record in records { byChild[place.index(of: record.hash)].append(record) }
        var children: [Node?] = []
        for (index, records) in byChild.enumerated() {
            children.append(records.isEmpty ? nil : build(records, place.child(index)))
        }
        return page(children, place)
    }

    private mutating func page(_ children: [Node?], _ place: TreePlace) -> Node {
        let references = children.map { $0?.reference }
        let chunk = PageCodec.write(references, kind: kind)
        let records = references.reduce(0) { $0 + ($1?.records ?? 0) }
        let bytes = references.reduce(0) { $0 + ($1?.recordBytes ?? 0) }
        return keep(Node(reference(chunk, place, records: records, bytes: bytes), chunk: chunk, children: children))
    }

    private mutating func keep(_ node: Node) -> Node {
        made.append(node)
        return node
    }

    private func reference(_ chunk: [UInt8], _ place: TreePlace, records: Int, bytes: Int) -> ChunkReference {
        ChunkReference(
            kind: kind,
            place: place,
            digest: SHA256.digest(chunk),
            size: chunk.count,
            records: records,
            recordBytes: bytes
        )
    }
}
