// The most that a snapshot may hold of anything, in one place: the decoder refuses what is over, so the control plane
// has to refuse it earlier (SnapshotEncoder.check tells).

/// The bounds of snapshots; counts of bytes are of UTF-8.
public enum SnapshotBounds {
    /// The longest manifest; one of this format has some 300 bytes.
    public static let maxManifestBytes = 16 << 10
    /// The longest chunk.
    public static let maxChunkBytes = 16 << 20
    /// The most that all records of a kind are together.
    public static let maxTotalBytes = 1 << 30
    /// The longest id of an app, policy or provider, at least 1; of 0-9, A-Z, a-z, `_`, `-`, `.` and `:`.
    public static let maxIDBytes = 64
    /// The longest name of anything, of an organisation, a tier or a policy kind.
    public static let maxNameBytes = 256
    /// The longest tag.
    public static let maxTagBytes = 128
    /// The most tags of one app or key.
    public static let maxTags = 64
    /// The most keys of one app.
    public static let maxKeysPerApp = 10_000
    /// The longest compiled program.
    public static let maxProgramBytes = 1 << 20
    /// The longest base URL.
    public static let maxURLBytes = 2048
    /// The longest sealed credential.
    public static let maxCredentialBytes = 16 << 10
    /// The most providers.
    public static let maxProviders = 10_000
    /// The most models.
    public static let maxModels = 100_000
    /// The most routes of one model.
    public static let maxRoutes = 64
    /// The largest weight of a route; all weights of a model add up in 32 bits.
    public static let maxWeight: UInt32 = 1_000_000
    /// The most tokens that a model's answer is said to have.
    public static let maxOutputTokens: UInt64 = 2_147_483_648
    /// The longest name of a vocabulary, in bytes.
    public static let maxEncodingBytes = 32
    /// The longest environment fingerprint.
    public static let maxEnvironmentBytes = 64

    /// Whether the text may be an id: ASCII only, so that equal text is equal bytes.
    static func isID(_ text: String) -> Bool {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= maxIDBytes else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: ":"):
                true
            default: false
            }
        }
    }
}
