// A provider that says what the test wants, byte by byte. A fake: a real one will not break its framing on demand.

import Glibc
import Synchronization

/// Answers every request on every connection with the bytes that `answer` makes of it.
final class CannedUpstream: Sendable {
    struct Request: Sendable {
        let head: String
        let body: [UInt8]

        var bodyText: String { String(decoding: body, as: UTF8.self) }
    }

    struct Answer: Sendable {
        var bytes: [UInt8]
        var closes = false
        /// Ends the connection with a reset behind the bytes.
        var resets = false
        /// Says nothing more behind the bytes until the peer leaves.
        var hangs = false
        /// Seconds before the first byte.
        var delay = 0.0
        /// Seconds between the head and the body.
        var bodyDelay = 0.0
    }

    let port: Int
    private let listener: Int32
    private let seen = Mutex<[Request]>([])
    private let hanging = Mutex(0)
    private let answer: @Sendable (Request) -> Answer

    init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        unsafe address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, length) == 0 && listen(descriptor, 128) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard bound else { throw RawError(call: "bind", code: errno) }
        port = Int(UInt16(bigEndian: address.sin_port))
        spawn { [self] in acceptAll() }
    }

    /// Ends the listener; connections end with their clients.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    var requests: [Request] { seen.withLock { $0 } }

    private func acceptAll() {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            spawn { [self] in serve(connection) }
        }
    }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        var buffer: [UInt8] = []
        while let request = read(connection, &buffer) {
            seen.withLock { $0.append(request) }
            var answer = answer(request)
            if answer.delay > 0 { usleep(useconds_t(answer.delay * 1e6)) }
            if answer.bodyDelay > 0, let end = answer.bytes.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound {
                _ = unsafe answer.bytes.withUnsafeBytes { unsafe send(connection, $0.baseAddress, end, noSignal) }
                usleep(useconds_t(answer.bodyDelay * 1e6))
                answer.bytes.removeFirst(end)
            }
            let sent = unsafe answer.bytes.withUnsafeBytes { bytes in
                unsafe send(connection, bytes.baseAddress, bytes.count, noSignal)
            }
            if answer.resets { return reset(connection) }
            if answer.hangs { return waitForEnd(of: connection) }
            guard sent == answer.bytes.count, !answer.closes else { return }
        }
    }

    private func reset(_ connection: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(connection, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    private func waitForEnd(of connection: Int32) {
        var byte: UInt8 = 0
        hanging.withLock { $0 += 1 }
        while unsafe recv(connection, &byte, 1, 0) > 0 {}
        hanging.withLock { $0 -= 1 }
    }

    /// Connections on which a `hangs` answer is being given.
    var hangingCount: Int { hanging.withLock { $0 } }

    private func read(_ connection: Int32, _ buffer: inout [UInt8]) -> Request? {
        while true {
            if let request = Self.parse(&buffer) { return request }
            var part = [UInt8](repeating: 0, count: 65_536)
            let count = unsafe recv(connection, &part, part.count, 0)
            guard count > 0 else { return nil }
            buffer += part[..<count]
        }
    }

    private static func parse(_ buffer: inout [UInt8]) -> Request? {
        let text = String(decoding: buffer, as: Unicode.ASCII.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        let head = String(text[..<end.lowerBound])
        let headBytes = head.utf8.count + 4
        let length = head.lowercased().split(separator: "\r\n").compactMap { line in
            line.hasPrefix("content-length:") ? Int(line.dropFirst(15).drop(while: { $0 == " " })) : nil
        }.first
        let total = headBytes + (length ?? 0)
        guard buffer.count >= total else { return nil }
        let request = Request(head: head, body: Array(buffer[headBytes..<total]))
        buffer.removeFirst(total)
        return request
    }

    private func spawn(_ work: @escaping @Sendable () -> Void) {
        let box = unsafe Unmanaged.passRetained(Work(work))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread,
            nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<Work>.fromOpaque(context).takeRetainedValue().run()
                return nil
            },
            unsafe box.toOpaque()
        )
        precondition(code == 0, "a test needs a thread")
        pthread_detach(thread)
    }

    private final class Work: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
