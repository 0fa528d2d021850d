// Where a model's requests go.

public import Tokens

/// A provider of the snapshot.
public final class EnforcedProvider: Sendable {
    /// The id.
    public let id: String
    /// What people call it.
    public let name: String
    /// The name's UTF-8.
    public let nameBytes: [UInt8]
    /// In whose API it speaks.
    public let kind: ProviderKind
    /// Where its API begins.
    public let baseURL: String
    /// The credential, sealed to the fleet key with the id's UTF-8 as context; nil when it takes none.
    public let sealedCredential: [UInt8]?
    /// Whether it understands `stream_options.include_usage`.
    public let injectsStreamUsage: Bool
    /// How long it may take.
    public let timeouts: ProviderTimeouts
    /// Whether its address may be a loopback or private one.
    public let allowsPrivateAddresses: Bool
    /// Its place in the snapshot's providers, for tables beside it.
    public let index: Int

    init(_ record: ProviderRecord, index: Int) {
        id = record.id
        name = record.name
        nameBytes = Array(record.name.utf8)
        kind = record.kind
        baseURL = record.baseURL
        sealedCredential = record.sealedCredential
        injectsStreamUsage = record.injectsStreamUsage
        timeouts = record.timeouts
        allowsPrivateAddresses = record.allowsPrivateAddresses
        self.index = index
    }
}

/// One place where a model is served.
public struct EnforcedRoute: Sendable {
    /// Who serves it.
    public let provider: EnforcedProvider
    /// The provider's name of the model.
    public let upstreamModel: [UInt8]
    /// The same as text, for records.
    public let upstreamModelText: String
    /// How prompts for it are counted.
    public let tokens: ModelProfile
    /// Its place among all routes of the snapshot, for tables beside it.
    public let index: Int
    /// Its share of the requests, relative to the other routes; 0 for one that only others fall back to.
    public let weight: UInt32
}

/// A public model of the snapshot.
public final class EnforcedModel: Sendable {
    /// The name that clients send.
    public let name: String
    /// The name's UTF-8.
    public let nameBytes: [UInt8]
    /// One or more, in the administrator's order.
    public let routes: [EnforcedRoute]
    /// The routes' upstream names, in their order: what an allowlist is asked about.
    public let upstreamModels: [[UInt8]]
    /// Tokens that an answer can have at most; nil when nobody said.
    public let maxOutputTokens: Int64?
    /// The sum of the routes' weights, 1 or more.
    public let totalWeight: UInt32

    init(_ record: ModelRecord, routes: [EnforcedRoute]) {
        name = record.name
        nameBytes = Array(record.name.utf8)
        self.routes = routes
        upstreamModels = routes.map(\.upstreamModel)
        maxOutputTokens = record.maxOutputTokens
        totalWeight = routes.reduce(0) { $0 + $1.weight }
    }
}
