// Who a request comes from and what applies to it, found with one look-up: all that authentication and the pipeline
// ask is a stored property here, in the form in which they use it.

public import Policy
public import Secrets

/// An app of the snapshot.
public final class EnforcedApp: Sendable {
    /// The id.
    public let id: String
    /// What policies read of it.
    public let subject: PolicyApp
    /// The organisation that owns it.
    public let organisation: String
    /// A disabled app's keys open nothing.
    public let isEnabled: Bool

    init(_ record: AppRecord, _ texts: TextPool) {
        id = record.id
        organisation = texts.string(record.organisation)
        isEnabled = record.isEnabled
        subject = PolicyApp(
            id: record.id,
            name: record.name,
            tier: record.tier,
            organisation: record.organisation,
            tags: record.tags,
            texts: texts
        )
    }
}

/// What does not change about a key while its record does not.
final class KeyEntry: Sendable {
    let keyID: KeyID
    let id: String
    let subject: PolicyKey
    let app: EnforcedApp
    let digest: Digest
    let isRevoked: Bool
    let createdAt: Int64
    let expiresAt: Int64?

    init(_ record: KeyRecord, app: EnforcedApp, _ texts: TextPool) {
        keyID = record.id
        let bytes = record.id.bytes
        id = String(decoding: bytes, as: UTF8.self)
        subject = PolicyKey(
            id: bytes,
            name: record.name,
            tags: record.tags,
            createdAt: record.createdAt,
            texts: texts
        )
        self.app = app
        digest = record.digest
        isRevoked = record.isRevoked
        createdAt = record.createdAt
        expiresAt = record.expiresAt
    }
}

/// A key of the snapshot, with the rules that its requests meet.
///
/// Two references: what the key is, and what applies to it in this version.
public struct EnforcedKey: Sendable {
    private let entry: KeyEntry
    private let effective: EffectiveRules

    init(_ entry: KeyEntry, _ effective: EffectiveRules) {
        self.entry = entry
        self.effective = effective
    }

    /// The id as the table has it.
    public var keyID: KeyID { entry.keyID }
    /// The id as text.
    public var id: String { entry.id }
    /// What policies read of it.
    public var subject: PolicyKey { entry.subject }
    /// The app that it belongs to.
    public var app: EnforcedApp { entry.app }
    /// SHA-256 of the secret.
    public var digest: Digest { entry.digest }
    /// A revoked key opens nothing.
    public var isRevoked: Bool { entry.isRevoked }
    /// When it was made, in milliseconds since the Unix epoch.
    public var createdAt: Int64 { entry.createdAt }
    /// When it stops working, in milliseconds since the Unix epoch; nil for never.
    public var expiresAt: Int64? { entry.expiresAt }
    /// The policies of everyone, of the app and of the key, in the order in which they are decided.
    public var rules: [Rule] { effective.rules }
    /// The least body size that an enforced rule admits, in bytes; nil when none of them says.
    public var maxBodyBytes: Int? { effective.maxBodyBytes }

    /// Whether the key opens anything at a time, in milliseconds since the Unix epoch.
    public func isUsable(at now: Int64) -> Bool {
        guard !isRevoked, app.isEnabled else { return false }
        guard let expiresAt else { return true }
        return now < expiresAt
    }
}
