// The secrets of one deployment, made once and kept in its data directory: lose them and its sealed credentials and
// signed snapshots are worth nothing.

private import Foundation
public import Secrets

/// A deployment's keys and tokens.
public struct FleetKeys: Sendable {
    /// Lets an admin use the REST API.
    public let adminToken: String
    /// Lets nodes use the control plane.
    public let fleetToken: String
    /// Seals credentials in snapshots: 32 bytes.
    public let fleetKey: [UInt8]
    /// Seals credentials at rest: 32 bytes.
    public let sealingKey: [UInt8]
    /// Signs snapshots.
    public let signingKey: SigningKey
    /// What the demo upstream wants to see.
    public let upstreamKey: String

    private struct Stored: Codable {
        var adminToken: String
        var fleetToken: String
        var fleetKey: String
        var sealingKey: String
        var signingKey: String
        var upstreamKey: String
    }

    /// Fresh keys.
    public static func generate() -> FleetKeys {
        FleetKeys(
            adminToken: "wadm_\(SecureRandom.string(length: 40, alphabet: .base62))",
            fleetToken: "wflt_\(SecureRandom.string(length: 40, alphabet: .base62))",
            fleetKey: SecureRandom.bytes(32),
            sealingKey: SecureRandom.bytes(32),
            signingKey: SigningKey.generate(),
            upstreamKey: "demo_\(SecureRandom.string(length: 24, alphabet: .base62))"
        )
    }

    /// The keys of a deployment: those in the file, or fresh ones put there with mode 0600.
    ///
    /// - Parameter path: the file.
    /// - Returns: the keys.
    /// - Throws: `.other` when the file is there but not whole: it is never overwritten.
    public static func keep(in path: String) throws(StackError) -> FleetKeys {
        guard FileManager.default.fileExists(atPath: path) else {
            let fresh = generate()
            try PrivateFile.write(fresh.stored, to: path)
            return fresh
        }
        do {
            let file = try Data(contentsOf: URL(fileURLWithPath: path))
            let stored = try JSONDecoder().decode(Stored.self, from: file)
            guard let fleetKey = Secrets.bytes(hex: stored.fleetKey), fleetKey.count == 32,
                let sealingKey = Secrets.bytes(hex: stored.sealingKey), sealingKey.count == 32,
                let seed = Secrets.bytes(hex: stored.signingKey)
            else { throw StackError.other("a key in it is not 64 hex digits") }
            return FleetKeys(
                adminToken: stored.adminToken,
                fleetToken: stored.fleetToken,
                fleetKey: fleetKey,
                sealingKey: sealingKey,
                signingKey: try SigningKey(seed: seed),
                upstreamKey: stored.upstreamKey
            )
        } catch {
            throw .other("\(path) cannot be used: \(error)")
        }
    }

    private var stored: [UInt8] {
        let stored = Stored(
            adminToken: adminToken,
            fleetToken: fleetToken,
            fleetKey: hex(fleetKey),
            sealingKey: hex(sealingKey),
            signingKey: hex(signingKey.seed),
            upstreamKey: upstreamKey
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            return Array(try encoder.encode(stored))
        } catch {
            preconditionFailure("strings can always be written as JSON: \(error)")
        }
    }

    /// What weir-control reads from its environment.
    func controlEnvironment(postgres: String) -> [String: String] {
        [
            "WEIR_POSTGRES": postgres,
            "WEIR_ADMIN_TOKEN": adminToken,
            "WEIR_FLEET_TOKEN": fleetToken,
            "WEIR_SIGNING_KEY": hex(signingKey.seed),
            "WEIR_SEALING_KEY": hex(sealingKey),
            "WEIR_FLEET_KEY": hex(fleetKey),
        ]
    }

    /// What weir-gateway reads from its environment.
    var gatewayEnvironment: [String: String] {
        [
            "WEIR_VERIFYING_KEY": hex(signingKey.verifyingKey.bytes),
            "WEIR_FLEET_KEY": hex(fleetKey),
            "WEIR_FLEET_TOKEN": fleetToken,
        ]
    }
}
