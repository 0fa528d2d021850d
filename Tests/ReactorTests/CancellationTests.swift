// Cancelling is legal everywhere, pausing stops the upstream, and every deadline is kept.

import Foundation
import Reactor
import Synchronization
import Testing

@Suite struct `A cancelled transfer` {
    enum Moment: String, CaseIterable, Sendable {
        case sameCall, nextTurn, connecting, resolving, waiting, inHead, inBody, afterBody, paused, inFinish, twice,
            held
    }

    @Test(arguments: Moment.allCases)
    func `hears nothing more, whenever it is cancelled`(moment: Moment) async throws {
        let ended = Atomic<Int>(0)
        let server = TestServer(backlog: moment == .connecting ? 0 : 64) { connection in
            guard connection.readRequest() != nil else { return }
            if moment != .waiting { connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n") }
            if moment == .inFinish {
                connection.write("0\r\n\r\n")
            } else if moment != .waiting {
                while connection.write("5\r\nabcde\r\n") { usleep(1000) }
            }
            connection.waitForEnd()
            ended.add(1, ordering: .relaxed)
        }
        let http = try HTTPHarness()
        let recorder = Recorder()
        let heardAtCancel = Atomic<Int>(-1)
        let cancel: @Sendable (Transfer) -> Void = { transfer in
            transfer.cancel()
            if moment == .twice { transfer.cancel() }
            heardAtCancel.store(recorder.heard, ordering: .relaxed)
        }
        switch moment {
        case .inHead: recorder.onHead = cancel
        case .inBody, .twice: recorder.onBody = { transfer, _ in cancel(transfer) }
        case .inFinish: recorder.onFinish = cancel
        case .paused, .held: recorder.onHead = { $0.pause() }
        default: break
        }
        let url = moment == .resolving ? "http://name.invalid/" : server.url
        await http.onReactor { client, reactor in
            let transfer = client.start(HTTPClientRequest(method: .get, url: url), delegate: recorder)
            switch moment {
            case .sameCall: cancel(transfer)
            case .nextTurn, .resolving: _ = reactor.schedule(after: .zero) { cancel(transfer) }
            case .connecting, .waiting, .afterBody, .paused, .held:
                _ = reactor.schedule(after: .milliseconds(80)) {
                    if moment == .held { transfer.resume() }
                    cancel(transfer)
                }
            default: break
            }
        }
        #expect(await eventually { heardAtCancel.load(ordering: .relaxed) >= 0 })
        try await Task.sleep(for: .milliseconds(60))
        #expect(recorder.heard == heardAtCancel.load(ordering: .relaxed))
        if moment != .resolving {  // a name server may have answered at once
            #expect(recorder.answer.withLock { $0.outcomes.count } == (moment == .inFinish ? 1 : 0))
        }
        #expect(await http.activeCount == 0)
        if moment == .waiting || moment == .inBody || moment == .paused {
            #expect(await eventually { ended.load(ordering: .relaxed) == 1 })  // the upstream sees it go
        }
        // The client is none the worse for it.
        let good = TestServer { connection in while connection.readRequest() != nil { connection.respond("good") } }
        #expect(await http.get(good.url).text == "good")
    }

    @Test func `may be any other transfer, from inside any call`() async throws {
        let server = TestServer { connection in
            while connection.readRequest() != nil {
                connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while connection.write("5\r\nabcde\r\n") { usleep(500) }
            }
        }
        let http = try HTTPHarness()
        let recorders = (0..<40).map { _ in Recorder() }
        let url = server.url
        await http.onReactor { client, _ in
            let transfers = recorders.map {
                client.start(HTTPClientRequest(method: .get, url: url), delegate: $0)
            }
            for (index, recorder) in recorders.enumerated() {
                recorder.onBody = { own, _ in
                    // Each ends its neighbour, starts a new one only to end it, and ends itself sooner or later.
                    transfers[(index + 1) % transfers.count].cancel()
                    client.start(HTTPClientRequest(method: .get, url: url), delegate: Recorder()).cancel()
                    if index % 2 == 0 || recorder.bodyCount.load(ordering: .relaxed) > 20 { own.cancel() }
                }
            }
        }
        #expect(await eventually { await http.activeCount == 0 })
        #expect(recorders.allSatisfy { $0.answer.withLock { $0.outcomes.isEmpty } })
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func `at random leaves the others their own answers`(seed: UInt64) async throws {
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                let text = request.path
                connection.write("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n0\r\n\r\n")
            }
        }
        let http = try HTTPHarness()
        let url = server.url
        let recorders = (0..<60).map { _ in Recorder() }
        let cancelled = Mutex<Set<Int>>([])
        await http.onReactor { client, reactor in
            var random = SplitMix(state: seed)
            for (index, recorder) in recorders.enumerated() {
                let request = HTTPClientRequest(method: .get, url: url + String(index))
                let transfer = client.start(request, delegate: recorder)
                guard random.next(below: 2) == 0 else { continue }
                cancelled.withLock { _ = $0.insert(index) }
                let delay = Duration.microseconds(Int64(random.next(below: 20_000)))
                _ = reactor.schedule(after: delay) { transfer.cancel() }
            }
        }
        #expect(await eventually { await http.activeCount == 0 })
        for (index, recorder) in recorders.enumerated() {
            let answer = recorder.answer.withLock { $0 }
            if cancelled.withLock({ $0.contains(index) }) {
                #expect(answer.outcomes.count <= 1)
                #expect("/\(index)".hasPrefix(answer.text))
            } else {
                #expect(answer.outcomes == [.complete])
                #expect(answer.text == "/\(index)")
            }
        }
    }
}

@Suite struct `A paused transfer` {
    /// 64 KiB in which every 4-byte word is another.
    private static let pattern: [UInt8] = (0..<(16 << 10)).flatMap { word in
        (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 7)) }
    }

    @Test func `holds the upstream back and loses nothing`() async throws {
        let size = 32 << 20
        let sent = Atomic<Int>(0)
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: \(size)\r\n\r\n")
            for _ in 0..<(size / Self.pattern.count) {
                guard connection.write(Self.pattern) else { return }
                sent.add(Self.pattern.count, ordering: .relaxed)
            }
        }
        let http = try HTTPHarness()
        let recorder = Recorder()
        recorder.keepsBody = false
        recorder.expectedPattern = Self.pattern
        let isHolding = Atomic<Bool>(true)
        let pauses = Atomic<Int>(0)
        recorder.onBody = { transfer, _ in
            guard recorder.bodyCount.load(ordering: .relaxed) > pauses.load(ordering: .relaxed) * (4 << 20) else {
                return
            }
            pauses.add(1, ordering: .relaxed)
            transfer.pause()
        }
        async let answer = http.fetch(HTTPClientRequest(method: .get, url: server.url), recorder) { transfer, reactor in
            func look() {
                if transfer.isPaused, !isHolding.load(ordering: .relaxed) { transfer.resume() }
                if !transfer.isEnded { _ = reactor.schedule(after: .milliseconds(2), look) }
            }
            look()
        }
        #expect(await eventually { pauses.load(ordering: .relaxed) == 1 })
        // The kernel's buffers fill, and then the server is stuck.
        try await Task.sleep(for: .milliseconds(300))
        let (received, before) = (recorder.bodyCount.load(ordering: .relaxed), sent.load(ordering: .relaxed))
        try await Task.sleep(for: .milliseconds(200))
        #expect(recorder.bodyCount.load(ordering: .relaxed) == received)
        #expect(sent.load(ordering: .relaxed) == before)
        #expect(before < 24 << 20)
        isHolding.store(false, ordering: .relaxed)
        #expect(await answer.outcome == .complete)
        #expect(recorder.bodyCount.load(ordering: .relaxed) == size)
        #expect(pauses.load(ordering: .relaxed) >= 7)
        #expect(recorder.mismatches == 0)
    }

    @Test func `does not run out of its idle time, and does after it goes on`() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            connection.waitForEnd()
        }
        let http = try HTTPHarness()
        let recorder = Recorder()
        recorder.onHead = { $0.pause() }
        let request = HTTPClientRequest(method: .get, url: server.url, idleTimeout: .milliseconds(100))
        let answer = await http.fetch(request, recorder) { transfer, reactor in
            _ = reactor.schedule(after: .milliseconds(400)) {
                #expect(!transfer.isEnded)
                transfer.resume()
            }
        }
        #expect(answer.text == "abc")
        #expect(answer.failure?.reason == .idleTimeout)
    }

    @Test func `may pause and resume in the same breath`() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in 0..<200 { connection.write("5\r\nabcde\r\n") }
            connection.write("0\r\n\r\n")
        }
        let http = try HTTPHarness()
        let recorder = Recorder()
        recorder.onHead = { transfer in
            transfer.pause()
            transfer.resume()
        }
        recorder.onBody = { transfer, _ in
            transfer.pause()
            transfer.resume()
            transfer.pause()
        }
        let answer = await http.fetch(HTTPClientRequest(method: .get, url: server.url), recorder) { transfer, reactor in
            func look() {
                transfer.resume()
                transfer.pause()
                transfer.resume()
                if !transfer.isEnded { _ = reactor.schedule(after: .milliseconds(1), look) }
            }
            look()
        }
        #expect(answer.outcome == .complete)
        #expect(answer.text == String(repeating: "abcde", count: 200))
    }
}

@Suite struct `A deadline` {
    @Test(arguments: ["connect", "first byte", "in the head", "idle", "total", "total while paused"])
    func `ends the transfer in time and by its name`(kind: String) async throws {
        let server = TestServer(backlog: 0) { connection in
            guard kind != "connect", connection.readRequest() != nil else { return connection.waitForEnd() }
            switch kind {
            case "first byte": break
            case "in the head": connection.write("HTTP/1.1 200 OK\r\nx: y\r\n")
            case "idle": connection.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
            default:
                connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while connection.write("1\r\na\r\n") { usleep(5000) }
            }
            connection.waitForEnd()
        }
        let http = try HTTPHarness()
        // A name on a listener that nobody serves and whose queue is full: no answer to the SYN, ever.
        let hole = BlackHole()
        var request = HTTPClientRequest(method: .get, url: kind == "connect" ? hole.url : server.url)
        let limit = Duration.milliseconds(150)
        var expected = TransferFailure.Reason.totalTimeout
        switch kind {
        case "connect": (request.connectTimeout, expected) = (limit, .connectTimeout)
        case "first byte", "in the head": (request.firstByteTimeout, expected) = (limit, .firstByteTimeout)
        case "idle": (request.idleTimeout, expected) = (limit, .idleTimeout)
        default: request.totalTimeout = limit
        }
        for _ in 0..<3 {  // the handle and its timer are reused
            let recorder = Recorder()
            if kind == "total while paused" { recorder.onHead = { $0.pause() } }
            let answer = await http.fetch(request, recorder)
            let took = recorder.duration
            #expect(answer.failure?.reason == expected)
            #expect(answer.failure?.sentRequest == (kind != "connect"))
            #expect(took >= limit)
            #expect(took < limit + .seconds(1))
        }
    }

    @Test func `does not end what is slow but alive`() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            usleep(100_000)
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
            for _ in 0..<10 {
                usleep(100_000)
                connection.write("a")
            }
        }
        let answer = try await HTTPHarness().fetch(
            HTTPClientRequest(
                method: .get,
                url: server.url,
                connectTimeout: .milliseconds(800),
                firstByteTimeout: .milliseconds(800),
                idleTimeout: .milliseconds(800)
            )
        )
        #expect(answer.outcome == .complete)
    }
}

extension Recorder {
    /// How often the delegate was called.
    var heard: Int { answer.withLock { $0.heads.count + $0.body.count + $0.outcomes.count } }
}

/// A listening socket whose queue is full: the kernel drops every further SYN.
final class BlackHole: Sendable {
    private let server: TestServer
    private let fillers: [Int32]

    init() {
        server = TestServer(backlog: 0, handler: nil)
        fillers = (0..<4).map { [port = server.port] _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            unsafe withUnsafePointer(to: &address) { address in
                unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    _ = unsafe connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            return descriptor
        }
    }

    deinit { for descriptor in fillers { close(descriptor) } }

    var url: String { server.url }
}
