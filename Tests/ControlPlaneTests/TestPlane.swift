// A control plane of the test's own: a private database on one PostgreSQL that all tests of the process share, keys
// made for it, a port of its own. Redis is nobody's unless a test brings one.

import Logging
import Postgres
import Secrets
import Stack
import Synchronization
import Testing

@testable import ControlPlane

/// The PostgreSQL that the tests of this process share.
private enum SharedPostgres {
    static let server = Task {
        let directory = try TemporaryDirectory(prefix: "weir-control-tests")
        let path = PrivatePostgres.usableDirectory(preferring: "\(directory.path)/postgres")
        return (directory, try await PrivatePostgres.start(directory: path))
    }
}

/// How many planes run at once: the shared server has 100 connections, a plane takes up to 14.
private actor Gate {
    static let shared = Gate()
    private var free = 5
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}

/// An answer with its body read as JSON.
struct Reply: Sendable {
    let status: Int
    let json: JSON
    let response: LoopbackResponse

    func header(_ name: String) -> String? { response.header(name) }

    /// The paths of a problem's faulty members.
    var faults: [String] { (json["errors"]?.arrayValue ?? []).compactMap { $0["path"]?.stringValue } }

    func string(_ name: String) throws -> String { try #require(json[name]?.stringValue) }
}

/// A running control plane and its admin.
final class TestPlane: Sendable {
    static let adminToken = "admin-token-of-the-tests"
    static let fleetToken = "fleet-token-of-the-tests"

    let url: String
    let signingKey: SigningKey
    let sealingKey: [UInt8]
    let fleetKey: [UInt8]
    let connectionString: String
    let plane: ControlPlane
    private let isGated: Bool
    private let hasLeft = Atomic<Bool>(false)
    private let running: Task<Void, any Error>

    /// Starts one and waits until it is ready.
    ///
    /// - Parameters:
    ///   - postgres: a server of the test's own instead of the shared one.
    ///   - redisPort: where Redis is; by default nowhere.
    ///   - other: another plane whose database and keys to use.
    ///   - telemetry: what it measures and traces.
    /// - Returns: a plane that is ready; the test stops it.
    /// - Throws: whatever went wrong.
    static func start(
        postgres: PrivatePostgres? = nil,
        redisPort: Int = 1,
        sharing other: TestPlane? = nil,
        telemetry: ControlTelemetry = ControlTelemetry()
    ) async throws -> TestPlane {
        // A second plane of a test comes in with the first, or two such tests could wait for each other.
        if other == nil { await Gate.shared.enter() }
        let plane: TestPlane
        do {
            let database = if let other { other.connectionString } else { try await makeDatabase(on: postgres) }
            plane = try await TestPlane(database, redisPort: redisPort, sharing: other, telemetry)
        } catch {
            if other == nil { await Gate.shared.leave() }
            throw error
        }
        try await plane.waitUntilReady()
        return plane
    }

    private init(_ connectionString: String, redisPort: Int, sharing other: TestPlane?, _ telemetry: ControlTelemetry)
        async throws
    {
        self.connectionString = connectionString
        isGated = other == nil
        signingKey = other?.signingKey ?? .generate()
        sealingKey = other?.sealingKey ?? SecureRandom.bytes(32)
        fleetKey = other?.fleetKey ?? SecureRandom.bytes(32)
        var logger = Logger(label: "tests")
        logger.logLevel = .critical
        let plane = try ControlPlane(
            ControlPlaneConfiguration(
                port: 0,
                postgres: Redacted(connectionString),
                redisHost: "127.0.0.1",
                redisPort: redisPort,
                adminToken: Redacted(Self.adminToken),
                fleetToken: Redacted(Self.fleetToken),
                signingKey: signingKey,
                sealingKey: try SealingKey(bytes: sealingKey),
                fleetKey: Redacted(fleetKey)
            ),
            telemetry: telemetry,
            logger: logger
        )
        self.plane = plane
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        running = Task {
            defer { port.finish() }
            try await plane.run(stopsOnSignals: false) { port.yield($0) }
        }
        var iterator = ports.makeAsyncIterator()
        url = "http://127.0.0.1:\(try #require(await iterator.next()))"
    }

    // A test that throws never reaches stop(); the others must not wait for its place.
    deinit {
        running.cancel()
        leave()
    }

    private func leave() {
        guard isGated, !hasLeft.exchange(true, ordering: .relaxed) else { return }
        Task { await Gate.shared.leave() }
    }

    /// Stops it and waits until it has.
    func stop() async {
        running.cancel()
        _ = await running.result
        leave()
    }

    private static func makeDatabase(on own: PrivatePostgres?) async throws -> String {
        let server: PrivatePostgres
        if let own { server = own } else { server = try await SharedPostgres.server.value.1 }
        let name = "t_\(SecureRandom.string(length: 12, alphabet: .base36))"
        try await sql("CREATE DATABASE \(name)", server.connectionString)
        return server.connectionString.replacing("dbname=postgres", with: "dbname=\(name)")
    }

    private func waitUntilReady() async throws {
        for _ in 0..<600 {
            if try await send("GET", "/readyz").status == 200 { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        Issue.record("the control plane was not ready in time")
    }

    /// Sends a request with the admin token.
    func send(
        _ method: String,
        _ path: String,
        _ body: String? = nil,
        headers: [(name: String, value: String)] = []
    ) async throws -> Reply {
        var all = headers
        if !all.contains(where: { $0.name == "Authorization" }) {
            all.append((name: "Authorization", value: "Bearer \(Self.adminToken)"))
        }
        if body != nil, !all.contains(where: { $0.name == "Content-Type" }) {
            all.append((name: "Content-Type", value: "application/json"))
        }
        return try await raw(method, path, Array((body ?? "").utf8), headers: all)
    }

    /// Sends a request as a gateway node.
    func sendAsNode(_ method: String, _ path: String, _ body: [UInt8] = [], type: String? = nil) async throws -> Reply {
        var headers = [(name: "Authorization", value: "Bearer \(Self.fleetToken)")]
        if let type { headers.append((name: "Content-Type", value: type)) }
        return try await raw(method, path, body, headers: headers)
    }

    /// Sends exactly this.
    func raw(
        _ method: String,
        _ path: String,
        _ body: [UInt8],
        headers: [(name: String, value: String)]
    ) async throws -> Reply {
        let response = try await LoopbackClient.send(
            LoopbackRequest(method, url + path, headers: headers, body: body)
        )
        let isJSON = response.header("content-type")?.contains("json") ?? false
        let json = isJSON && !response.body.isEmpty ? try JSONParser.parse(response.body) : .null
        return Reply(status: response.status, json: json, response: response)
    }

    /// Makes an app.
    func makeApp(_ name: String = "app") async throws -> String {
        let reply = try await send("POST", "/v1/apps", "{\"name\":\"\(name)\"}")
        try #require(reply.status == 201)
        return try reply.string("id")
    }

    /// The configuration's version.
    func version() async throws -> Int64 {
        let rows = try await Self.rows("SELECT version FROM configuration", connectionString)
        return try #require(try rows.first?.int("version"))
    }

    /// A node's report that it enforces a version.
    func report(
        node: String,
        boot: String = "boot-1",
        version: Int64,
        lineage: String,
        canary: String = "",
        status: String = "ack",
        more: String = ""
    ) async throws -> Reply {
        let body = """
            {"boot_id":"\(boot)","canary":"\(canary)","url":"http://127.0.0.1:1","version":\(version),"lineage":"\(lineage)",\
            "status":"\(status)","started_at_ms":1,"snapshot_source":"redis"\(more)}
            """
        return try await sendAsNode(
            "POST",
            "/internal/v1/nodes/\(node)/report",
            Array(body.utf8),
            type: "application/json"
        )
    }
}
