// Answers that are broken, cut or ambiguous: never a clean end, never another request's answer.

import Foundation
import Reactor
import Synchronization
import Testing

@Suite struct `A broken answer` {
    typealias Reason = TransferFailure.Reason

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", Reason.truncated),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", .truncated),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n", .truncated),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n", .truncated),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabcde\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nab", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nabc", .badFraming),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\nno colon here\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\n: no name\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\nx: a\u{1}b\r\ncontent-length: 0\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", .badFraming),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nabcde", .badFraming),
        ("HTTP/1.1 100 Continue\r\n\r\n", .reset),
        ("HTTP/1.1 2x0 OK\r\n\r\n", .badFraming),
        ("HTTP/1.1 200 OK\r\ncontent-le", .reset),
        ("just a body of some bytes without a head\r\n\r\n", .badFraming),
        ("ICY 200 OK\r\n\r\nabc", .badFraming),
        ("\r\n\r\n", .badFraming),
        ("", .reset),
    ])
    func `fails by reason and its connection is not used again`(answer: String, reason: Reason) async throws {
        let server = TestServer { connection in
            while connection.readRequest() != nil {
                if connection.number == 0 {
                    connection.write(answer)
                    return
                }
                connection.respond("good")
            }
        }
        let http = try HTTPHarness()
        let failure = await http.get(server.url).failure
        #expect(failure != nil)
        // A head that breaks off is a reset or a bad framing, whichever libcurl noticed first.
        if answer.hasSuffix("content-le") || answer.hasPrefix("HTTP/1.1 100") {
            #expect([.reset, .badFraming, .truncated].contains(failure?.reason))
        } else {
            #expect(failure?.reason == reason)
        }
        #expect(failure?.sentRequest == true)
        #expect(failure?.receivedBytes == answer.contains("\n") || failure?.reason == .badFraming)
        let next = await http.get(server.url)
        #expect(next.text == "good")
        #expect(next.outcome == .complete)
        #expect(server.acceptedCount == 2)
    }

    @Test func `that is reset in mid-body fails, with what came before it delivered`() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n")
            usleep(50_000)
            connection.reset()
        }
        let http = try HTTPHarness()
        let answer = await http.get(server.url)
        #expect(answer.text == "abcde")
        #expect(answer.failure?.reason == .reset)
        #expect(answer.failure?.receivedBytes == true)
    }

    @Test func `of HTTP 1.0 that ends with its connection is whole`() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.write("HTTP/1.0 200 OK\r\n\r\nuntil the end")
        }
        let answer = try await HTTPHarness().get(server.url)
        #expect(answer.text == "until the end")
        #expect(answer.outcome == .complete)
    }

    @Test(arguments: ["line", "many", "interim", "trailers"])
    func `with headers beyond the bound fails as such`(kind: String) async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            switch kind {
            case "line":
                connection.write("HTTP/1.1 200 OK\r\nx: " + String(repeating: "a", count: 200_000) + "\r\n\r\n")
            case "many":
                connection.write("HTTP/1.1 200 OK\r\n")
                for number in 0..<10_000 where !connection.write("x-\(number): 0123456789\r\n") { return }
            case "interim": while connection.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n") {}
            default:
                connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
                for number in 0..<10_000 where !connection.write("x-\(number): 0123456789\r\n") { return }
            }
            connection.waitForEnd()
        }
        let answer = try await HTTPHarness().get(server.url)
        #expect(answer.failure?.reason == .headersTooLarge)
    }

    @Test func `followed by bytes nobody asked for does not answer the next request`() async throws {
        let poisoned = Atomic<Int>(0)
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                // A second answer: in the same packet on even connections, a moment later on odd ones.
                let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: \(request.path.utf8.count)\r\n\r\n\(request.path)"
                if connection.number % 2 == 0 {
                    connection.write(answer + poison)
                } else {
                    connection.write(answer)
                    usleep(1000)
                    connection.write(poison)
                }
                poisoned.add(1, ordering: .relaxed)
            }
        }
        let http = try HTTPHarness()
        for number in 0..<100 {
            let answer = await http.get(server.url + String(number))
            #expect(answer.text == "/\(number)")
            // What comes after the next request has left can not be told from its answer: let it come before, and the
            // Reactor see it.
            #expect(await eventually { poisoned.load(ordering: .relaxed) == number + 1 })
            await http.onReactor { _, _ in }
        }
        #expect(server.acceptedCount == 100)
    }

    @Test func `is tried once more, and no oftener, when a kept connection was dead`() async throws {
        let seen = Atomic<Int>(0)
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.respond("first")
            guard connection.readRequest() != nil else { return }
            seen.add(1, ordering: .relaxed)
            connection.reset()
        }
        let http = try HTTPHarness()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { _ = await http.get(server.url) } }
        }
        let (before, seenBefore) = (server.acceptedCount, seen.load(ordering: .relaxed))
        let answer = await http.get(server.url)
        // The first attempt went to a kept connection and was reset; the second to another kept one or a new one.
        #expect(seen.load(ordering: .relaxed) - seenBefore <= 2)
        #expect(answer.outcome == .complete || answer.failure?.reason == .reset)
        #expect(server.acceptedCount <= before + 1)
    }

    @Test func `that never came on a connection closed while idle costs nothing`() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.respond("one each")
            usleep(10_000)
        }
        let http = try HTTPHarness()
        for _ in 0..<20 {
            #expect(await http.get(server.url).outcome == .complete)
            try await Task.sleep(for: .milliseconds(15))
        }
        #expect(server.acceptedCount == 20)
    }
}
