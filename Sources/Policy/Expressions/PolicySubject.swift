// Whose request it is, in the form in which rules and counters use it: made once when a snapshot is loaded.

import CEL

/// An app as policies see it.
public final class PolicyApp: Sendable {
    /// The id in UTF-8.
    public let id: [UInt8]
    let idValue: Value
    let name: Value
    let tier: Value
    let organisation: Value
    let tags: Value

    /// Makes an app; `texts` has what other apps said already, so that it is kept once.
    public init(
        id: String,
        name: String = "",
        tier: String = "",
        organisation: String = "",
        tags: [String] = [],
        texts: TextPool = TextPool()
    ) {
        self.id = Array(id.utf8)
        idValue = .string(ByteString(self.id))
        self.name = texts.value(name)
        self.tier = texts.value(tier)
        self.organisation = texts.value(organisation)
        self.tags = texts.list(tags)
    }
}

/// A key as policies see it.
public final class PolicyKey: Sendable {
    /// The id in UTF-8.
    public let id: [UInt8]
    let idValue: Value
    let name: Value
    let tags: Value
    let createdAt: Value

    /// Makes a key.
    ///
    /// - Parameters:
    ///   - id: the id in UTF-8.
    ///   - name: what people call it.
    ///   - tags: its tags.
    ///   - createdAt: milliseconds since the Unix epoch.
    ///   - texts: has what other keys said already, so that it is kept once.
    public init(
        id: [UInt8],
        name: String = "",
        tags: [String] = [],
        createdAt: Int64 = 0,
        texts: TextPool = TextPool()
    ) {
        self.id = id
        idValue = .string(ByteString(id))
        self.name = texts.value(name)
        self.tags = texts.list(tags)
        self.createdAt = PolicyRequest.instant(milliseconds: createdAt)
    }
}
