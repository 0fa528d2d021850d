// A blocking TCP connection to a server of ours, with a deadline on everything it does. Used by probes, the demo
// and tests, which want to see bytes as they are; each exchange runs on a thread of its own.

private import Foundation
private import Glibc

/// A TCP connection over loopback; confined to the thread that uses it.
final class LoopbackConnection {
    private let descriptor: Int32
    private let deadline: ContinuousClock.Instant

    init(host: String = "127.0.0.1", port: Int, deadline: ContinuousClock.Instant) throws(StackError) {
        let name = "\(host):\(port)"
        guard let address = LoopbackAddress(host: host, port: port) else {
            throw .exchange(url: name, reason: "only localhost and numeric IPv4 addresses are reached this way")
        }
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        descriptor = socket(AF_INET, Int32(kind), 0)
        self.deadline = deadline
        guard descriptor >= 0 else { throw .system(call: "socket", errno: errno, about: name) }
        var on: Int32 = 1
        unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var raw = address.raw
        let code = unsafe withUnsafePointer(to: &raw) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code != 0 {
            guard errno == EINPROGRESS else { throw .system(call: "connect", errno: errno, about: name) }
            try waitUntil(POLLOUT)
            var failure: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size)
            guard failure == 0 else { throw .system(call: "connect", errno: failure, about: name) }
        }
    }

    deinit { close(descriptor) }

    func write(_ bytes: [UInt8]) throws(StackError) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe send(
                    descriptor,
                    buffer.baseAddress?.advanced(by: sent),
                    bytes.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                try waitUntil(POLLOUT)
            } else if errno != EINTR {
                throw .system(call: "send", errno: errno, about: "a loopback connection")
            }
        }
    }

    /// - Returns: at least one byte, or none at the end of the connection.
    func read(upTo limit: Int = 65_536) throws(StackError) -> [UInt8] {
        while true {
            try waitUntil(POLLIN)
            var failure: Int32 = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
                let received = unsafe recv(descriptor, buffer.baseAddress, limit, 0)
                failure = received < 0 ? errno : 0
                count = max(received, 0)
            }
            if failure == 0 { return bytes }
            guard failure == EAGAIN || failure == EINTR else {
                throw .system(call: "recv", errno: failure, about: "a loopback connection")
            }
        }
    }

    private func waitUntil(_ events: Int32) throws(StackError) {
        while true {
            let left = deadline - .now
            let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
            guard milliseconds >= 0 else { throw .exchange(url: "a loopback connection", reason: "deadline passed") }
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let code = unsafe poll(&entry, 1, Int32(clamping: milliseconds + 1))
            if code > 0 { return }
            if code < 0 && errno != EINTR {
                throw .system(call: "poll", errno: errno, about: "a loopback connection")
            }
        }
    }

    /// Runs blocking work on a thread of its own.
    static func onThread<Value: Sendable>(
        _ work: @escaping @Sendable () throws(StackError) -> Value
    ) async throws(StackError) -> Value {
        let outcome: Result<Value, StackError> = await withCheckedContinuation { continuation in
            let thread = Thread {
                do throws(StackError) {
                    continuation.resume(returning: .success(try work()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            thread.stackSize = 512 * 1024
            thread.start()
        }
        return try outcome.get()
    }

    /// Sends bytes and reads the start of the answer.
    static func exchange(
        host: String = "127.0.0.1",
        port: Int,
        sending bytes: [UInt8],
        upTo count: Int
    ) async throws(StackError) -> [UInt8] {
        try await onThread { () throws(StackError) in
            let connection = try LoopbackConnection(host: host, port: port, deadline: .now + .seconds(2))
            try connection.write(bytes)
            var answer: [UInt8] = []
            while answer.count < count {
                let more = try connection.read(upTo: count - answer.count)
                if more.isEmpty { break }
                answer += more
            }
            return answer
        }
    }
}
