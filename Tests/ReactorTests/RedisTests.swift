// RedisConnection against a real redis-server, and against sockets that lie.

import Foundation
import Reactor
import Synchronization
import Testing

@Suite struct `A Redis script` {
    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
    ])
    func `is named by its SHA-1`(text: String, digest: String) {
        #expect(String(decoding: RedisScript(source: Array(text.utf8)).sha1, as: UTF8.self) == digest)
    }
}

@Suite struct `A Redis connection` {
    @Test func `answers every command of many in flight with its own reply`() async throws {
        let server = try await RedisServer()
        let client = try await server.client()
        defer { client.close() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<2000 {
                group.addTask {
                    let text = "value \(number)\r\n$5\r\nx"
                    let reply = try await client.command("ECHO", text)
                    #expect(reply == .bulk(Array(text.utf8)))
                }
            }
            try await group.waitForAll()
        }
        #expect(try await client.command("SET", "a", "") == .status(Array("OK".utf8)))
        #expect(try await client.command("GET", "a") == .bulk([]))
        #expect(try await client.command("GET", "none") == .null)
        #expect(try await client.command("INCR", "n") == .integer(1))
        #expect(try await client.command("LRANGE", "none", "0", "-1") == .array([]))
        let nested = try await client.evaluate(
            RedisScript(source: Array("return {1, {2, {'a', false}}, {}, 'z'}".utf8)),
            keys: [],
            arguments: []
        )
        #expect(
            nested
                == .array([
                    .integer(1), .array([.integer(2), .array([.bulk([97]), .null])]), .array([]), .bulk([122]),
                ])
        )
    }

    @Test func `sends a script's text when the server has forgotten it`() async throws {
        let server = try await RedisServer()
        let client = try await server.client()
        defer { client.close() }
        let script = RedisScript(source: Array("return {KEYS[1], ARGV[1], redis.call('INCR', 'runs')}".utf8))
        for round in 1...3 {
            let reply = try await client.evaluate(script, keys: [[1, 0, 13, 10]], arguments: [[255]])
            #expect(reply == .array([.bulk([1, 0, 13, 10]), .bulk([255]), .integer(Int64(round))]))
            if round == 2 { _ = try await client.command("SCRIPT", "FLUSH") }
        }
    }

    @Test func `tells error replies apart by their class`() async throws {
        let server = try await RedisServer()
        let client = try await server.client()
        defer { client.close() }
        _ = try await client.command("LPUSH", "list", "x")
        await expect(client, ["GET", "list"], .wrongType)
        await expect(client, ["NONSENSE"], .other)
        await expect(client, ["EVALSHA", String(repeating: "0", count: 40), "0"], .noScript)
        _ = try await client.command("CONFIG", "SET", "maxmemory", "1")
        await expect(client, ["SET", "a", "b"], .outOfMemory)
        _ = try await client.command("CONFIG", "SET", "maxmemory", "0")
        _ = try await client.command("CONFIG", "SET", "min-replicas-to-write", "1")
        await expect(client, ["SET", "a", "b"], .noReplicas)
        _ = try await client.command("CONFIG", "SET", "min-replicas-to-write", "0")
        _ = try await client.command("REPLICAOF", "127.0.0.1", "1")
        await expect(client, ["SET", "a", "b"], .readOnly)
    }

    private func expect(_ client: RedisClient, _ words: [String], _ kind: RedisFailure.ServerError) async {
        do throws(RedisFailure) {
            let reply = try await client.command(words.map { Array($0.utf8) })
            Issue.record("answered \(reply)")
        } catch {
            guard case .server(let got, _) = error else {
                Issue.record("failed as \(error)")
                return
            }
            #expect(got == kind)
        }
    }

    @Test(arguments: [
        ("MOVED 3999 127.0.0.1:6381", RedisFailure.ServerError.moved), ("ASK 1 a:1", .moved), ("READONLY x", .readOnly),
        ("OOM command not allowed", .outOfMemory), ("BUSY Redis is busy", .busy), ("LOADING Redis", .loading),
        ("NOAUTH Authentication required.", .notAuthorized), ("WRONGPASS x", .notAuthorized),
        ("NOPERM x", .notAuthorized),
        ("WRONGTYPE x", .wrongType), ("MISCONF x", .misconfigured), ("NOREPLICAS x", .noReplicas),
        ("MASTERDOWN x", .down), ("CLUSTERDOWN x", .down), ("TRYAGAIN x", .tryAgain), ("NOSCRIPT x", .noScript),
        ("ERR x", .other), ("", .other), ("OOMx", .other),
    ])
    func `knows an error's class by its first word`(message: String, kind: RedisFailure.ServerError) async throws {
        let server = TestServer { connection in
            connection.greetAsRedis()
            connection.readCommand()
            connection.write("-\(message)\r\n")
            connection.waitForEnd()
        }
        let client = try await self.client(of: server)
        defer { client.close() }
        await #expect(throws: RedisFailure.server(kind: kind, message: message)) {
            try await client.command("GET", "a")
        }
    }

    @Test func `selects its database and shows its password first`() async throws {
        let server = try await RedisServer(password: "secret")
        let client = try await server.client {
            $0.password = "secret"
            $0.database = 3
        }
        defer { client.close() }
        _ = try await client.command("SET", "a", "b")
        let list = try await client.command("CLIENT", "INFO")
        guard case .bulk(let bytes) = list else { throw RedisServer.StartFailure() }
        #expect(String(decoding: bytes, as: UTF8.self).contains("db=3"))
        let stranger = try RedisClient(RedisConfiguration(port: server.port, password: "wrong"))
        defer { stranger.close() }
        #expect(await !stranger.waitUntilReady(within: .milliseconds(300)))
        await #expect(throws: RedisFailure.notConnected) { try await stranger.command("GET", "a") }
    }

    @Test func `fails at once while there is no server and finds one that comes back`() async throws {
        let server = try await RedisServer()
        let client = try await server.client()
        defer { client.close() }
        server.killNow()
        #expect(await eventually { !client.isReady })
        await #expect(throws: RedisFailure.notConnected) { try await client.command("GET", "a") }
        try await server.start()
        #expect(await client.waitUntilReady(within: .seconds(3)))
        #expect(try await client.command("PING") == .status(Array("PONG".utf8)))
    }

    @Test func `gives up on a stopped server at its deadline, and no late reply answers another command`() async throws
    {
        let server = try await RedisServer()
        let client = try await server.client(commandDeadline: .milliseconds(200))
        defer { client.close() }
        server.signal(SIGSTOP)
        let start = ContinuousClock.now
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    do throws(RedisFailure) {
                        _ = try await client.command("ECHO", "stale \(number)")
                        Issue.record("a stopped server answered")
                    } catch {
                        #expect([.deadline, .connectionLost, .notConnected].contains(error))
                    }
                }
            }
        }
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(!client.isReady)
        server.signal(SIGCONT)
        #expect(await client.waitUntilReady(within: .seconds(5)))
        for number in 0..<200 {
            #expect(try await client.command("ECHO", "fresh \(number)") == .bulk(Array("fresh \(number)".utf8)))
        }
    }

    @Test func `drops the held answers of a peer that wakes after the deadline`() async throws {
        let server = TestServer { connection in
            connection.greetAsRedis()
            if connection.number == 0 {
                connection.readCommand()
                usleep(300_000)
                connection.write("$5\r\nstale\r\n$5\r\nstale\r\n")
            } else {
                while connection.readCommand() { connection.write("$5\r\nfresh\r\n") }
            }
            connection.waitForEnd()
        }
        let client = try await self.client(of: server, deadline: .milliseconds(50))
        defer { client.close() }
        await #expect(throws: RedisFailure.deadline) { try await client.command("GET", "a") }
        #expect(await client.waitUntilReady(within: .seconds(3)))
        let due = ContinuousClock.now + .milliseconds(500)
        while ContinuousClock.now < due { #expect(try await client.command("GET", "a") == .bulk(Array("fresh".utf8))) }
    }

    @Test func `counts a deadline from the oldest command on the wire`() async throws {
        // Each answer takes 30 ms: all eight take longer than one deadline, but none of them waits for its own too long
        // until the third.
        let server = TestServer { connection in
            connection.greetAsRedis()
            while connection.readCommand() {
                usleep(30_000)
                connection.write(":1\r\n")
            }
        }
        let client = try await self.client(of: server, deadline: .milliseconds(80))
        defer { client.close() }
        let outcomes = await withTaskGroup(of: Result<RedisReply, RedisFailure>.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    do throws(RedisFailure) { return .success(try await client.command("INCR", "a")) } catch {
                        return .failure(error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.contains(.success(.integer(1))))
        #expect(outcomes.contains(.failure(.deadline)))
        #expect(outcomes.count == 8)
    }

    @Test func `believes an answer that was there in time though its own thread was late`() async throws {
        let server = try await RedisServer()
        let handle = try ReactorHandle.start(name: "late")
        defer { handle.stop() }
        let answers = Mutex<[Result<RedisReply, RedisFailure>]>([])
        let configuration = RedisConfiguration(port: server.port, commandDeadline: .milliseconds(10))
        handle.post { reactor in
            let bound = Mutex<[Int]>([])
            var connection: RedisConnection?
            connection = RedisConnection(reactor: reactor, configuration: configuration) { state in
                guard state == .ready, bound.withLock({ $0.isEmpty }) else { return }
                bound.withLock { $0.append(1) }
                for _ in 0..<3000 {
                    connection?.command([Array("ECHO".utf8), [UInt8](repeating: 97, count: 100)]) { result in
                        answers.withLock { $0.append(result) }
                    }
                }
                // After the flush at this turn's end the thread sleeps through the deadline.
                _ = reactor.schedule(after: .milliseconds(1)) { usleep(50_000) }
            }
            connection?.connect()
        }
        #expect(await eventually { answers.withLock { $0.count } == 3000 })
        #expect(answers.withLock { $0.allSatisfy { $0 == .success(.bulk([UInt8](repeating: 97, count: 100))) } })
    }

    @Test(arguments: [
        "garbage\r\n", "*1000000000\r\n", "$2000000\r\n", "$99999999999999999999\r\n", "*2\r\n*2\r\n*2\r\n*2\r\n",
        ":1\r\n:2\r\n", "+OK\r\n*1\r\n$7\r\nmessage\r\n", "$3\r\nabcdef\r\n", "*20\r\n", "*-5\r\n",
        "*3\r\n*8\r\n*8\r\n", "\0\0\0\0", "-\r\n+unasked\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ])
    func `survives what is not Redis's protocol or beyond its bounds`(answer: String) async throws {
        let server = TestServer { connection in
            connection.greetAsRedis()
            while connection.readCommand() {
                connection.write(connection.number == 0 ? answer : ":7\r\n")
                if connection.number == 0 { connection.write("+more\r\n") }
            }
            connection.waitForEnd()
        }
        let client = try await self.client(of: server, deadline: .milliseconds(200)) {
            $0.maxReplyElements = 16
            $0.maxReplyBytes = 1 << 20
        }
        defer { client.close() }
        do throws(RedisFailure) { _ = try await client.command("GET", "a") } catch {
            #expect([.protocolError, .deadline, .connectionLost, .server(kind: .other, message: "")].contains(error))
        }
        #expect(await eventually { server.acceptedCount >= 2 })
        #expect(
            await eventually {
                do throws(RedisFailure) { return try await client.command("GET", "a") == .integer(7) } catch {
                    return false
                }
            }
        )
    }

    @Test func `closes on a string that grows beyond its bound without keeping it all`() async throws {
        let sent = Atomic<Int>(0)
        let server = TestServer { connection in
            connection.greetAsRedis()
            connection.readCommand()
            connection.write("$1000000000\r\n")
            let chunk = [UInt8](repeating: 97, count: 64 << 10)
            while connection.write(chunk) { sent.add(chunk.count, ordering: .relaxed) }
        }
        let client = try await self.client(of: server, deadline: .seconds(20)) { $0.maxReplyBytes = 1 << 20 }
        defer { client.close() }
        await #expect(throws: RedisFailure.protocolError) { try await client.command("GET", "a") }
        #expect(sent.load(ordering: .relaxed) < 64 << 20)
    }

    @Test func `hears its channel again after the server dropped it`() async throws {
        let server = try await RedisServer()
        let client = try await server.client()
        defer { client.close() }
        var events = client.subscribe(to: Array("news".utf8)).makeAsyncIterator()
        #expect(await events.next() == .ready)
        _ = try await client.command("PUBLISH", "news", "one")
        #expect(await events.next() == .message(Array("one".utf8)))
        _ = try await client.command("PUBLISH", "other", "no")
        _ = try await client.command("CLIENT", "KILL", "TYPE", "pubsub")
        #expect(await events.next() == .lost)
        #expect(await events.next() == .ready)
        _ = try await client.command("PUBLISH", "news", "two")
        #expect(await events.next() == .message(Array("two".utf8)))
    }

    @Test func `notices that a subscribed connection's server is stopped`() async throws {
        let server = try await RedisServer()
        let client = try await server.client { $0.connectDeadline = .milliseconds(300) }
        defer { client.close() }
        var events = client.subscribe(to: Array("news".utf8)).makeAsyncIterator()
        #expect(await events.next() == .ready)
        server.signal(SIGSTOP)
        #expect(await events.next() == .lost)
        server.signal(SIGCONT)
        #expect(await events.next() == .ready)
    }

    @Test func `waits longer between attempts the more of them fail`() async throws {
        let server = TestServer { connection in connection.close() }
        let client = try RedisClient(RedisConfiguration(port: server.port))
        defer { client.close() }
        try await Task.sleep(for: .seconds(2))
        // 10, 20, 40 … 640 ms and then 1 s apart, each between half and all of it: about ten, not hundreds.
        #expect(server.acceptedCount >= 4)
        #expect(server.acceptedCount <= 14)
    }

    @Test func `finds a host by name without stopping its loop`() async throws {
        let server = try await RedisServer()
        let client = try await server.client { $0.host = "localhost" }
        defer { client.close() }
        #expect(try await client.command("PING") == .status(Array("PONG".utf8)))
    }

    @Test func `fails what waits when it is closed`() async throws {
        let server = TestServer { connection in
            connection.greetAsRedis()
            connection.waitForEnd()
        }
        let client = try await self.client(of: server, deadline: .seconds(20))
        async let outcome = #expect(throws: RedisFailure.connectionLost) { try await client.command("GET", "a") }
        try await Task.sleep(for: .milliseconds(50))
        client.close()
        _ = await outcome
        await #expect(throws: RedisFailure.notConnected) { try await client.command("GET", "a") }
    }

    private func client(
        of server: TestServer,
        deadline: Duration = .seconds(2),
        _ adjust: (inout RedisConfiguration) -> Void = { _ in }
    ) async throws -> RedisClient {
        var configuration = RedisConfiguration(port: server.port, commandDeadline: deadline)
        adjust(&configuration)
        let client = try RedisClient(configuration)
        #expect(await client.waitUntilReady(within: .seconds(5)))
        return client
    }
}

extension TestConnection {
    /// Answers the PING that a new connection begins with.
    func greetAsRedis() {
        readCommand()
        write("+PONG\r\n")
    }

    /// Reads one command: enough of RESP for what the tests send.
    @discardableResult
    func readCommand() -> Bool {
        guard let count = readLine(), count.hasPrefix("*"), let count = Int(count.dropFirst()) else { return false }
        for _ in 0..<count {
            guard let size = readLine(), let size = Int(size.dropFirst()), readExactly(size + 2) != nil else {
                return false
            }
        }
        return true
    }
}
