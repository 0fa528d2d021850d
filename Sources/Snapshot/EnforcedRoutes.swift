// Providers and models as they are enforced: one chunk, built anew when it changes and shared by all versions while it
// does not.

internal import Codec
internal import Secrets
import Tokens

/// The providers and models of a snapshot.
final class EnforcedRoutes: Sendable {
    let digest: Digest
    /// The chunk's bytes.
    let chunk: [UInt8]
    let providers: [EnforcedProvider]
    let models: [EnforcedModel]
    let modelTable: NameTable

    /// Builds what a verified chunk says.
    init(_ chunk: [UInt8], digest: Digest) throws(SnapshotError) {
        let (providers, models) = try parsing("routes") { () throws(CodecError) in try ChunkCodec.readRoutes(chunk) }
        self.digest = digest
        self.chunk = chunk
        self.providers = providers.enumerated().map { EnforcedProvider($0.element, index: $0.offset) }
        self.models = try Self.models(of: models, self.providers)
        modelTable = NameTable(self.models.map(\.nameBytes))
    }

    private static func models(
        of records: [ModelRecord],
        _ providers: [EnforcedProvider]
    ) throws(SnapshotError) -> [EnforcedModel] {
        var byID: [String: EnforcedProvider] = [:]
        for provider in providers { byID[provider.id] = provider }
        var models: [EnforcedModel] = []
        models.reserveCapacity(records.count)
        var routeCount = 0
        for record in records {
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
