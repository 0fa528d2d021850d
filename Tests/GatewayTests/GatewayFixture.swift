// A whole gateway node in this process, started from a snapshot on disk with Redis and the control plane down: the
// fewest parts with which requests really flow, and by itself a proof that they do.

import Foundation
import Gateway
import Logging
import Policy
import Secrets
import Snapshot

/// One running node, its key and its data directory.
final class GatewayFixture {
    static let secret = "0123456789abcdefghijABCDEFGHIJkx"
    static let keyID = "abcdefgh01234567"
    static let key = "wk_\(keyID)_\(secret)"

    let server: GatewayServer
    private let directory: URL

    var port: Int { server.port }

    /// A node with these global policies, each a kind and its config, in order.
    init(
        upstream: CannedUpstream,
        policies: [(kind: String, config: ConfigValue)] = [],
        mode: RuleMode = .enforce,
        bounds: GatewayBounds = GatewayBounds(),
        redisPort: Int = 1,
        workers: Int = 1,
        place: (nodes: Int, rank: Int) = (1, 0),
        drainIdleGrace: Duration = .zero,
        telemetry: GatewayTelemetry = GatewayTelemetry(),
        adjust: (inout SnapshotContent) throws -> Void = { _ in }
    ) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "weir-gateway-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let signingKey = SigningKey.generate()
        let fleetKey = SealingKey.generate()
        var content = try Self.content(upstream: upstream, policies: policies, mode: mode, fleetKey: fleetKey)
        try adjust(&content)
        try LastKnownGood(directory: directory.path).save(
            SnapshotEncoder.encode(
                content,
                lineage: String(repeating: "ab", count: 16),
                version: 7,
                createdAt: 1_767_225_600_000,
                signingKey: signingKey
            )
        )
        try LastKnownGood(directory: directory.path).savePlace(nodes: place.nodes, rank: place.rank)
        var configuration = GatewayConfiguration(
            host: "127.0.0.1",
            port: 0,
            workers: workers,
            redisHost: "127.0.0.1",
            redisPort: redisPort,
            controlURL: "http://127.0.0.1:1",
            dataDirectory: directory.path,
            nodeID: "test",
            verifyingKey: signingKey.verifyingKey,
            fleetKey: fleetKey,
            fleetToken: Redacted("fleet-token")
        )
        configuration.bounds = bounds
        configuration.bounds.drainDelay = .zero
        configuration.bounds.drainIdleGrace = drainIdleGrace
        configuration.bounds.drainTimeout = .seconds(2)
        configuration.bounds.usageDrainTimeout = .milliseconds(50)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        server = try GatewayServer(configuration, telemetry: telemetry, logger: logger)
        try waitUntilReady()
    }

    deinit {
        do { try FileManager.default.removeItem(at: directory) } catch { print("left behind: \(directory.path)") }
    }

    /// Stops the node; a test that forgets leaves threads behind until the process ends.
    func stop() throws { try server.stop() }

    private func waitUntilReady() throws {
        let deadline = Date().addingTimeInterval(10)
        while Date() < deadline {
            let connection = try RawConnection(port: port)
            connection.send("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if connection.receiveAll().hasPrefix("HTTP/1.1 200") { return }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw RawError(call: "ready", code: 0)
    }

    private static func content(
        upstream: CannedUpstream,
        policies: [(kind: String, config: ConfigValue)],
        mode: RuleMode,
        fleetKey: SealingKey
    ) throws -> SnapshotContent {
        guard let keyID = KeyID(keyID) else { throw RawError(call: "key id", code: 0) }
        let key = KeyRecord(
            id: keyID,
            name: "k",
            digest: SHA256.digest(Array(secret.utf8)),
            tags: [],
            createdAt: 0,
            expiresAt: nil,
            isRevoked: false
        )
        let records = try policies.enumerated().map { index, policy in
            guard let kind = PolicyRegistry.standard.kind(named: policy.kind) else {
                throw RawError(call: "kind", code: 0)
            }
            return PolicyRecord(
                id: "pol_\(index)",
                name: "p\(index)",
                kind: policy.kind,
                scope: .global,
                mode: mode,
                createdAt: Int64(index),
                sequence: UInt64(index),
                program: try kind.compile(policy.config)
            )
        }
        return SnapshotContent(
            apps: [
                AppRecord(
                    id: "app_1",
                    name: "a",
                    organisation: "org_1",
                    tier: "",
                    tags: [],
                    isEnabled: true,
                    keys: [key]
                )
            ],
            policies: records,
            providers: [
                ProviderRecord(
                    id: "prv_1",
                    name: "p",
                    kind: .openAICompatible,
                    baseURL: "http://127.0.0.1:\(upstream.port)/v1",
                    sealedCredential: try fleetKey.seal(Array("sk-upstream".utf8), context: Array("prv_1".utf8)),
                    injectsStreamUsage: true
                )
            ],
            models: [
                ModelRecord(name: "mock", routes: [RouteRecord(providerID: "prv_1", upstreamModel: "mock")]),
                ModelRecord(name: "alias", routes: [RouteRecord(providerID: "prv_1", upstreamModel: "secret-model")]),
            ]
        )
    }
}

extension GatewayFixture {
    /// A chat request as SDKs send it.
    static func chat(_ body: String = #"{"model":"mock","messages":[{"role":"user","content":"hi"}]}"#) -> String {
        """
        POST /v1/chat/completions HTTP/1.1\r
        Host: gateway\r
        Authorization: Bearer \(key)\r
        Content-Type: application/json\r
        Content-Length: \(body.utf8.count)\r
        \r
        \(body)
        """
    }

    /// What a series of `/metrics` stands at; 0 when it is not there.
    func metric(_ series: String) throws -> Int {
        let connection = try RawConnection(port: port)
        connection.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        let line = connection.receiveAll().split(separator: "\n").first { $0.hasPrefix("\(series) ") }
        return line.flatMap { Int($0.dropFirst(series.utf8.count + 1).trimmingCharacters(in: .whitespaces)) } ?? 0
    }

    /// One request on a connection of its own; the whole answer as text.
    func ask(_ request: String) throws -> String {
        let connection = try RawConnection(port: port)
        connection.send(request.replacing("Host: gateway\r\n", with: "Host: gateway\r\nConnection: close\r\n"))
        return connection.receiveAll()
    }
}

extension CannedUpstream.Answer {
    /// A small chat completion with usage.
    static let completion: CannedUpstream.Answer = {
        let body =
            #"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#
        return CannedUpstream.Answer(
            bytes: Array(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    .utf8
            )
        )
    }()
}
