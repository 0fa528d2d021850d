// One agent with its surroundings: a real Redis, a fake control plane, a directory, and a record of what was enforced.

import Foundation
import Ledger
import Logging
import Policy
import Secrets
import Snapshot
import Stack
import Synchronization
import Telemetry
import Testing

@testable import Gateway

/// What an agent handed to its gateway.
final class Enforced: Sendable {
    private let snapshots = Mutex<[EnforcedSnapshot]>([])
    var versions: [UInt64] { snapshots.withLock { $0.map(\.version) } }
    var last: EnforcedSnapshot? { snapshots.withLock { $0.last } }
    func append(_ snapshot: EnforcedSnapshot) { snapshots.withLock { $0.append(snapshot) } }
}

/// What an agent told its gateway to hold back.
final class Held: Sendable {
    private let sets = Mutex<[Set<KeyID>]>([])
    var last: Set<KeyID>? { sets.withLock { $0.last } }
    func append(_ keys: Set<KeyID>) { sets.withLock { $0.append(keys) } }
}

/// The surroundings of one node.
final class NodeFixture: Sendable {
    static let lineage = "00112233445566778899aabbccddeeff"

    let directory: TemporaryDirectory
    let key = SigningKey.generate()
    let control: FakeControlPlane
    let redisPort: Int
    let redis: PrivateRedis?
    let enforced = Enforced()
    let held = Held()

    /// Makes the surroundings; no agent yet.
    init(hasRedis: Bool = true) async throws {
        directory = try TemporaryDirectory(prefix: "weir-node")
        control = try FakeControlPlane()
        redisPort = try FreePort.claim()
        redis = hasRedis ? try await PrivateRedis.start(directory: directory.path + "/redis", port: redisPort) : nil
    }

    var dataDirectory: String { directory.path + "/data" }

    /// Times shortened where a test would wait for them; the rest as in production.
    static var timing: NodeTiming {
        var timing = NodeTiming()
        timing.heartbeatSilence = .milliseconds(600)
        timing.reportInterval = .milliseconds(200)
        timing.usageInterval = .milliseconds(20)
        timing.pollSeconds = 2
        timing.reconnectSpread = .milliseconds(50)
        timing.minBackoff = .milliseconds(20)
        timing.maxBackoff = .milliseconds(200)
        return timing
    }

    static func configuration(
        nodeID: String = "node-1",
        bootID: String = "boot-1",
        redisPort: Int = 1,
        controlURL: String = "http://127.0.0.1:1",
        dataDirectory: String = "/nonexistent",
        verifyingKey: VerifyingKey = SigningKey.generate().verifyingKey,
        timing: NodeTiming = NodeFixture.timing
    ) -> NodeConfiguration {
        NodeConfiguration(
            nodeID: nodeID,
            bootID: bootID,
            url: "http://127.0.0.1:8080",
            redisHost: "127.0.0.1",
            redisPort: redisPort,
            controlURL: controlURL,
            dataDirectory: dataDirectory,
            verifyingKey: verifyingKey,
            fleetToken: Redacted(FakeControlPlane.token),
            timing: timing
        )
    }

    /// Starts an agent.
    func agent(
        controlURL: String? = nil,
        timing: NodeTiming = NodeFixture.timing,
        metrics: MetricRegistry? = nil,
        usageCapacity: Int = 65_536
    ) throws -> NodeAgent {
        var configuration = Self.configuration(
            redisPort: redisPort,
            controlURL: controlURL ?? control.url,
            dataDirectory: dataDirectory,
            verifyingKey: key.verifyingKey,
            timing: timing
        )
        configuration.usageCapacity = usageCapacity
        let agent = try NodeAgent(
            configuration,
            registry: .standard,
            metrics: metrics,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            onHeldKeys: held.append,
            onSnapshot: enforced.append
        )
        agent.start()
        return agent
    }

    /// Several apps, so that a change of one leaves other chunks alone.
    func snapshot(
        _ version: UInt64,
        lineage: String = NodeFixture.lineage,
        createdAt: Int64? = nil,
        signedBy other: SigningKey? = nil,
        policyKind: String? = nil
    ) -> EncodedSnapshot {
        let apps = (0..<40).map { index in
            AppRecord(
                id: "app_\(index)",
                name: index == 0 ? "changed in \(version)" : "app \(index)",
                organisation: "org",
                tier: "",
                tags: [],
                isEnabled: true,
                keys: []
            )
        }
        var policies: [PolicyRecord] = []
        if let policyKind {
            policies.append(
                PolicyRecord(
                    id: "pol_1",
                    name: "p",
                    kind: policyKind,
                    scope: .global,
                    mode: .enforce,
                    onError: .deny,
                    priority: nil,
                    createdAt: 1,
                    sequence: 1,
                    program: []
                )
            )
        }
        return SnapshotEncoder.encode(
            SnapshotContent(apps: apps, policies: policies, providers: [], models: []),
            lineage: lineage,
            version: version,
            createdAt: createdAt ?? Int64(1_000 + version),
            signingKey: other ?? key
        )
    }

    /// The chunks of one snapshot that another lacks.
    func difference(_ new: EncodedSnapshot, _ old: EncodedSnapshot) -> Set<Digest> {
        Set(new.chunks.keys).subtracting(old.chunks.keys)
    }

    /// Leaves a last-known-good copy on disk, as an earlier run did.
    func saveCopy(_ snapshot: EncodedSnapshot) throws {
        try LastKnownGood(directory: dataDirectory).save(snapshot)
    }

    /// A record with a request id and nothing remarkable.
    static func record(_ requestID: String) -> UsageRecord {
        UsageRecord(requestID: requestID, startedAt: 1, finishedAt: 2, endpoint: 0, status: 200, outcome: .completed)
    }
}

/// Waits for a condition; the deadline is for machines that are busy with other tests.
func eventually(_ condition: @Sendable @escaping () -> Bool) async -> Bool {
    await wait(upTo: .seconds(20), every: .milliseconds(5)) { condition() }
}
