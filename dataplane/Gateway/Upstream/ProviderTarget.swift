// A provider as requests to it need it: URLs joined, the credential opened, once per snapshot.

import LLMWire
import Secrets
import Snapshot

/// Where requests to one provider go, and with which credential.
struct ProviderTarget: Sendable {
    /// URL by `Endpoint.rawValue`; empty where the provider has no such call.
    private let urls: [String]
    /// Whom its connections go to, for traces.
    let address: (host: String, port: Int?)
    /// The credential's header line; nil for a provider that takes none.
    let credential: Redacted<String>?
    /// Connections are shared only within provider and credential.
    let isolation: [UInt8]
    let injectsStreamUsage: Bool
    /// How long it may take; nil for the node's bounds.
    let connectTimeout: Duration?
    let firstByteTimeout: Duration?
    let idleTimeout: Duration?
    let allowsPrivateAddresses: Bool
    let health: ProviderHealth

    /// - Throws: when the credential is not sealed to this fleet.
    init(_ provider: EnforcedProvider, fleetKey: SealingKey, health: ProviderHealth) throws(SecretsError) {
        let kind = provider.kind
        let base = provider.baseURL.hasSuffix("/") ? String(provider.baseURL.dropLast()) : provider.baseURL
        address = Self.address(base)
        urls = Endpoint.allCases.map { endpoint in Self.url(base: base, kind: kind, endpoint: endpoint) }
        injectsStreamUsage = provider.injectsStreamUsage
        connectTimeout = provider.timeouts.connect.map { .milliseconds($0) }
        firstByteTimeout = provider.timeouts.firstByte.map { .milliseconds($0) }
        idleTimeout = provider.timeouts.idle.map { .milliseconds($0) }
        allowsPrivateAddresses = provider.allowsPrivateAddresses
        self.health = health
        isolation =
            Array(provider.id.utf8) + SHA256.digest(provider.sealedCredential ?? []).bytes
            + [provider.allowsPrivateAddresses ? 1 : 0]
        guard let sealed = provider.sealedCredential else {
            credential = nil
            return
        }
        let secret = String(decoding: try fleetKey.open(sealed, context: Array(provider.id.utf8)), as: UTF8.self)
        credential = Redacted(kind == .anthropic ? "x-api-key: \(secret)" : "authorization: Bearer \(secret)")
    }

    /// The host and the port that a base URL names.
    private static func address(_ base: String) -> (host: String, port: Int?) {
        let scheme = base.utf8.firstRange(of: Array("://".utf8)).map { $0.upperBound } ?? base.startIndex
        let authority = base[scheme...].prefix { $0 != "/" }
        // An IPv6 address has colons of its own, within brackets.
        let end = authority.lastIndex(of: "]") ?? authority.startIndex
        guard let colon = authority[end...].firstIndex(of: ":") else { return (String(authority), nil) }
        return (String(authority[..<colon]), Int(authority[authority.index(after: colon)...]))
    }

    /// The URL of a call; nil when this kind of provider does not offer it.
    func url(of endpoint: Endpoint) -> String? {
        let url = urls[Int(endpoint.rawValue)]
        return url.isEmpty ? nil : url
    }

    /// Whether this kind of provider offers a call.
    func serves(_ endpoint: Endpoint) -> Bool { !urls[Int(endpoint.rawValue)].isEmpty }

    /// OpenAI-style bases end in `/v1`, Anthropic's is the root, as their SDKs have it (WIRE.md, section 1).
    private static func url(base: String, kind: ProviderKind, endpoint: Endpoint) -> String {
        let tail = "\(endpoint.path)".dropFirst("/v1".count)
        let hasVersion = base.hasSuffix("/v1")
        guard kind.serves(endpoint) else { return "" }
        return kind == .anthropic ? base + (hasVersion ? "" : "/v1") + tail : base + tail
    }
}

/// A snapshot with what this node adds to it; replaced as a whole, shared by all loops.
final class ActiveSnapshot: Sendable {
    let policies: EnforcedSnapshot
    /// By `EnforcedProvider.index`; nil where the credential would not open.
    let targets: [ProviderTarget?]
    /// By `EnforcedRoute.index`.
    let calibrations: [TokenCalibration]

    init(
        _ policies: EnforcedSnapshot,
        fleetKey: SealingKey,
        calibrations: TokenCalibrations,
        healths: ProviderHealths,
        onUnusable: (EnforcedProvider, SecretsError) -> Void
    ) {
        self.policies = policies
        self.calibrations = policies.models.flatMap(\.routes).map { route in
            calibrations.calibration(of: route.upstreamModelText, route.tokens)
        }
        let used = Set(policies.models.flatMap(\.routes).map(\.provider.index))
        targets = zip(policies.providers, healths.healths(of: policies.providers, used: used)).map { provider, health in
            do throws(SecretsError) {
                return try ProviderTarget(provider, fleetKey: fleetKey, health: health)
            } catch {
                onUnusable(provider, error)
                return nil
            }
        }
    }
}
