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
    /// What people call it.
    public let name: String
    /// The organisation that owns it.
    public let organisation: String
    /// Its tier; may be empty.
    public let tier: String
    /// Its tags.
    public let tags: [String]
    /// A disabled app's keys open nothing.
    public let isEnabled: Bool

    init(_ record: AppRecord) {
        id = record.id
        name = record.name
        organisation = record.organisation
        tier = record.tier
        tags = record.tags
        isEnabled = record.isEnabled
        subject = PolicyApp(
            id: record.id,
            name: record.name,
            tier: record.tier,
            organisation: record.organisation,
            tags: record.tags
        )
    }
}

/// A key of the snapshot, with the rules that its requests meet.
public final class EnforcedKey: Sendable {
    /// The id as the table has it.
    public let keyID: KeyID
    /// The id as text.
    public let id: String
    /// What policies read of it.
    public let subject: PolicyKey
    /// What people call it.
    public let name: String
    /// Its tags.
    public let tags: [String]
    /// The app that it belongs to.
    public let app: EnforcedApp
    /// SHA-256 of the secret.
    public let digest: Digest
    /// A revoked key opens nothing.
    public let isRevoked: Bool
    /// When it was made, in milliseconds since the Unix epoch.
    public let createdAt: Int64
    /// When it stops working, in milliseconds since the Unix epoch; nil for never.
    public let expiresAt: Int64?
    /// The policies of everyone, of the app and of the key, in the order in which they are decided.
    public let rules: [Rule]
    /// The least body size that an enforced rule admits, in bytes; nil when none of them says.
    public let maxBodyBytes: Int?

    init(_ record: KeyRecord, app: EnforcedApp, rules: EffectiveRules) {
        keyID = record.id
        subject = PolicyKey(
            id: record.id.bytes,
            name: record.name,
            tags: record.tags,
            createdAt: record.createdAt
        )
        id = String(decoding: record.id.bytes, as: UTF8.self)
        name = record.name
        tags = record.tags
        self.app = app
        digest = record.digest
        isRevoked = record.isRevoked
        createdAt = record.createdAt
        expiresAt = record.expiresAt
        self.rules = rules.rules
        maxBodyBytes = rules.maxBodyBytes
    }

    /// Whether the key opens anything at a time, in milliseconds since the Unix epoch.
    public func isUsable(at now: Int64) -> Bool {
        guard !isRevoked, app.isEnabled else { return false }
        guard let expiresAt else { return true }
        return now < expiresAt
    }
}
