// A fake control plane: the real one needs PostgreSQL and never loses an answer, doubles a node's trouble or serves a
// wrong chunk on demand, which is what these tests are about. It speaks only the five calls of a node; the real one
// is met in Tests/EndToEnd.

import Foundation
import Ledger
import Secrets
import Snapshot
import Synchronization

/// Serves manifests and chunks, takes reports and usage, and fails as it is told.
final class FakeControlPlane: Sendable {
    struct Report: Decodable {
        let bootID: String
        let url: String
        let version: UInt64
        let lineage: String
        let status: String
        let reason: String?
        let startedAt: Int64
        let source: String?
        let canary: String?
        let heldRevocations: Int?

        private enum CodingKeys: String, CodingKey {
            case bootID = "boot_id"
            case url
            case version
            case lineage
            case status
            case reason
            case startedAt = "started_at_ms"
            case source = "snapshot_source"
            case canary
            case heldRevocations = "held_revocations"
        }
    }

    /// What becomes of a call for usage.
    enum UsageFault {
        /// Not merged; the answer is this status.
        case refuse(Int)
        /// Merged, and the connection is closed without an answer.
        case loseAnswer
        /// Not merged; answered with 200 and this, which is no acknowledgement.
        case answer(String)
    }

    struct State {
        var snapshot: EncodedSnapshot?
        var notice: [UInt8]?
        var chunks: [Digest: [UInt8]] = [:]
        var entityTag = ""
        var confirmedLineage = ""
        var missingChunks: Set<Digest> = []
        var reports: [Report] = []
        var liveNodes = 1
        var isDown = false
        var manifestCalls: [String] = []
        var chunkCalls = 0
        var usageFaults: [UsageFault] = []
        /// Refuses, with 422, every batch that holds this request.
        var poison: String?
        /// Every batch that arrived, merged or not: (node, boot, sequences).
        var batches: [UsageBatch] = []
        /// Requests by identity, as PostgreSQL would merge them.
        var merged: [String: String] = [:]
        var duplicates = 0
        var strangers = 0
    }

    static let token = "fleet-token-for-tests"

    let state = Mutex(State())
    private let listener: BlockingSocket
    private let connections = Mutex<[ObjectIdentifier: BlockingSocket]>([:])

    var url: String { "http://127.0.0.1:\(listener.port)" }

    init() throws {
        listener = try BlockingSocket()
        let listener = listener
        Thread.detachNewThread { [weak self] in
            while let connection = listener.accepted() {
                guard let self else { return }
                self.connections.withLock { $0[ObjectIdentifier(connection)] = connection }
                Thread.detachNewThread { [weak self] in
                    Self.serve(connection) { self?.answer($0) }
                    connection.shut()
                    self?.connections.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(connection)) }
                }
            }
        }
    }

    deinit { stop() }

    func stop() {
        listener.shut()
        cutConnections()
    }

    /// Closes all connections, held polls too.
    func cutConnections() { connections.withLock { for connection in $0.values { connection.shut() } } }

    /// Refuses everything from now on, as a crashed server would.
    func goDown() {
        state.withLock { $0.isDown = true }
        cutConnections()
    }

    func comeBack() { state.withLock { $0.isDown = false } }

    func serve(
        _ snapshot: EncodedSnapshot,
        lineage: String,
        version: UInt64,
        canary: EncodedCanary? = nil,
        notice: [UInt8]? = nil
    ) {
        state.withLock { state in
            state.snapshot = snapshot
            state.notice = canary?.notice ?? notice
            state.chunks = snapshot.chunks.merging(canary?.chunks ?? [:]) { chunk, _ in chunk }
            let suffix = canary == nil ? "" : "-" + String(repeating: "c", count: 32)
            state.entityTag = "\"\(lineage)-\(version)\(suffix)\""
        }
    }

    // MARK: HTTP, as much as a node speaks

    private struct Call {
        let method: String
        let path: String
        let query: String
        let headers: [String: String]
        let body: [UInt8]
    }

    private static func serve(_ connection: BlockingSocket, answer: (Call) -> [UInt8]?) {
        var received: [UInt8] = []
        while true {
            guard let call = nextCall(from: connection, &received), let bytes = answer(call) else { return }
            connection.write(bytes)
        }
    }

    private static func nextCall(from connection: BlockingSocket, _ received: inout [UInt8]) -> Call? {
        let separator = Array("\r\n\r\n".utf8)
        while true {
            if let end = received.firstRange(of: separator) {
                let lines = String(decoding: received[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                let start = lines[0].split(separator: " ")
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
                }
                let length = headers["content-length"].flatMap { Int($0) } ?? 0
                if received.count >= end.upperBound + length {
                    let body = Array(received[end.upperBound..<(end.upperBound + length)])
                    received.removeFirst(end.upperBound + length)
                    let target = start[1].split(separator: "?", maxSplits: 1)
                    return Call(
                        method: String(start[0]),
                        path: String(target[0]),
                        query: target.count > 1 ? String(target[1]) : "",
                        headers: headers,
                        body: body
                    )
                }
            }
            let more = connection.read()
            guard !more.isEmpty else { return nil }
            received += more
        }
    }

    private func response(_ status: Int, _ body: [UInt8] = [], headers: String = "") -> [UInt8] {
        Array("HTTP/1.1 \(status) X\r\nContent-Length: \(body.count)\r\n\(headers)\r\n".utf8) + body
    }

    private func answer(_ call: Call) -> [UInt8]? {
        guard !state.withLock({ $0.isDown }) else { return nil }
        guard call.headers["authorization"] == "Bearer " + Self.token else {
            state.withLock { $0.strangers += 1 }
            return response(401)
        }
        let prefix = "/internal/v1"
        switch (call.method, call.path) {
        case ("GET", prefix + "/snapshot/manifest"): return manifest(call)
        case ("POST", prefix + "/usage"): return usage(call)
        case ("GET", let path) where path.hasPrefix(prefix + "/snapshot/chunks/"):
            return chunk(String(path.split(separator: "/").last ?? ""))
        case ("POST", let path) where path.hasPrefix(prefix + "/nodes/") && path.hasSuffix("/report"):
            return report(call)
        default: return response(404)
        }
    }

    private func manifest(_ call: Call) -> [UInt8]? {
        state.withLock { $0.manifestCalls.append(call.query) }
        let parameters = call.query.split(separator: "&")
        let wait = parameters.first { $0.hasPrefix("wait=") }.flatMap { Double($0.dropFirst(5)) } ?? 0
        let end = Date(timeIntervalSinceNow: wait)
        while true {
            let (snapshot, tag, isDown, notice) = state.withLock {
                ($0.snapshot, $0.entityTag, $0.isDown, $0.notice)
            }
            if isDown { return nil }
            guard let snapshot else { return response(404) }
            if call.headers["if-none-match"] != tag {
                let field = notice.map { "Weir-Canary-Notice: \(hex($0))\r\n" } ?? ""
                return response(200, snapshot.manifest, headers: "ETag: \(tag)\r\n\(field)")
            }
            if Date() >= end { return response(304, headers: "ETag: \(tag)\r\n") }
            Thread.sleep(forTimeInterval: 0.005)
        }
    }

    private func chunk(_ name: String) -> [UInt8] {
        state.withLock { state in
            state.chunkCalls += 1
            guard let digest = Digest(hex: name), !state.missingChunks.contains(digest),
                let bytes = state.chunks[digest]
            else { return response(404) }
            return response(200, bytes)
        }
    }

    private func report(_ call: Call) -> [UInt8] {
        do {
            let report = try JSONDecoder().decode(Report.self, from: Data(call.body))
            return state.withLock { state in
                state.reports.append(report)
                return response(
                    200,
                    Array(
                        "{\"live_nodes\": \(state.liveNodes), \"confirmed_lineage\": \"\(state.confirmedLineage)\"}"
                            .utf8
                    )
                )
            }
        } catch {
            return response(400)
        }
    }

    private func usage(_ call: Call) -> [UInt8]? {
        let batch: UsageBatch
        do {
            batch = try UsageBatch.decode(call.body)
        } catch {
            return response(400)
        }
        return state.withLock { state in
            state.batches.append(batch)
            let fault = state.usageFaults.isEmpty ? nil : state.usageFaults.removeFirst()
            if case .refuse(let status) = fault { return response(status) }
            if case .answer(let text) = fault { return response(200, Array(text.utf8)) }
            if let poison = state.poison, batch.records.contains(where: { $0.requestID == poison }) {
                return response(422)
            }
            var accepted = 0
            for record in batch.records {
                let identity = "\(batch.nodeID)/\(batch.bootID)/\(record.sequence)"
                if state.merged.updateValue(record.requestID, forKey: identity) == nil { accepted += 1 }
            }
            let duplicates = batch.records.count - accepted
            state.duplicates += duplicates
            if case .loseAnswer = fault { return nil }
            return response(200, Array("{\"accepted\":\(accepted),\"duplicates\":\(duplicates)}".utf8))
        }
    }
}
