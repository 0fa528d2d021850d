// What the control plane keeps of the last version, so that the next one costs what changed: the chunks themselves.
// A record is read out of its leaf when it is needed, so nothing is kept twice.

internal import Codec
public import Secrets

/// The chunks of a snapshot, before a manifest is signed over them; a value whose copies share what is equal.
public struct SnapshotImage: Sendable {
    /// All chunks by their digests.
    public private(set) var chunks: [Digest: [UInt8]]
    private var routes: [UInt8]
    private var policies: TreeWriter.Node
    private var apps: TreeWriter.Node

    /// Apps in all.
    public var appCount: Int { apps.reference.records }
    /// Policies in all.
    public var policyCount: Int { policies.reference.records }

    /// Encodes all of the content, in any order; nothing is checked (see `SnapshotEncoder.check`).
    public init(_ content: SnapshotContent) {
        var policyWriter = TreeWriter(.policies)
        policies = policyWriter.build(content.policies.map(ChunkCodec.record))
        var appWriter = TreeWriter(.apps)
        apps = appWriter.build(content.apps.map(ChunkCodec.record))
        routes = ChunkCodec.routes(content.providers, content.models)
        chunks = [SHA256.digest(routes): routes]
        chunks.reserveCapacity(1 + policyWriter.made.count + appWriter.made.count)
        for node in policyWriter.made + appWriter.made { chunks[node.reference.digest] = node.chunk }
    }

    /// Replaces what is served where.
    ///
    /// - Throws: when no node could read it or a route leads nowhere; the image is then as it was.
    public mutating func replaceRoutes(
        _ providers: [ProviderRecord],
        _ models: [ModelRecord]
    ) throws(SnapshotError) {
        let new = ChunkCodec.routes(providers, models)
        let (readProviders, readModels) = try parsing("routes") { () throws(CodecError) in
            try ChunkCodec.readRoutes(new)
        }
        try SnapshotContent(providers: readProviders, models: readModels).checkReferences()
        chunks[SHA256.digest(routes)] = nil
        routes = new
        chunks[SHA256.digest(new)] = new
    }

    /// Replaces, adds or (nil) removes apps; costs what they and the leaves around them are.
    ///
    /// That no two apps have a key in common is the caller's care.
    ///
    /// - Throws: when no node could read one of them; the image is then as it was.
    public mutating func replaceApps(_ changes: [String: AppRecord?]) throws(SnapshotError) {
        try replace(in: \.apps, .apps, changes.mapValues { $0.map(ChunkCodec.record) })
    }

    /// Replaces, adds or (nil) removes policies; as `replaceApps`.
    public mutating func replacePolicies(_ changes: [String: PolicyRecord?]) throws(SnapshotError) {
        try replace(in: \.policies, .policies, changes.mapValues { $0.map(ChunkCodec.record) })
    }

    /// The app with an id, read out of its leaf.
    public func app(_ id: String) throws(SnapshotError) -> AppRecord? {
        guard let leaf = apps.leaf(FNV1a.hash(id)) else { return nil }
        return try parsing(leaf.reference.name) { () throws(CodecError) in
            try ChunkCodec.readApps(leaf.chunk, at: leaf.reference.place)
                .first { $0.record.id.utf8.elementsEqual(id.utf8) }?.record
        }
    }

    /// Signs a manifest over the chunks.
    ///
    /// - Parameters:
    ///   - lineage: 32 lower-case hex digits.
    ///   - version: 1 or more.
    ///   - createdAt: milliseconds since the Unix epoch.
    ///   - signingKey: the key whose public half the nodes hold.
    ///   - environment: the fingerprint that nodes must share, at most `SnapshotBounds.maxEnvironmentBytes`.
    /// - Returns: the manifest and every chunk.
    public func signed(
        lineage: String,
        version: UInt64,
        createdAt: Int64,
        signingKey: SigningKey,
        environment: [UInt8] = []
    ) -> EncodedSnapshot {
        guard let lineageBytes = bytes(hex: lineage), lineageBytes.count == ManifestCodec.lineageCount else {
            preconditionFailure("a lineage is 32 hex digits")
        }
        precondition(version >= 1 && environment.count <= SnapshotBounds.maxEnvironmentBytes)
        let manifest = manifest(lineage: lineage, version: version, createdAt: createdAt, environment: environment)
        return EncodedSnapshot(manifest: ManifestCodec.write(manifest, signingKey: signingKey), chunks: chunks)
    }

    /// What would be signed.
    func manifest(lineage: String, version: UInt64, createdAt: Int64, environment: [UInt8] = []) -> Manifest {
        Manifest(
            format: Manifest.currentFormat,
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            environment: environment,
            routes: ChunkReference(
                kind: .routes,
                place: .root,
                digest: SHA256.digest(routes),
                size: routes.count,
                records: 0,
                recordBytes: 0
            ),
            policies: policies.reference,
            apps: apps.reference,
            signingKeyID: [],
            signature: []
        )
    }

    /// Reads all of it as a node would; costs time linear in the records.
    public func content() throws(SnapshotError) -> SnapshotContent {
        var walk = ContentWalk { chunks[$0] }
        try walk.readRoutes(routes)
        try walk.read(policies.reference)
        try walk.read(apps.reference)
        return walk.content
    }

    private mutating func replace(
        in tree: WritableKeyPath<SnapshotImage, TreeWriter.Node>,
        _ kind: ChunkKind,
        _ changes: [String: EncodedRecord?]
    ) throws(SnapshotError) {
        guard !changes.isEmpty else { return }
        let root = self[keyPath: tree]
        var writer = TreeWriter(kind)
        let edited: TreeWriter.Node
        do throws(CodecError) {
            edited = try writer.edit(root, changes)
        } catch {
            throw .malformed(part: root.reference.name, error)
        }
        for node in writer.made where node.children.isEmpty {
            try SnapshotBounds.check(node.reference)
            _ = try parsing(node.reference.name) { () throws(CodecError) in
                try ChunkCodec.slices(node.chunk, kind: kind, at: node.reference.place)
            }
        }
        for digest in writer.replaced { chunks[digest] = nil }
        for node in writer.made { chunks[node.reference.digest] = node.chunk }
        self[keyPath: tree] = edited
    }
}
