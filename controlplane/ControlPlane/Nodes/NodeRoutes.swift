// What gateway nodes call, with the fleet token: the snapshot (long-polled while Redis is out), their report, usage.

import Ledger
import Policy
import Secrets
import Snapshot
import Telemetry

/// Operations under `/internal/v1`.
struct NodeRoutes: Sendable {
    static let maxPollSeconds = 60

    let holder: SnapshotHolder
    let nodes: NodeRegistry
    let ingest: UsageIngest
    let lineage: LineageKeeper
    let logLevels: LogLevelKeeper

    var routes: [Route] {
        [
            Route("GET", "/internal/v1/snapshot/manifest", access: .fleet, manifest),
            Route("GET", "/internal/v1/snapshot/chunks/{digest}", access: .fleet, chunk),
            Route("POST", "/internal/v1/nodes/{id}/report", access: .fleet, body: .json, report),
            Route("POST", "/internal/v1/usage", access: .fleet, body: .bytes(max: UsageBatch.maxBytes)) { call in
                try await ingest.take(call.body)
            },
        ]
    }

    private func manifest(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(["wait", "node"])
        // A node that says who it is gets the canary's notice when it is in its audience.
        let nodeID = try call.query["node"].map(Self.nodeID)
        var seconds = 0
        if let text = call.query["wait"] {
            guard let value = Int(text), (0...Self.maxPollSeconds).contains(value) else {
                throw Problem.badParameter("wait", "must be 0 to \(Self.maxPollSeconds), in seconds")
            }
            seconds = value
        }
        let known = call.headers["if-none-match"]
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(seconds)
        while true {
            let rings = holder.compiled.rings
            let current = holder.current
            let canary = current?.canary.flatMap { canary in
                nodeID.map(canary.includes) == true ? canary : nil
            }
            if let current, Self.etag(current, canary) != known {
                var headers = ["etag": Self.etag(current, canary)]
                if let canary { headers[CanaryRoutes.noticeHeader] = hex(canary.encoded.notice) }
                return Answer(
                    contentType: "application/octet-stream",
                    headers: headers,
                    body: current.encoded.manifest
                )
            }
            guard clock.now < deadline, !holder.isEnding, !Task.isCancelled else {
                guard let current else { throw Problem.unavailable }
                return Answer(status: 304, contentType: nil, headers: ["etag": Self.etag(current, canary)])
            }
            await holder.compiled.wait(past: rings, atMost: deadline - clock.now)
        }
    }

    private static func etag(_ snapshot: CompiledSnapshot, _ canary: CompiledCanary?) -> String {
        "\"\(snapshot.lineage)-\(snapshot.version)\(canary.map { "-\($0.id)" } ?? "")\""
    }

    private static func nodeID(_ text: String) throws(Problem) -> String {
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .badRequest("A node id is 1 to 128 printable ASCII characters.")
        }
        return text
    }

    private func chunk(_ call: Call) async throws -> Answer {
        try call.query.allowOnly([])
        guard let digest = Digest(hex: call.parameter("digest")), let chunk = holder.chunk(digest) else {
            throw Problem.notFound
        }
        return Answer(contentType: "application/octet-stream", body: chunk)
    }

    private func report(_ call: Call) async throws -> Answer {
        try call.query.allowOnly([])
        let nodeID = try Self.nodeID(call.parameter("id"))
        var reader = ObjectReader(try call.object())
        let bootID = reader.text("boot_id", maxBytes: 128, required: true)
        let url = reader.text("url", maxBytes: 2048, allowsEmpty: true)
        let version = reader.optionalInteger("version", in: 0...Int64.max)
        let lineage = reader.text("lineage", maxBytes: 64, allowsEmpty: true)
        let canary = reader.text("canary", maxBytes: 64, allowsEmpty: true)
        let held = reader.optionalInteger("held_revocations", in: 0...Int64.max)
        let status = reader.word("status", of: ["ack", "nack"], default: nil)
        let reason = NodeReport.reason(reader.take("reason"))
        let startedAt = reader.optionalInteger("started_at_ms", in: 0...253_402_300_799_999)
        let source = reader.word("snapshot_source", of: ["redis", "control", "disk", "none"], default: "none")
        let load = NodeLoad(&reader)
        try reader.finishPassingOver()
        let isRefusal = status == "nack"
        let report = NodeReport(
            nodeID: nodeID,
            bootID: bootID ?? "",
            url: url ?? "",
            lineage: lineage ?? "",
            version: version ?? 0,
            canary: canary ?? "",
            status: isRefusal ? .nack : .ack,
            reason: isRefusal ? reason : nil,
            source: source,
            heldRevocations: held ?? 0,
            startedAt: startedAt ?? 0,
            load: load,
            seenAt: Timestamp.now
        )
        let standing = try nodes.take(report)
        let current = holder.current
        if let current, report.lineage == current.lineage, report.version > Int64(clamping: current.version) {
            self.lineage.suspect(
                LineageKeeper.Evidence(
                    lineage: report.lineage,
                    version: UInt64(report.version),
                    createdAt: nil,
                    witness: "node \(report.nodeID)"
                )
            )
        }
        let confirmed = current.flatMap { $0.isLineageConfirmed ? $0.lineage : nil }
        let levels = logLevels.current
        return .json([
            "log_levels": .string(levels?.setting.text ?? ""),
            "log_levels_ms": .optional(levels?.remainingMilliseconds),
            "live_nodes": .integer(Int64(standing.live)), "rank": .integer(Int64(standing.rank)),
            "duplicate": .bool(standing.isDuplicate),
            "confirmed_lineage": .string(confirmed ?? ""),
        ])
    }
}
