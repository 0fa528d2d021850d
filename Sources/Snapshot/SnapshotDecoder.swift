// Reads snapshots that anybody may have put into Redis or onto the disk. The signature is checked over the whole
// manifest before a field of it is believed, each chunk against its digest before it is read, and every length
// against its bound before anything is allocated.

internal import Codec
public import Secrets

/// Reads and verifies snapshots.
public enum SnapshotDecoder {
    /// Reads a manifest.
    ///
    /// - Parameters:
    ///   - bytes: from anywhere.
    ///   - verifyingKey: the only key that is trusted.
    ///   - environment: the fingerprint that this build has.
    /// - Returns: the manifest, which the key's owner made.
    /// - Throws: why it is refused.
    public static func manifest(
        _ bytes: [UInt8],
        verifyingKey: VerifyingKey,
        environment: [UInt8] = []
    ) throws(SnapshotError) -> Manifest {
        let manifest = try ManifestCodec.read(bytes, verifyingKey: verifyingKey)
        guard manifest.environment == environment else { throw .foreignEnvironment }
        return manifest
    }

    /// Which chunks are still to be fetched, as far as the pages that are there can tell.
    ///
    /// Ask again when they have come: pages name more. Done when none is missing, at the latest after one round for
    /// the routes and the roots and sixteen for what is below them.
    ///
    /// - Parameters:
    ///   - manifest: verified.
    ///   - enforced: what is enforced already; its chunks are not asked for.
    ///   - chunks: gives the bytes of a digest, or nil.
    /// - Returns: the chunks to fetch, each once.
    /// - Throws: when a page that is there is not what its layout says.
    public static func missing(
        _ manifest: Manifest,
        enforced: EnforcedSnapshot? = nil,
        chunks: (Digest) -> [UInt8]?
    ) throws(SnapshotError) -> [ChunkReference] {
        var missing: [ChunkReference] = []
        try visit(manifest, enforced, chunks) { reference, bytes in
            if bytes == nil { missing.append(reference) }
        }
        return missing
    }

    /// What is there already of the chunks that a manifest names, as far as the pages that are there can tell.
    ///
    /// - Parameters: those of `missing`.
    /// - Returns: the chunks by their digests.
    /// - Throws: when a page that is there is not what its layout says.
    public static func present(
        _ manifest: Manifest,
        enforced: EnforcedSnapshot? = nil,
        chunks: (Digest) -> [UInt8]?
    ) throws(SnapshotError) -> [Digest: [UInt8]] {
        var present: [Digest: [UInt8]] = [:]
        try visit(manifest, enforced, chunks) { reference, bytes in present[reference.digest] = bytes }
        return present
    }

    /// Visits the chunks that are not enforced already, with their bytes if they are there.
    private static func visit(
        _ manifest: Manifest,
        _ enforced: EnforcedSnapshot?,
        _ chunks: (Digest) -> [UInt8]?,
        _ body: (ChunkReference, [UInt8]?) -> Void
    ) throws(SnapshotError) {
        if enforced?.routes.digest != manifest.routes.digest {
            body(manifest.routes, chunks(manifest.routes.digest))
        }
        try visit(manifest.policies, enforced?.policies, chunks, body)
        try visit(manifest.apps, enforced?.apps, chunks, body)
    }

    private static func visit<Item>(
        _ reference: ChunkReference,
        _ old: TreeNode<Item>?,
        _ chunks: (Digest) -> [UInt8]?,
        _ body: (ChunkReference, [UInt8]?) -> Void
    ) throws(SnapshotError) {
        guard reference.digest != old?.reference.digest else { return }
        let bytes = chunks(reference.digest)
        body(reference, bytes)
        guard reference.isPage, let bytes else { return }
        let children = try verifiedPage(bytes, reference)
        for (index, child) in children.enumerated() {
            guard let child else { continue }
            try visit(child, old?.children.isEmpty == false ? old?.children[index] : nil, chunks, body)
        }
    }

    /// Reads the chunks that a manifest names.
    ///
    /// - Parameters:
    ///   - manifest: verified.
    ///   - chunks: gives the bytes of a digest, or nil.
    /// - Returns: the content, in the chunks' order (see `SnapshotContent.canonical`).
    /// - Throws: why it is refused.
    public static func content(
        manifest: Manifest,
        chunks: (Digest) -> [UInt8]?
    ) throws(SnapshotError) -> SnapshotContent {
        try withoutActuallyEscaping(chunks) { chunks throws(SnapshotError) in
            var walk = ContentWalk(chunks: chunks)
            try walk.readRoutes(try verified(manifest.routes, chunks))
            try walk.read(manifest.policies)
            try walk.read(manifest.apps)
            try walk.content.checkReferences()
            return walk.content
        }
    }

    /// The bytes of a chunk, which are those that the reference names.
    static func verified(_ reference: ChunkReference, _ chunks: (Digest) -> [UInt8]?) throws(SnapshotError) -> [UInt8] {
        guard let bytes = chunks(reference.digest) else { throw .missingChunk(reference.name) }
        guard bytes.count == reference.size, SHA256.digest(bytes) == reference.digest else {
            throw .wrongDigest(reference.name)
        }
        return bytes
    }

    static func verifiedPage(
        _ bytes: [UInt8],
        _ reference: ChunkReference
    ) throws(SnapshotError) -> [ChunkReference?] {
        try parsing(reference.name) { () throws(CodecError) in try PageCodec.read(bytes, of: reference) }
    }

    static func policies(
        _ bytes: [UInt8],
        _ reference: ChunkReference
    ) throws(SnapshotError) -> [ChunkCodec.Slice<PolicyRecord>] {
        let slices = try parsing(reference.name) { () throws(CodecError) in
            try ChunkCodec.readPolicies(bytes, at: reference.place)
        }
        try requireTotals(reference, records: slices.count, bytes: slices.reduce(0) { $0 + $1.range.count })
        return slices
    }

    static func apps(
        _ bytes: [UInt8],
        _ reference: ChunkReference
    ) throws(SnapshotError) -> [ChunkCodec.Slice<AppRecord>] {
        let slices = try parsing(reference.name) { () throws(CodecError) in
            try ChunkCodec.readApps(bytes, at: reference.place)
        }
        try requireTotals(reference, records: slices.count, bytes: slices.reduce(0) { $0 + $1.range.count })
        return slices
    }

    /// What a page or the manifest says of a leaf decides whether it is one, so it has to be true.
    private static func requireTotals(
        _ reference: ChunkReference,
        records: Int,
        bytes: Int
    ) throws(SnapshotError) {
        guard records == reference.records, bytes == reference.recordBytes else {
            throw .malformed(part: reference.name, CodecError(.invalid, offset: 2))
        }
    }
}

/// Content growing chunk by chunk.
struct ContentWalk {
    private(set) var content = SnapshotContent()
    private let chunks: (Digest) -> [UInt8]?

    init(chunks: @escaping (Digest) -> [UInt8]?) {
        self.chunks = chunks
    }

    mutating func readRoutes(_ bytes: [UInt8]) throws(SnapshotError) {
        (content.providers, content.models) = try parsing("routes") { () throws(CodecError) in
            try ChunkCodec.readRoutes(bytes)
        }
    }

    mutating func read(_ reference: ChunkReference) throws(SnapshotError) {
        try SnapshotBounds.check(reference)
        let bytes = try SnapshotDecoder.verified(reference, chunks)
        if reference.isPage {
            for case let child? in try SnapshotDecoder.verifiedPage(bytes, reference) { try read(child) }
        } else if reference.kind == .policies {
            content.policies += try SnapshotDecoder.policies(bytes, reference).map(\.record)
        } else {
            content.apps += try SnapshotDecoder.apps(bytes, reference).map(\.record)
        }
    }
}

extension SnapshotBounds {
    /// What a manifest's reader refuses, for one who writes: a chunk or a sum of records over its bound.
    static func check(_ reference: ChunkReference) throws(SnapshotError) {
        guard reference.size <= maxChunkBytes, reference.recordBytes <= maxTotalBytes else {
            throw .malformed(part: reference.name, CodecError(.tooLong, offset: 0))
        }
    }
}

extension SnapshotContent {
    /// Finds what single records cannot show: keys of two apps with one id, routes that lead nowhere.
    func checkReferences() throws(SnapshotError) {
        var keys: Set<KeyID> = []
        keys.reserveCapacity(apps.count)
        for app in apps {
            for key in app.keys where !keys.insert(key.id).inserted {
                throw .duplicate(part: "keys", id: key.id.text)
            }
        }
        let providerIDs = Set(providers.map(\.id))
        for model in models {
            guard model.routes.contains(where: { $0.weight > 0 }) else { throw .noRoute(model: model.name) }
            for route in model.routes where !providerIDs.contains(route.providerID) {
                throw .unknownProvider(model: model.name, provider: route.providerID)
            }
        }
    }
}
