// Whole transfers over real sockets: what is sent, what comes back, which connection carries it.

import Foundation
import Synchronization
import Testing

@testable import Reactor

@Suite struct `A transfer` {
    @Test func `sends the lines it was given and nothing it was not`() async throws {
        let seen = Mutex<[TestConnection.Request]>([])
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                seen.withLock { $0.append(request) }
                connection.respond("{}")
            }
        }
        let http = try HTTPHarness()
        let url = "http://127.0.0.1:\(server.port)/v1/a%2Fb/../c?x=%20"
        let answer = await http.fetch(
            HTTPClientRequest(
                method: .post,
                url: url,
                headers: ["X-One: 1", "content-type: application/json", "Empty;"].dropLast() + ["x-two:  two "],
                body: Array(#"{"a":1}"#.utf8)
            )
        )
        #expect(answer.outcome == .complete)
        _ = await http.fetch(HTTPClientRequest(method: .get, url: url))
        _ = await http.fetch(HTTPClientRequest(method: .put, url: url, body: [0, 1, 2]))
        _ = await http.fetch(HTTPClientRequest(method: .post, url: url))
        let requests = seen.withLock { $0 }
        #expect(
            requests.map(\.head) == [
                """
                POST /v1/a%2Fb/../c?x=%20 HTTP/1.1\r
                Host: 127.0.0.1:\(server.port)\r
                X-One: 1\r
                content-type: application/json\r
                x-two:  two \r
                Content-Length: 7\r
                \r

                """,
                "GET /v1/a%2Fb/../c?x=%20 HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\n\r\n",
                "PUT /v1/a%2Fb/../c?x=%20 HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nContent-Length: 3\r\n\r\n",
                "POST /v1/a%2Fb/../c?x=%20 HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nContent-Length: 0\r\n\r\n",
            ]
        )
        #expect(requests.map(\.body) == [Array(#"{"a":1}"#.utf8), [], [0, 1, 2], []])
        #expect(server.acceptedCount == 1)
    }

    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 1_048_577, 5_000_000])
    func `carries a body of any size both ways`(size: Int) async throws {
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: \(request.body.count)\r\n\r\n")
                connection.write(request.body)
            }
        }
        let http = try HTTPHarness()
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        for _ in 0..<2 {
            let answer = await http.fetch(HTTPClientRequest(method: .post, url: server.url, body: body))
            #expect(answer.outcome == .complete)
            #expect(answer.body == body)
        }
        #expect(server.acceptedCount == 1)
    }

    @Test func `gets its own answer, five thousand times over sixty-four connections`() async throws {
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                connection.respond("\(request.path) \(request.field("x-id") ?? "")")
            }
        }
        let http = try HTTPHarness()
        let url = server.url
        await withTaskGroup(of: Void.self) { group in
            for first in 0..<64 {
                group.addTask {
                    for number in stride(from: first, to: 5000, by: 64) {
                        let answer = await http.fetch(
                            HTTPClientRequest(
                                method: number % 2 == 0 ? .get : .post,
                                url: url + "item/\(number)",
                                headers: ["x-id: \(number)"],
                                body: [1, 2, 3]
                            )
                        )
                        #expect(answer.text == "/item/\(number) \(number)")
                        #expect(answer.outcomes == [.complete])
                    }
                }
            }
        }
        #expect(server.acceptedCount <= 64)
        #expect(await http.activeCount == 0)
    }

    @Test func `shares a connection within its isolation value only`() async throws {
        let server = TestServer { connection in
            var tenant: String?
            while let request = connection.readRequest() {
                let caller = request.field("authorization")
                if tenant == nil { tenant = caller }
                connection.respond(tenant == caller ? "own" : "ANOTHER'S CONNECTION")
            }
        }
        let http = try HTTPHarness()
        for round in 0..<300 {
            let tenant = round % 3
            let answer = await http.fetch(
                HTTPClientRequest(
                    method: .get,
                    url: server.url,
                    headers: ["Authorization: Bearer \(tenant)"],
                    isolation: [UInt8(tenant)]
                )
            )
            #expect(answer.text == "own")
        }
        #expect(server.acceptedCount == 3)
    }

    @Test func `closes the longest unused isolation's connections beyond the bound`() async throws {
        let open = Atomic<Int>(0)
        let server = TestServer { connection in
            open.add(1, ordering: .relaxed)
            while connection.readRequest() != nil { connection.respond("x") }
            open.subtract(1, ordering: .relaxed)
        }
        let http = try HTTPHarness(limits: HTTPClientLimits(maxIsolations: 4))
        for value in 0..<20 {
            _ = await http.fetch(HTTPClientRequest(method: .get, url: server.url, isolation: [UInt8(value)]))
        }
        #expect(await eventually { open.load(ordering: .relaxed) == 4 })
    }

    @Test func `drops interim heads and takes no trailer for a header`() async throws {
        let server = TestServer { connection in
            while connection.readRequest() != nil {
                connection.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                connection.write(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1 \r\nx-a:\t2\r\nTrailer: x-t\r\n\r\n"
                )
                connection.write("3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nx-t: trailer\r\nset-cookie: no\r\n\r\n")
            }
        }
        let http = try HTTPHarness()
        for _ in 0..<3 {
            let answer = await http.get(server.url)
            #expect(answer.outcome == .complete)
            #expect(answer.text == "abcde")
            try #require(answer.heads.count == 1)
            let head = answer.heads[0]
            #expect(head.status == 200)
            #expect(head.headers.map(\.name) == ["Transfer-Encoding", "X-A", "x-a", "Trailer"])
            #expect(head.headers.map(\.value) == ["chunked", "1", "2", "x-t"])
            #expect(head.value(of: "x-A") == [UInt8(ascii: "1")])
            #expect(head.value(of: "x-t") == nil)
        }
        #expect(server.acceptedCount == 1)
    }

    @Test func `leaves codings, redirects and cookies alone`() async throws {
        let requests = Mutex<[String]>([])
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                requests.withLock { $0.append(request.head) }
                connection.write(
                    "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\ncontent-encoding: gzip\r\n"
                        + "content-length: 3\r\n\r\nxyz"
                )
            }
        }
        let http = try HTTPHarness()
        for _ in 0..<2 {
            let answer = await http.get(server.url)
            #expect(answer.heads.first?.status == 302)
            #expect(answer.text == "xyz")
        }
        #expect(requests.withLock { $0.count } == 2)
        #expect(requests.withLock { $0.allSatisfy { !$0.lowercased().contains("cookie") } })
    }

    @Test(arguments: [
        "X: a\r\nInjected: b", "X: a\nb", "X: a\0b", "no colon", ": no name", "", "Content-Length: 3",
        "transfer-encoding: chunked",
    ])
    func `refuses a header line that is not one`(line: String) async throws {
        let server = TestServer { connection in while connection.readRequest() != nil { connection.respond("x") } }
        let http = try HTTPHarness()
        let answer = await http.fetch(HTTPClientRequest(method: .get, url: server.url, headers: ["a: b", line]))
        #expect(answer.failure?.reason == .invalidRequest)
        #expect(answer.failure?.sentRequest == false)
        #expect(server.acceptedCount == 0)
        #expect(await http.get(server.url).outcome == .complete)
    }

    @Test(arguments: [
        "ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1", "", "http://127.0.0.1/a b", "http://127.0.0.1/\r\n",
        "http://user:secret@127.0.0.1/", "http://", "gopher://127.0.0.1:70/", "http://127.0.0.1/\0",
    ])
    func `refuses a URL that is not plain HTTP`(url: String) async throws {
        let http = try HTTPHarness()
        let failure = await http.get(url).failure
        #expect(failure?.reason == .invalidRequest)
        #expect(failure?.sentRequest == false)
    }

    @Test func `fails by reason when there is nobody to answer`() async throws {
        let http = try HTTPHarness()
        let refused = await http.get("http://127.0.0.1:\(TestServer.freePort())/").failure
        #expect(refused?.reason == .connect)
        #expect(refused?.sentRequest == false)
        #expect(await http.get("http://name.invalid/").failure?.reason == .dns)
        #expect(await http.get("http://169.254.169.254/").failure?.reason == .addressRefused)
        #expect(await http.get("http://[::ffff:169.254.169.254]/").failure?.reason == .addressRefused)
        #expect(await http.get("http://0xA9FEA9FE/").failure?.reason == .addressRefused)
        #expect(await http.get("http://0/").failure?.reason == .addressRefused)
        let strict = try HTTPHarness(limits: HTTPClientLimits(allowsPrivateAddresses: false))
        #expect(await strict.get("http://127.0.0.1:1/").failure?.reason == .addressRefused)
        #expect(await strict.get("http://localhost:1/").failure?.reason == .addressRefused)
    }

    @Test func `fails over the bound on transfers and at shut-down, each once`() async throws {
        let server = TestServer { connection in connection.waitForEnd() }
        let http = try HTTPHarness(limits: HTTPClientLimits(maxTransfers: 3))
        let recorders = (0..<5).map { _ in Recorder() }
        let url = server.url
        await http.onReactor { client, _ in
            for recorder in recorders {
                _ = client.start(HTTPClientRequest(method: .get, url: url), delegate: recorder)
            }
        }
        #expect(await eventually { await http.activeCount == 3 })
        http.handle.stop()
        let reasons = recorders.map { recorder in
            recorder.answer.withLock { answer in answer.outcomes.count == 1 ? answer.failure?.reason : nil }
        }
        #expect(reasons.filter { $0 == .tooManyTransfers }.count == 2)
        #expect(reasons.filter { $0 == .shutDown }.count == 3)
    }
}

@Suite struct `An address` {
    @Test(arguments: [
        ("169.254.169.254", false, false), ("100.100.100.200", false, false), ("168.63.129.16", false, false),
        ("0.0.0.0", false, false), ("224.0.0.1", false, false), ("255.255.255.255", false, false),
        ("127.0.0.1", true, false), ("10.1.2.3", true, false), ("172.16.0.1", true, false),
        ("172.32.0.1", true, true), ("192.168.1.1", true, false), ("100.64.0.1", true, false),
        ("100.128.0.1", true, true), ("8.8.8.8", true, true), ("::1", true, false), ("::", false, false),
        ("fe80::1", false, false), ("fd00:ec2::254", false, false), ("fd12::1", true, false), ("ff02::1", false, false),
        ("::ffff:169.254.169.254", false, false), ("::ffff:8.8.8.8", true, true), ("::ffff:10.0.0.1", true, false),
        ("64:ff9b::a9fe:a9fe", false, false), ("2002:a9fe:a9fe::1", false, false), ("2606:4700::1111", true, true),
        ("::169.254.169.254", false, false), ("fec0::1", true, false),
    ])
    func `is dialled only when it can not be this machine's secret`(text: String, byDefault: Bool, strictly: Bool) {
        var bytes = [UInt8](repeating: 0, count: 16)
        let isIPv6 = text.contains(":")
        #expect(unsafe inet_pton(isIPv6 ? AF_INET6 : AF_INET, text, &bytes) == 1)
        let address = isIPv6 ? bytes : Array(bytes[..<4])
        #expect(AddressGuard(allowsPrivate: true).permits(address) == byDefault)
        #expect(AddressGuard(allowsPrivate: false).permits(address) == strictly)
    }
}

@Suite struct `A process without descriptors` {
    @Test func `fails its transfers and goes on when there are some again`() async {
        // Each step that fails ends the process with its own code.
        await #expect(processExitsWith: .success) {
            let server = TestServer { connection in while connection.readRequest() != nil { connection.respond("x") } }
            let http = try HTTPHarness()
            let other = HTTPClientRequest(method: .get, url: server.url, isolation: [1])
            guard await http.get(server.url).outcome == .complete else { exit(10) }
            // libdispatch makes the descriptor behind sleeping at its first use, and traps when it can not.
            try await Task.sleep(for: .milliseconds(5))
            var limit = rlimit()
            let resource = __rlimit_resource_t(7)  // RLIMIT_NOFILE
            guard unsafe getrlimit(resource, &limit) == 0 else { exit(11) }
            let before = limit.rlim_cur
            limit.rlim_cur = 3
            guard unsafe setrlimit(resource, &limit) == 0 else { exit(12) }
            guard await http.fetch(other).failure?.sentRequest == false else { exit(13) }
            guard await http.get(server.url).outcome == .complete else { exit(14) }
            limit.rlim_cur = before
            guard unsafe setrlimit(resource, &limit) == 0 else { exit(15) }
            guard await http.fetch(other).outcome == .complete else { exit(16) }
            exit(0)
        }
    }
}
