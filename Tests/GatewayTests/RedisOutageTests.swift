// Nodes and a real Redis that is stopped, killed, full, read-only, flushed or squatted: no request fails for it, the
// breaker opens and closes, and what was admitted alone is in Redis afterwards.

import Foundation
import Gateway
import Glibc
import Policy
import Stack
import Testing

@Suite(.offPool, .serialized) struct `A node whose Redis fails` {
    private static let config = ConfigValue.object(["limit": .integer(20), "window": .string("31d")])

    @Test func `admits what was left while Redis is stopped, and tells it afterwards`() async throws {
        let system = try await OutageSystem(Self.config)
        #expect(try system.ask(7) == 7)
        await system.send(SIGSTOP)
        // 13 are left; the request that finds out is one of them.
        #expect(try system.ask(20) == 13)
        #expect(try system.dependency("redis").contains(#""state":"closed""#) == false)
        #expect(try system.dependency("redis").contains(#""reason":"deadline""#))
        await system.send(SIGCONT)
        #expect(try system.closes())
        // Nobody's: the one that waited may have been counted by Redis before it stopped, and by the node after.
        #expect(try system.eventually { try (20...21).contains(system.counter() ?? 0) })
        #expect(try system.ask(3) == 0)
        try system.stop()
    }

    @Test func `brings its counts back after Redis was killed`() async throws {
        let system = try await OutageSystem(Self.config, workers: 1)
        #expect(try system.ask(8) == 8)
        await system.send(SIGKILL)
        #expect(try system.ask(5) == 5)
        try await system.redis.process.start()
        #expect(try system.closes())
        #expect(try system.eventually { try system.counter() == 5 })
        // The next answer shows that Redis has forgotten eight of this node's, and it puts them back.
        #expect(try system.ask(1) == 1)
        #expect(try system.eventually { try system.counter() == 14 })
        #expect(try system.metric("weir_limits_epoch_resets_total") == 1)
        #expect(try system.ask(10) == 6)
        try system.stop()
    }

    @Test func `puts back what FLUSHALL took`() async throws {
        let system = try await OutageSystem(Self.config, workers: 1)
        #expect(try system.ask(12) == 12)
        _ = try system.command("FLUSHALL")
        #expect(try system.ask(1) == 1)
        #expect(try system.eventually { try system.counter() == 13 })
        #expect(try system.ask(20) == 7)
        #expect(try system.metric(#"weir_breaker_transitions_total{dependency="redis",to="open"}"#) == 0)
        try system.stop()
    }

    @Test func `does not notice that scripts were flushed`() async throws {
        let system = try await OutageSystem(Self.config)
        #expect(try system.ask(3) == 3)
        _ = try system.command("SCRIPT FLUSH")
        #expect(try system.ask(20) == 17)
        #expect(try system.counter() == 20)
        #expect(try system.metric(#"weir_breaker_transitions_total{dependency="redis",to="open"}"#) == 0)
        try system.stop()
    }

    private static let faults: [(fault: [String], cure: [String], reason: String)] = [
        (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"], "oom"),
        (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"], "readonly"),
        (["CONFIG SET min-replicas-to-write 1"], ["CONFIG SET min-replicas-to-write 0"], "no_replicas"),
        (
            ["CONFIG SET requirepass x", "AUTH x", "CLIENT KILL TYPE normal"],
            ["AUTH x", #"CONFIG SET requirepass """#], ""
        ),
    ]

    @Test(arguments: faults)
    func `goes on by its share when Redis serves no writes`(
        fault: [String],
        cure: [String],
        reason: String
    ) async throws {
        let system = try await OutageSystem(Self.config)
        #expect(try system.ask(5) == 5)
        _ = try system.commands(fault)
        #expect(try system.ask(4) == 4)
        #expect(try system.eventually { try !system.dependency("redis").contains(#""state":"closed""#) })
        if !reason.isEmpty {
            #expect(try system.dependency("redis").contains("\"reason\":\"\(reason)\""))
            #expect(try system.metric("weir_redis_errors_total{class=\"\(reason)\"}") > 0)
        }
        _ = try system.commands(cure)
        #expect(try system.closes())
        #expect(try system.eventually { try system.counter() == 9 })
        try system.stop()
    }

    @Test(arguments: ["LPUSH KEY x", "SET KEY text"])
    func `gives up one counter that is none, and no other`(squat: String) async throws {
        let system = try await OutageSystem(Self.config)
        #expect(try system.ask(1) == 1)
        let key = try #require(try system.counterKey())
        _ = try system.command("DEL \(key)")
        _ = try system.command(squat.replacing("KEY", with: key))
        #expect(try system.ask(3) == 3)
        #expect(try system.dependency("redis").contains(#""state":"closed""#))
        #expect(try system.metric(#"weir_breaker_transitions_total{dependency="redis",to="open"}"#) == 0)
        let classes = ["wrong_type", "not_integer"].map { "weir_redis_errors_total{class=\"\($0)\"}" }
        #expect(try classes.map { try system.metric($0) }.reduce(0, +) > 0)
        try system.stop()
    }

    @Test func `settles what ended meanwhile when Redis is back`() async throws {
        let tokens = ConfigValue.object(["limit": .integer(1_000_000), "window": .string("31d")])
        let system = try await OutageSystem(tokens, kind: "token_limit", delay: 0.5)
        let connection = try RawConnection(port: system.gateway.port)
        connection.send(
            GatewayFixture.chat().replacing("Host: gateway\r\n", with: "Host: gateway\r\nConnection: close\r\n")
        )
        #expect(try system.eventually { try system.counter() ?? 0 > 5 })
        await system.send(SIGSTOP)
        // One that is reserved and settled here, too.
        #expect(try system.ask(1) == 1)
        #expect(connection.receiveAll().hasPrefix("HTTP/1.1 200"))
        await system.send(SIGCONT)
        // Both used five tokens.
        #expect(try system.eventually { try system.counter() == 10 })
        #expect(try system.metric("weir_ratelimit_lost_settlements_total") == 0)
        try system.stop()
    }

    /// A settlement that was lost for good left its reservation open for as long as the app had any other.
    @Test func `lets a lease lapse under which Redis holds what nobody will close`() async throws {
        let tokens = ConfigValue.object(["limit": .integer(1_000_000), "window": .string("31d")])
        let system = try await OutageSystem(tokens, kind: "token_limit", delay: 20, workers: 1)
        func holders() throws -> [String] {
            try system.command("KEYS weir:{app_1}:o:*").components(separatedBy: "\r\n").filter { $0.hasPrefix("weir:") }
        }
        var requests: [RawConnection] = []
        func sendOne() throws {
            let connection = try RawConnection(port: system.gateway.port)
            connection.send(GatewayFixture.chat())
            requests.append(connection)
        }
        try sendOne()
        #expect(try system.eventually { try !holders().isEmpty })
        _ = try system.command("HSET \(try #require(try holders().first)) 9.9 x")
        let isLeft = try system.eventually {
            try sendOne()
            Thread.sleep(forTimeInterval: 0.5)
            return try holders().count == 2
        }
        #expect(isLeft)
        try system.stop()
    }

    @Test func `says when Redis may drop counters`() async throws {
        let system = try await OutageSystem(Self.config, setUp: ["CONFIG SET maxmemory-policy allkeys-lru"])
        #expect(try system.eventually { try system.metric("weir_redis_may_evict") == 1 })
        try system.stop()
    }

    @Test func `admits the limit together with its fleet when there is no Redis at all`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        let config = ConfigValue.object(["limit": .integer(5), "window": .string("31d")])
        let nodes = try (0..<2).map { rank in
            try GatewayFixture(
                upstream: upstream,
                policies: [("rate_limit", config)],
                workers: 2,
                place: (2, rank)
            )
        }
        let admitted = try nodes.flatMap { node in
            try (0..<6).map { _ in try node.ask(GatewayFixture.chat()).hasPrefix("HTTP/1.1 200") }
        }
        #expect(admitted.count { $0 } == 5)
        for node in nodes { try node.stop() }
    }

    @Test func `follows each policy's own rule for outages`() throws {
        let upstream = try CannedUpstream { _ in .completion }
        defer { upstream.stop() }
        func policy(_ rule: String) -> (kind: String, config: ConfigValue) {
            (
                "rate_limit",
                .object(["limit": .integer(1), "window": .string("31d"), "on_redis_failure": .string(rule)])
            )
        }
        let open = try GatewayFixture(upstream: upstream, policies: [policy("allow")])
        let answers = try (0..<3).map { _ in try open.ask(GatewayFixture.chat()) }
        #expect(answers.allSatisfy { $0.hasPrefix("HTTP/1.1 200") })
        try open.stop()
        let count = upstream.requests.count
        let closed = try GatewayFixture(upstream: upstream, policies: [policy("allow"), policy("deny")])
        let refusal = try closed.ask(GatewayFixture.chat())
        #expect(refusal.hasPrefix("HTTP/1.1 503"))
        #expect(refusal.contains("retry-after: 1\r\n"))
        #expect(refusal.contains("x-weir-origin: gateway"))
        #expect(refusal.contains(#""code":"service_unavailable""#))
        #expect(upstream.requests.count == count)
        // Counted as a refusal like any other, so that its record and its line name the policy.
        #expect(try closed.metric(#"weir_policy_violations_total{reason="counters_unavailable"}"#) == 1)
        #expect(try closed.metric(#"weir_requests_total{outcome="refused"}"#) == 1)
        try closed.stop()
    }
}

/// One node with one policy and a Redis of its own.
private final class OutageSystem {
    let redis: PrivateRedis
    let gateway: GatewayFixture
    private let workers: Int
    private let upstream: CannedUpstream
    private let directory: TemporaryDirectory

    init(_ config: ConfigValue, kind: String = "rate_limit", delay: Double = 0, workers: Int = 2, setUp: [String] = [])
        async throws
    {
        self.workers = workers
        directory = try TemporaryDirectory(prefix: "weir-outage")
        redis = try await PrivateRedis.start(directory: directory.path + "/redis")
        upstream = try CannedUpstream { _ in
            var answer = CannedUpstream.Answer.completion
            answer.delay = delay
            return answer
        }
        for command in setUp { _ = try Self.commands([command], redis.port) }
        var bounds = GatewayBounds()
        // Long enough for a busy test machine, whose hiccups are none of these tests' business.
        bounds.redisDeadline = .milliseconds(100)
        gateway = try GatewayFixture(
            upstream: upstream,
            policies: [(kind, config)],
            bounds: bounds,
            redisPort: redis.port,
            workers: workers
        )
        // Until the workers' connections are there, they decide alone.
        #expect(try isConnected())
    }

    private func isConnected() throws -> Bool {
        try eventually { try metric("weir_redis_connections") == workers }
    }

    func stop() throws {
        try gateway.stop()
        upstream.stop()
    }

    /// Stops, continues or kills Redis.
    func send(_ signal: Int32) async { kill(await redis.process.pid, signal) }

    /// Sends so many requests and says how many were admitted; none may fail otherwise.
    func ask(_ count: Int) throws -> Int {
        var admitted = 0
        for _ in 0..<count {
            let answer = try gateway.ask(GatewayFixture.chat())
            if answer.hasPrefix("HTTP/1.1 200") {
                admitted += 1
            } else {
                #expect(answer.hasPrefix("HTTP/1.1 429"), "\(answer)")
            }
        }
        return admitted
    }

    func eventually(_ condition: () throws -> Bool) throws -> Bool {
        let deadline = Date().addingTimeInterval(15)
        while Date() < deadline {
            if try condition() { return true }
            Thread.sleep(forTimeInterval: 0.02)
        }
        return false
    }

    func closes() throws -> Bool {
        try eventually { try dependency("redis").contains(#""state":"closed""#) } && isConnected()
    }

    /// The dependency's part of `/readyz?verbose`.
    func dependency(_ name: String) throws -> String {
        let answer = try get("/readyz?verbose")
        let parts = answer.components(separatedBy: #"{"name":""#)
        return parts.first { $0.hasPrefix(name) } ?? ""
    }

    func metric(_ series: String) throws -> Int {
        let lines = try get("/metrics").components(separatedBy: "\n")
        return lines.first { $0.hasPrefix(series + " ") }.flatMap { Int($0.dropFirst(series.count + 1)) } ?? -1
    }

    private func get(_ path: String) throws -> String {
        let connection = try RawConnection(port: gateway.port)
        connection.send("GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.receiveAll()
    }

    // MARK: Redis

    func counterKey() throws -> String? {
        try command("KEYS weir:{app_1}:l:*").components(separatedBy: "\r\n").first { $0.hasPrefix("weir:") }
    }

    /// The app's one counter; nil when there is none.
    func counter() throws -> Int? {
        guard let key = try counterKey() else { return nil }
        return try command("GET \(key)").components(separatedBy: "\r\n").compactMap(Int.init).last
    }

    func command(_ command: String) throws -> String { try Self.commands([command], redis.port) }

    func commands(_ commands: [String]) throws -> String { try Self.commands(commands, redis.port) }

    /// Sends inline commands on one connection; the last one's answer.
    private static func commands(_ commands: [String], _ port: Int) throws -> String {
        let connection = try RawConnection(port: port)
        var answer = ""
        for command in commands {
            connection.send(command + "\r\n")
            answer = String(decoding: connection.receive(), as: UTF8.self)
        }
        return answer
    }
}
