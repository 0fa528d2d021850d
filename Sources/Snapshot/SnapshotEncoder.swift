// Turns content into a signed manifest and its chunks. The same content and version give the same bytes on every
// machine, so a change that touches one app changes one leaf, the pages above it and the manifest, and nothing else is
// sent again.

public import Secrets

/// A snapshot as it is stored and sent.
public struct EncodedSnapshot: Sendable, Equatable {
    /// The manifest's bytes.
    public let manifest: [UInt8]
    /// The chunks by their digests.
    public let chunks: [Digest: [UInt8]]

    /// Makes a snapshot of parts that were fetched; nothing is checked here.
    public init(manifest: [UInt8], chunks: [Digest: [UInt8]]) {
        self.manifest = manifest
        self.chunks = chunks
    }
}

/// Writes snapshots.
public enum SnapshotEncoder {
    /// Encodes and signs.
    ///
    /// Content outside `SnapshotBounds` gives a snapshot that every node refuses: `check` says so beforehand.
    ///
    /// - Parameters:
    ///   - content: in any order.
    ///   - lineage: 32 lower-case hex digits.
    ///   - version: 1 or more.
    ///   - createdAt: milliseconds since the Unix epoch.
    ///   - signingKey: the key whose public half the nodes hold.
    ///   - environment: the fingerprint that nodes must share, at most `SnapshotBounds.maxEnvironmentBytes`.
    /// - Returns: the manifest and every chunk.
    public static func encode(
        _ content: SnapshotContent,
        lineage: String,
        version: UInt64,
        createdAt: Int64,
        signingKey: SigningKey,
        environment: [UInt8] = []
    ) -> EncodedSnapshot {
        SnapshotImage(content).signed(
            lineage: lineage,
            version: version,
            createdAt: createdAt,
            signingKey: signingKey,
            environment: environment
        )
    }

    /// Encodes content that nodes can read.
    ///
    /// Costs about as much as encoding and decoding it. Policies' programs are left to their kinds.
    ///
    /// - Returns: the image, to be signed and to be changed.
    /// - Throws: why no node would take it.
    @discardableResult
    public static func check(_ content: SnapshotContent) throws(SnapshotError) -> SnapshotImage {
        let image = SnapshotImage(content)
        try image.content().checkReferences()
        return image
    }
}
