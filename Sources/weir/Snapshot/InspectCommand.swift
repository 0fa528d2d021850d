// `weir snapshot inspect`: what a node was given, or what the control plane would give it now: from a node's disk or
// over the nodes' own protocol, verified as a node would.

import ArgumentParser
import Foundation
import Policy
import Secrets
import Snapshot
import Stack

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Verify a snapshot and say what is in it.",
        discussion: """
            SOURCE is a node's data directory (.weir/dev/nodes/gateway-1), one of the snapshot files in it, or a \
            control plane's base URL on this machine (http://127.0.0.1:8096). Keys come from --deployment, or from \
            WEIR_VERIFYING_KEY (hex) and WEIR_FLEET_TOKEN.
            """
    )

    @Argument(help: "A node's data directory, a snapshot file, or a control plane's URL.")
    var source: String

    @Option(help: "The data directory of the weir dev that the snapshot belongs to.")
    var deployment = ".weir/dev"

    func run() async throws {
        let (verifyingKey, fleetToken) = try keys()
        if source.hasPrefix("http://") {
            show(try await fetch(source.hasSuffix("/") ? String(source.dropLast()) : source, verifyingKey, fleetToken))
        } else {
            try showDisk(verifyingKey)
        }
    }

    private func keys() throws -> (VerifyingKey, token: String) {
        let environment = ProcessInfo.processInfo.environment
        if let text = environment["WEIR_VERIFYING_KEY"] {
            guard let bytes = Secrets.bytes(hex: text) else { throw ValidationError("WEIR_VERIFYING_KEY is not hex") }
            return (try VerifyingKey(bytes: bytes), environment["WEIR_FLEET_TOKEN"] ?? "")
        }
        let file = "\(DevOptions.absolute(deployment))/keys.json"
        guard FileManager.default.fileExists(atPath: file) else {
            throw ValidationError("\(file) is not there: name the --deployment, or set WEIR_VERIFYING_KEY")
        }
        let keys = try FleetKeys.keep(in: file)
        return (keys.signingKey.verifyingKey, keys.fleetToken)
    }

    private func showDisk(_ key: VerifyingKey) throws {
        var path = DevOptions.absolute(source)
        var only: String?
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        if attributes[.type] as? FileAttributeType != .typeDirectory {
            let url = URL(fileURLWithPath: path)
            only = url.lastPathComponent
            path = url.deletingLastPathComponent().path
        }
        let copies = LastKnownGood(directory: path).inspect(verifyingKey: key)
        var isAnyWhole = false
        for copy in copies where only == nil || copy.file == only {
            switch copy.state {
            case .absent: Console.line("\(copy.file): absent")
            case .damaged(let error): Console.line("\(copy.file): damaged or foreign: \(error)")
            case .unreadable(let error): Console.line("\(copy.file): unreadable: \(error)")
            case .whole(let stored):
                isAnyWhole = true
                Console.line("\(copy.file): whole, generation \(stored.generation)")
                show((stored.manifest, stored.content))
            }
        }
        if !isAnyWhole { throw ExitCode(1) }
    }

    private func fetch(
        _ url: String,
        _ key: VerifyingKey,
        _ token: String
    ) async throws -> (Manifest, SnapshotContent) {
        func get(_ path: String) async throws -> [UInt8] {
            let headers = [(name: "Authorization", value: "Bearer \(token)")]
            let answer = try await LoopbackClient.send(LoopbackRequest("GET", url + path, headers: headers))
            guard answer.status == 200 else { throw ValidationError("GET \(path): \(answer.status) \(answer.text)") }
            return answer.body
        }
        let manifest = try SnapshotDecoder.manifest(
            try await get("/internal/v1/snapshot/manifest"),
            verifyingKey: key
        )
        var chunks: [Digest: [UInt8]] = [:]
        for reference in manifest.chunks where chunks[reference.digest] == nil {
            chunks[reference.digest] = try await get("/internal/v1/snapshot/chunks/\(reference.digest.hex)")
        }
        return (manifest, try SnapshotDecoder.content(manifest: manifest) { chunks[$0] })
    }

    private func show(_ snapshot: (manifest: Manifest, content: SnapshotContent)) {
        let (manifest, content) = snapshot
        let created = Date(timeIntervalSince1970: Double(manifest.createdAt) / 1000).ISO8601Format()
        let distinct = Dictionary(manifest.chunks.map { ($0.digest, $0.size) }) { first, _ in first }
        Console.step("version", "\(manifest.version) of lineage \(manifest.lineage), format \(manifest.format)")
        Console.step("compiled", created)
        Console.step("signed by", hex(manifest.signingKeyID))
        Console.step("chunks", "\(distinct.count) distinct, \(distinct.values.reduce(0, +)) bytes")
        for provider in content.providers {
            Console.step("provider", "\(provider.id)  \(provider.name)  \(provider.kind)  \(provider.baseURL)")
        }
        for model in content.models {
            let routes = model.routes.map { "\($0.providerID)/\($0.upstreamModel) × \($0.weight)" }
            Console.step("model", "\(model.name)  → \(routes.joined(separator: ", "))")
        }
        for app in content.apps {
            let state = app.isEnabled ? "" : ", disabled"
            Console.step("app", "\(app.id)  \(app.name), \(app.keys.count) keys\(state)")
        }
        for policy in content.policies {
            Console.step("policy", "\(policy.id)  \(policy.name)  \(policy.kind)  \(policy.scope)  \(policy.mode)")
        }
    }
}
