// A server that answers whatever bytes a test wants, one thread per connection: real sockets, and faults that no
// real HTTP server would produce on demand.

import Foundation
import Synchronization

/// Listens on a free port of loopback and hands each connection to a closure on a thread of its own.
final class TestServer: Sendable {
    let port: Int
    private let listener: Int32
    private let connections = Mutex<[TestConnection]>([])

    init(backlog: Int32 = 1024, handler: (@Sendable (TestConnection) -> Void)?) {
        guard let (listener, port) = Self.listen(backlog: backlog) else {
            preconditionFailure("loopback has a free port")
        }
        (self.listener, self.port) = (listener, port)
        guard let handler else { return }
        Thread.detachNewThread { [weak self] in
            var number = 0
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                let connection = TestConnection(descriptor: descriptor, number: number)
                number += 1
                guard let self else { return connection.close() }
                connections.withLock { $0.append(connection) }
                let thread = Thread {
                    handler(connection)
                    connection.close()
                }
                thread.stackSize = 256 << 10
                thread.start()
            }
        }
    }

    deinit { stop() }

    /// Connections accepted so far.
    var acceptedCount: Int { connections.withLock { $0.count } }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        for connection in connections.withLock({ $0 }) { connection.close() }
    }

    var url: String { "http://127.0.0.1:\(port)/" }

    private static func listen(backlog: Int32, port: Int = 0) -> (Int32, Int)? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(descriptor, address, size) == 0 && Glibc.listen(descriptor, backlog) == 0
                    && getsockname(descriptor, address, &size) == 0
            }
        }
        guard isListening else {
            Glibc.close(descriptor)
            return nil
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    private static let nextPort = Atomic<Int>(0)

    /// A port on which nobody listens: below the range that the kernel gives to sockets without a port of their own.
    static func freePort() -> Int {
        while true {
            // Each test of this run gets another one, and another run most likely begins elsewhere.
            let turn = (nextPort.wrappingAdd(1, ordering: .relaxed).oldValue &+ Int(getpid()) &* 97) % 22_000
            let port = 10_000 + turn
            guard let (descriptor, _) = listen(backlog: 1, port: port) else { continue }
            Glibc.close(descriptor)
            return port
        }
    }
}

/// One accepted connection, with blocking reads and writes.
final class TestConnection: Sendable {
    struct Request {
        let head: String
        let body: [UInt8]

        var path: String { String(head.split(separator: " ", maxSplits: 2)[1]) }
        func field(_ name: String) -> String? {
            for line in head.split(separator: "\r\n").dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2, parts[0].lowercased() == name {
                    return parts[1].trimmingCharacters(in: .whitespaces)
                }
            }
            return nil
        }
    }

    let number: Int
    private let descriptor: Int32
    private let isClosed = Atomic<Bool>(false)
    private let buffered = Mutex<[UInt8]>([])
    private let written = Atomic<Int>(0)

    init(descriptor: Int32, number: Int) {
        self.descriptor = descriptor
        self.number = number
        var on: Int32 = 1
        unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }

    deinit { Glibc.close(descriptor) }

    /// Bytes written so far.
    var writtenCount: Int { written.load(ordering: .relaxed) }

    /// The next request with its Content-Length body; nil at the end of the connection.
    func readRequest() -> Request? {
        var end = buffered.withLock { Self.headEnd($0) }
        while end == nil {
            guard readMore() else { return nil }
            end = buffered.withLock { Self.headEnd($0) }
        }
        guard let end, let bytes = readExactly(end) else { return nil }
        let head = String(decoding: bytes, as: UTF8.self)
        let length = Int(Request(head: head, body: []).field("content-length") ?? "0") ?? 0
        return readExactly(length).map { Request(head: head, body: $0) }
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        var index = 3
        while index < bytes.count {
            if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 {
                return index + 1
            }
            index += 1
        }
        return nil
    }

    /// A line without its CR LF.
    func readLine() -> String? {
        while true {
            let line: String? = buffered.withLock { bytes in
                guard let end = bytes.firstIndex(of: 10) else { return nil }
                defer { bytes.removeFirst(end + 1) }
                return String(decoding: bytes[..<max(0, end - 1)], as: UTF8.self)
            }
            if let line { return line }
            guard readMore() else { return nil }
        }
    }

    func readExactly(_ count: Int) -> [UInt8]? {
        while buffered.withLock({ $0.count }) < count { guard readMore() else { return nil } }
        return buffered.withLock { bytes in
            defer { bytes.removeFirst(count) }
            return Array(bytes[..<count])
        }
    }

    private func readMore() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        buffered.withLock { $0 += chunk[..<count] }
        return true
    }

    /// Writes all; false when the peer is gone.
    @discardableResult
    func write(_ text: String) -> Bool { write(Array(text.utf8)) }

    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe send(
                    descriptor,
                    bytes.baseAddress?.advanced(by: offset),
                    bytes.count - offset,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else { return false }
            offset += count
            written.add(count, ordering: .relaxed)
        }
        return true
    }

    /// Waits until the peer closes, dropping what it sends.
    func waitForEnd() {
        while readMore() {}
    }

    /// Ends the connection in order.
    func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Ends the connection with a RST.
    func reset() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        // Connecting an established TCP socket to AF_UNSPEC aborts it at once, whoever else holds the descriptor.
        var address = sockaddr()
        address.sa_family = sa_family_t(AF_UNSPEC)
        unsafe connect(descriptor, &address, socklen_t(MemoryLayout<sockaddr>.size))
    }

    func respond(_ body: String, fields: String = "") {
        write("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\(fields)\r\n\(body)")
    }
}

/// Waits until the condition holds, at most `limit`.
func eventually(within limit: Duration = .seconds(20), _ condition: () async -> Bool) async -> Bool {
    let due = ContinuousClock.now + limit
    while !(await condition()) {
        guard ContinuousClock.now < due else { return false }
        do { try await Task.sleep(for: .milliseconds(2)) } catch { return false }
    }
    return true
}
