// What the gateway's loops hold: immutable, shared, and ready to be asked. Everything that can be worked out once is
// worked out here, off the request path; a look-up allocates nothing.

public import Policy
import Tokens

/// A snapshot as it is enforced.
public final class EnforcedSnapshot: Sendable {
    /// Counts the changes of its lineage.
    public let version: UInt64
    /// The history that the version counts in.
    public let lineage: String
    /// When it was compiled, in milliseconds since the Unix epoch.
    public let createdAt: Int64
    /// The models, by name.
    public let models: [EnforcedModel]
    /// The providers, by id; each one's `index` is its place.
    public let providers: [EnforcedProvider]
    /// Keys in all.
    public var keyCount: Int { keys.count }
    /// Apps in all.
    public let appCount: Int
    /// Policies in all.
    public let policyCount: Int

    private let keys: [KeyID: EnforcedKey]
    private let modelTable: NameTable

    /// Builds what a verified manifest and its content say.
    public convenience init(
        manifest: Manifest,
        content: SnapshotContent,
        registry: PolicyRegistry = .standard
    ) throws(SnapshotError) {
        try self.init(
            version: manifest.version,
            lineage: manifest.lineage,
            createdAt: manifest.createdAt,
            content: content,
            registry: registry
        )
    }

    /// Builds a snapshot of content.
    ///
    /// - Parameters:
    ///   - version: counts the changes of its lineage.
    ///   - lineage: 32 hex digits.
    ///   - createdAt: milliseconds since the Unix epoch.
    ///   - content: in any order.
    ///   - registry: the policy kinds that may occur.
    /// - Throws: when ids repeat, a route leads nowhere, or a policy's kind or program is unknown here.
    public init(
        version: UInt64,
        lineage: String,
        createdAt: Int64,
        content: SnapshotContent,
        registry: PolicyRegistry = .standard
    ) throws(SnapshotError) {
        let book = try RuleBook(content.policies, registry)
        self.version = version
        self.lineage = lineage
        self.createdAt = createdAt
        appCount = content.apps.count
        policyCount = book.count
        keys = try Self.keys(of: content.apps, book)
        providers = content.providers.sorted { precedes($0.id, $1.id) }.enumerated().map {
            EnforcedProvider($0.element, index: $0.offset)
        }
        models = try Self.models(of: content.models, providers)
        modelTable = NameTable(models.map(\.nameBytes))
    }

    /// The key with an id; nil when there is none.
    ///
    /// Costs one hash of two words, nothing is allocated.
    public func key(_ id: KeyID) -> EnforcedKey? {
        keys[id]
    }

    /// The model with a name, compared byte by byte; nil when there is none.
    ///
    /// Costs one pass over the name, nothing is allocated.
    public func model(named name: Span<UInt8>) -> EnforcedModel? {
        modelTable.index(of: name).map { models[$0] }
    }

    /// The model with a name, compared byte by byte; nil when there is none.
    public func model(named name: [UInt8]) -> EnforcedModel? {
        model(named: name.span)
    }

    /// Calls `body` with each key, in no order.
    ///
    /// Costs time linear in the keys; for a change of lineage, not for a request.
    public func forEachKey(_ body: (EnforcedKey) -> Void) {
        for key in keys.values { body(key) }
    }

    /// All keys in the order of their ids, for people; not for a request.
    var sortedKeys: [EnforcedKey] {
        keys.values.sorted { $0.keyID.precedes($1.keyID) }
    }

    private static func keys(of apps: [AppRecord], _ book: RuleBook) throws(SnapshotError) -> [KeyID: EnforcedKey] {
        var keys: [KeyID: EnforcedKey] = [:]
        keys.reserveCapacity(apps.reduce(0) { $0 + $1.keys.count })
        for record in apps {
            let app = EnforcedApp(record)
            let inherited = book.rules(forApp: record.id)
            for key in record.keys {
                let rules = book.rules(forKey: key.id, app: record.id, inherited: inherited)
                let replaced = keys.updateValue(EnforcedKey(key, app: app, rules: rules), forKey: key.id)
                guard replaced == nil else { throw .duplicate(part: "keys", id: key.id.text) }
            }
        }
        return keys
    }

    private static func models(
        of records: [ModelRecord],
        _ providers: [EnforcedProvider]
    ) throws(SnapshotError) -> [EnforcedModel] {
        var byID: [String: EnforcedProvider] = [:]
        for provider in providers where byID.updateValue(provider, forKey: provider.id) != nil {
            throw .duplicate(part: "providers", id: provider.id)
        }
        var models: [EnforcedModel] = []
        models.reserveCapacity(records.count)
        var routeCount = 0
        for record in records.sorted(by: { precedes($0.name, $1.name) }) {
            if let last = models.last, last.name.utf8.elementsEqual(record.name.utf8) {
                throw .duplicate(part: "models", id: record.name)
            }
            var routes: [EnforcedRoute] = []
            for route in record.routes {
                guard let provider = byID[route.providerID] else {
                    throw .unknownProvider(model: record.name, provider: route.providerID)
                }
                let upstreamModel = Array(route.upstreamModel.utf8)
                let profile = ModelTable.profile(upstreamModel.span)
                let encoding = record.encoding.flatMap { EncodingName(name: Array($0.utf8).span) }
                routes.append(
                    EnforcedRoute(
                        provider: provider,
                        upstreamModel: upstreamModel,
                        upstreamModelText: route.upstreamModel,
                        tokens: encoding.map(profile.counted) ?? profile,
                        index: routeCount,
                        weight: min(route.weight, SnapshotBounds.maxWeight)
                    )
                )
                routeCount += 1
            }
            guard routes.count <= SnapshotBounds.maxRoutes, routes.contains(where: { $0.weight > 0 }) else {
                throw .noRoute(model: record.name)
            }
            models.append(EnforcedModel(record, routes: routes))
        }
        return models
    }
}
