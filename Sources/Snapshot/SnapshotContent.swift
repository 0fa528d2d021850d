// What a snapshot says, as plain records: the compiler in the control plane fills them, the encoder writes them, the
// decoder gives them back, and EnforcedSnapshot is built from them.

public import LLMWire
public import Secrets

/// Everything that a node enforces.
public struct SnapshotContent: Sendable, Equatable {
    /// The apps with their keys.
    public var apps: [AppRecord]
    /// The enabled policies; a disabled one is not in a snapshot.
    public var policies: [PolicyRecord]
    /// The providers.
    public var providers: [ProviderRecord]
    /// The public models.
    public var models: [ModelRecord]

    /// Makes content; nothing is checked here (see `SnapshotEncoder.check`).
    public init(
        apps: [AppRecord] = [],
        policies: [PolicyRecord] = [],
        providers: [ProviderRecord] = [],
        models: [ModelRecord] = []
    ) {
        self.apps = apps
        self.policies = policies
        self.providers = providers
        self.models = models
    }

    /// The same content in the one order that two equal contents share: by id, models by name, as bytes.
    public func canonical() -> SnapshotContent {
        var content = SnapshotContent(
            apps: apps.sorted { precedes($0.id, $1.id) },
            policies: policies.sorted { precedes($0.id, $1.id) },
            providers: providers.sorted { precedes($0.id, $1.id) },
            models: models.sorted { precedes($0.name, $1.name) }
        )
        for index in content.apps.indices {
            content.apps[index].keys.sort { $0.id.precedes($1.id) }
        }
        return content
    }
}

/// An app: who is asking.
public struct AppRecord: Sendable, Equatable {
    /// The app's id.
    public var id: String
    /// What people call it.
    public var name: String
    /// The organisation that owns it.
    public var organisation: String
    /// Its tier, for rules; may be empty.
    public var tier: String
    /// Its tags, for rules.
    public var tags: [String]
    /// A disabled app's keys open nothing.
    public var isEnabled: Bool
    /// Its keys, revoked ones included for as long as the control plane keeps them.
    public var keys: [KeyRecord]

    /// Makes a record.
    public init(
        id: String,
        name: String,
        organisation: String,
        tier: String = "",
        tags: [String] = [],
        isEnabled: Bool = true,
        keys: [KeyRecord] = []
    ) {
        self.id = id
        self.name = name
        self.organisation = organisation
        self.tier = tier
        self.tags = tags
        self.isEnabled = isEnabled
        self.keys = keys
    }
}

/// An API key, without its secret.
public struct KeyRecord: Sendable, Equatable {
    /// The key's public id.
    public var id: KeyID
    /// What people call it.
    public var name: String
    /// SHA-256 of the secret.
    public var digest: Digest
    /// Its tags, for rules.
    public var tags: [String]
    /// When it was made, in milliseconds since the Unix epoch.
    public var createdAt: Int64
    /// When it stops working, in milliseconds since the Unix epoch; nil for never.
    public var expiresAt: Int64?
    /// A revoked key opens nothing.
    public var isRevoked: Bool

    /// Makes a record.
    public init(
        id: KeyID,
        name: String,
        digest: Digest,
        tags: [String] = [],
        createdAt: Int64,
        expiresAt: Int64? = nil,
        isRevoked: Bool = false
    ) {
        self.id = id
        self.name = name
        self.digest = digest
        self.tags = tags
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.isRevoked = isRevoked
    }
}

/// In whose API a provider speaks.
public enum ProviderKind: UInt8, Sendable, CaseIterable {
    /// api.openai.com and what behaves exactly like it.
    case openAI = 0
    /// api.anthropic.com.
    case anthropic = 1
    /// Anything that serves OpenAI's paths.
    case openAICompatible = 2

    /// Whether this kind of provider offers a call.
    public func serves(_ endpoint: Endpoint) -> Bool {
        switch self {
        case .openAI: endpoint != .messages
        case .anthropic: endpoint == .messages
        case .openAICompatible: true
        }
    }
}

/// How long a provider may take, in milliseconds; nil for what the node's own configuration says.
public struct ProviderTimeouts: Sendable, Equatable {
    /// For TCP and TLS, 1...`SnapshotBounds.maxConnectTimeout`.
    public var connect: Int64?
    /// From the request sent to the answer's head, 1...`SnapshotBounds.maxAnswerTimeout`.
    public var firstByte: Int64?
    /// Between two pieces of an answer, 1...`SnapshotBounds.maxAnswerTimeout`.
    public var idle: Int64?

    /// Makes timeouts.
    public init(connect: Int64? = nil, firstByte: Int64? = nil, idle: Int64? = nil) {
        self.connect = connect
        self.firstByte = firstByte
        self.idle = idle
    }
}

/// Where models are served.
public struct ProviderRecord: Sendable, Equatable {
    /// The provider's id.
    public var id: String
    /// What people call it.
    public var name: String
    /// In whose API it speaks.
    public var kind: ProviderKind
    /// Where its API begins, such as `https://api.openai.com/v1`.
    public var baseURL: String
    /// The credential, sealed to the fleet key with the id's bytes as context; nil when it takes none.
    public var sealedCredential: [UInt8]?
    /// Whether it understands `stream_options.include_usage`.
    public var injectsStreamUsage: Bool
    /// How long it may take.
    public var timeouts: ProviderTimeouts
    /// Whether its address may be a loopback or private one.
    public var allowsPrivateAddresses: Bool

    /// Makes a record.
    public init(
        id: String,
        name: String,
        kind: ProviderKind,
        baseURL: String,
        sealedCredential: [UInt8]? = nil,
        injectsStreamUsage: Bool = true,
        timeouts: ProviderTimeouts = ProviderTimeouts(),
        allowsPrivateAddresses: Bool = true
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.baseURL = baseURL
        self.sealedCredential = sealedCredential
        self.injectsStreamUsage = injectsStreamUsage
        self.timeouts = timeouts
        self.allowsPrivateAddresses = allowsPrivateAddresses
    }
}

/// A public model name and where its requests go.
public struct ModelRecord: Sendable, Equatable {
    /// The name that clients send.
    public var name: String
    /// Its routes, one or more, in the administrator's order; their weights add up to 1 or more.
    public var routes: [RouteRecord]
    /// Tokens that an answer can have at most; nil when the administrator did not say.
    public var maxOutputTokens: Int64?
    /// The vocabulary that prompts are counted with (`o200k_base`); nil to go by the model's name.
    public var encoding: String?

    /// Makes a record.
    public init(name: String, routes: [RouteRecord], maxOutputTokens: Int64? = nil, encoding: String? = nil) {
        self.name = name
        self.routes = routes
        self.maxOutputTokens = maxOutputTokens
        self.encoding = encoding
    }
}

/// One place where a model is served.
public struct RouteRecord: Sendable, Equatable {
    /// The provider's id.
    public var providerID: String
    /// The provider's name of the model.
    public var upstreamModel: String
    /// Its share of the requests, relative to the other routes; 0...`SnapshotBounds.maxWeight`, 0 for a fallback.
    public var weight: UInt32

    /// Makes a record.
    public init(providerID: String, upstreamModel: String, weight: UInt32 = 1) {
        self.providerID = providerID
        self.upstreamModel = upstreamModel
        self.weight = weight
    }
}

/// The order of the UTF-8 bytes; `String.<` is Unicode's and depends on its tables.
func precedes(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
}
