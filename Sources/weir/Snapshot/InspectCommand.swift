// `weir snapshot inspect`: what a node was given, or what the control plane would give it now: from a node's disk or
// over the nodes' own protocol, verified as a node would.

import ArgumentParser
import Foundation
import Policy
import Secrets
import Snapshot
import Stack
import Synchronization

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Verify a snapshot and say what is in it.",
        discussion: """
            SOURCE is a node's data directory (.weir/dev/nodes/gateway-1), one of the snapshot files in it, or a \
            control plane's base URL on this machine (http://127.0.0.1:8096). Keys come from --deployment, or from \
            WEIR_VERIFYING_KEY (hex) and WEIR_FLEET_TOKEN. No secret is shown.
            """
    )

    @Argument(help: "A node's data directory, a snapshot file, or a control plane's URL.")
    var source: String

    @Option(help: "The data directory of the weir dev that the snapshot belongs to.")
    var deployment = ".weir/dev"

    @Flag(help: "Show every key with the rules that its requests meet, as a node builds them.")
    var enforced = false

    @Flag(help: "One JSON object a line.")
    var json = false

    @Option(help: "Print at most so many lines of each snapshot; 0 for all.")
    var limit = 1000

    @Option(help: "Ask the control plane as the node with this id would, which may be in a canary.")
    var node: String?

    func validate() throws {
        guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
    }

    func run() async throws {
        let (verifyingKey, fleetToken) = try keys()
        if source.hasPrefix("http://") {
            let base = source.hasSuffix("/") ? String(source.dropLast()) : source
            let (manifest, chunks) = try await fetch(base, verifyingKey, fleetToken)
            try show(manifest, chunks)
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
                try show(stored.manifest, stored.encoded.chunks)
            }
        }
        if !isAnyWhole { throw ExitCode(1) }
    }

    /// Asks page by page, as a node does; every answer is bounded by what the signed manifest says of it.
    private func fetch(
        _ url: String,
        _ key: VerifyingKey,
        _ token: String
    ) async throws -> (Manifest, [Digest: [UInt8]]) {
        func get(_ path: String, maxBytes: Int) async throws -> LoopbackResponse {
            let headers = [(name: "Authorization", value: "Bearer \(token)")]
            let got = Mutex(0)
            let answer = try await LoopbackClient.send(LoopbackRequest("GET", url + path, headers: headers)) { piece in
                got.withLock { got in
                    got += piece.count
                    return got <= max(maxBytes, 64 << 10)
                }
            }
            guard answer.status == 200 else {
                throw ValidationError("GET \(path): \(answer.status) \(answer.text.prefix(1000))")
            }
            guard answer.end == .complete else {
                throw ValidationError("GET \(path): the answer is cut off or too long")
            }
            return answer
        }
        var path = "/internal/v1/snapshot/manifest"
        if let node {
            guard let id = node.addingPercentEncoding(withAllowedCharacters: .alphanumerics) else {
                throw ValidationError("--node is no text")
            }
            path += "?node=\(id)"
        }
        let answer = try await get(path, maxBytes: SnapshotBounds.maxManifestBytes)
        if answer.header("weir-canary-notice") != nil {
            Console.line("the node is in a canary: some policies differ from these")
        }
        let manifest = try SnapshotDecoder.manifest(answer.body, verifyingKey: key)
        var chunks: [Digest: [UInt8]] = [:]
        while true {
            let missing = try SnapshotDecoder.missing(manifest) { chunks[$0] }
            guard !missing.isEmpty else { return (manifest, chunks) }
            for chunk in missing {
                let path = "/internal/v1/snapshot/chunks/\(chunk.digest.hex)"
                let bytes = try await get(path, maxBytes: chunk.size).body
                guard SHA256.digest(bytes) == chunk.digest else { throw SnapshotError.wrongDigest(chunk.name) }
                chunks[chunk.digest] = bytes
            }
        }
    }

    private func show(_ manifest: Manifest, _ chunks: [Digest: [UInt8]]) throws {
        let lines: [String]
        if enforced {
            let snapshot = try EnforcedSnapshot(manifest: manifest) { chunks[$0] }
            lines = json ? SnapshotDescription.jsonLines(snapshot) : SnapshotDescription.text(snapshot)
        } else {
            let content = try SnapshotDecoder.content(manifest: manifest) { chunks[$0] }
            lines =
                json
                ? SnapshotDescription.jsonLines(manifest: manifest, content: content)
                : SnapshotDescription.text(manifest: manifest, content: content)
        }
        let shown = limit == 0 ? lines[...] : lines.prefix(limit)
        for line in shown { Console.line(line) }
        if shown.count < lines.count, !json { Console.line("… \(lines.count - shown.count) more; --limit 0 shows all") }
    }
}
