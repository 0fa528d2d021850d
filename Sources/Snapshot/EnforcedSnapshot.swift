// What the gateway's loops hold: immutable, shared, and ready to be asked. Everything that can be worked out once is
// worked out here, off the request path; a look-up allocates nothing. Versions share what they have in common, so a
// change costs what changed, and two versions in memory are little more than one.

public import Policy
public import Secrets

/// A snapshot as it is enforced.
public final class EnforcedSnapshot: Sendable {
    /// Counts the changes of its lineage.
    public let version: UInt64
    /// The history that the version counts in.
    public let lineage: String
    /// When it was compiled, in milliseconds since the Unix epoch.
    public let createdAt: Int64
    /// The models, by name.
    public var models: [EnforcedModel] { routes.models }
    /// The providers, by id; each one's `index` is its place.
    public var providers: [EnforcedProvider] { routes.providers }
    /// Keys in all.
    public var keyCount: Int { keys.count }
    /// Apps in all.
    public var appCount: Int { apps.reference.records }
    /// Policies in all.
    public var policyCount: Int { policies.reference.records }

    let routes: EnforcedRoutes
    let policies: TreeNode<LoadedPolicy>
    let apps: TreeNode<LoadedApp>
    private let keys: KeyTable
    private let book: RuleBook

    /// Builds what a manifest names.
    ///
    /// - Parameters:
    ///   - manifest: verified.
    ///   - previous: what is enforced now; whatever is equal is taken over. Any other snapshot serves, at a cost.
    ///   - registry: the policy kinds that may occur; the same for `previous`.
    ///   - chunks: gives the bytes of a digest, or nil; asked for what `previous` does not have.
    /// - Throws: why it is refused: a chunk is missing or not what its digest or its layout says, ids repeat, a route
    ///   leads nowhere, or a policy's kind or program is unknown here.
    public init(
        manifest: Manifest,
        replacing previous: EnforcedSnapshot? = nil,
        registry: PolicyRegistry = .standard,
        chunks: (Digest) -> [UInt8]?
    ) throws(SnapshotError) {
        version = manifest.version
        lineage = manifest.lineage
        createdAt = manifest.createdAt
        (routes, policies, apps, keys, book) = try withoutActuallyEscaping(chunks) { chunks throws(SnapshotError) in
            try Self.parts(manifest, previous, registry, chunks)
        }
    }

    /// Builds a snapshot of content.
    ///
    /// - Parameters:
    ///   - version: counts the changes of its lineage, 1 or more.
    ///   - lineage: 32 hex digits.
    ///   - createdAt: milliseconds since the Unix epoch.
    ///   - content: in any order.
    ///   - registry: the policy kinds that may occur.
    /// - Throws: when ids repeat, a route leads nowhere, or a policy's kind or program is unknown here.
    public convenience init(
        version: UInt64,
        lineage: String,
        createdAt: Int64,
        content: SnapshotContent,
        registry: PolicyRegistry = .standard
    ) throws(SnapshotError) {
        let image = SnapshotImage(content)
        let manifest = image.manifest(lineage: lineage, version: version, createdAt: createdAt)
        try self.init(manifest: manifest, registry: registry) { image.chunks[$0] }
    }

    /// The key with an id; nil when there is none.
    ///
    /// Costs one look-up in a small table, nothing is allocated.
    public func key(_ id: KeyID) -> EnforcedKey? {
        guard let slot = keys.find(id) else { return nil }
        return EnforcedKey(slot.entry, slot.rules ?? book.shared)
    }

    /// The model with a name, compared byte by byte; nil when there is none.
    ///
    /// Costs one pass over the name, nothing is allocated.
    public func model(named name: Span<UInt8>) -> EnforcedModel? {
        routes.modelTable.index(of: name).map { models[$0] }
    }

    /// The model with a name, compared byte by byte; nil when there is none.
    public func model(named name: [UInt8]) -> EnforcedModel? {
        model(named: name.span)
    }

    /// All chunks by their digests, as they came; costs an entry for each.
    public func chunks() -> [Digest: [UInt8]] {
        var chunks = [routes.digest: routes.chunk]
        policies.visit { chunks[$0.reference.digest] = $0.chunk }
        apps.visit { chunks[$0.reference.digest] = $0.chunk }
        return chunks
    }

    /// How many chunks it is made of; costs a visit to each.
    public var chunkCount: Int {
        var count = 1
        policies.visit { _ in count += 1 }
        apps.visit { _ in count += 1 }
        return count
    }

    /// Calls `body` with each key, in no order; for a look at all of them, not for a request.
    public func forEachKey(_ body: (EnforcedKey) -> Void) {
        for slot in keys.slots { body(EnforcedKey(slot.entry, slot.rules ?? book.shared)) }
    }

    /// All keys in the order of their ids, for people; not for a request.
    var sortedKeys: [EnforcedKey] {
        var keys: [EnforcedKey] = []
        keys.reserveCapacity(keyCount)
        forEachKey { keys.append($0) }
        return keys.sorted { $0.keyID.precedes($1.keyID) }
    }

    private typealias Parts = (
        routes: EnforcedRoutes, policies: TreeNode<LoadedPolicy>, apps: TreeNode<LoadedApp>, keys: KeyTable,
        book: RuleBook
    )

    private static func parts(
        _ manifest: Manifest,
        _ previous: EnforcedSnapshot?,
        _ registry: PolicyRegistry,
        _ chunks: @escaping (Digest) -> [UInt8]?
    ) throws(SnapshotError) -> Parts {
        let routes: EnforcedRoutes
        if let known = previous?.routes, known.digest == manifest.routes.digest {
            routes = known
        } else {
            let bytes = try SnapshotDecoder.verified(manifest.routes, chunks)
            routes = try EnforcedRoutes(bytes, digest: manifest.routes.digest)
        }

        var policyLoader = TreeLoader<LoadedPolicy>(chunks: chunks) { bytes, reference throws(SnapshotError) in
            try SnapshotDecoder.policies(bytes, reference).map { slice in
                TreeLoader.Leaf(range: slice.range, id: slice.record.id) { digest throws(SnapshotError) in
                    try LoadedPolicy(slice.record, digest: digest, registry)
                }
            }
        }
        let policies = try policyLoader.load(manifest.policies, replacing: previous?.policies)
        var book = previous?.book ?? RuleBook()
        let affected = book.update(removed: policyLoader.removed, added: policyLoader.added)

        let texts = TextPool()
        var appLoader = TreeLoader<LoadedApp>(chunks: chunks) { bytes, reference throws(SnapshotError) in
            try SnapshotDecoder.apps(bytes, reference).map { slice in
                TreeLoader.Leaf(range: slice.range, id: slice.record.id) { digest throws(SnapshotError) in
                    LoadedApp(slice.record, digest: digest, texts)
                }
            }
        }
        let apps = try appLoader.load(manifest.apps, replacing: previous?.apps)

        var keys = previous?.keys ?? KeyTable()
        let added = appLoader.added
        try keys.update(
            removed: appLoader.removed.lazy.flatMap { $0.keys.map(\.keyID) },
            added: added.flatMap(book.slots)
        )
        if previous != nil {
            let done = Set(added.map(\.id))
            var ids = affected.apps
            for key in affected.keys {
                if let slot = keys.find(key) { ids.insert(slot.entry.app.id) }
            }
            let changed = ids.filter { !done.contains($0) }.compactMap(apps.app)
            keys.replace(changed.flatMap(book.slots))
        }
        return (routes, policies, apps, keys, book)
    }
}
