// A client that sends exactly the bytes it is told: what a well-behaved HTTP client never would.

import Glibc

/// One blocking TCP connection to 127.0.0.1.
final class RawConnection {
    private let descriptor: Int32

    init(port: Int, receiveTimeout: Duration = .seconds(5)) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        unsafe address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw RawError(call: "connect", code: errno) }
        var timeout = timeval(tv_sec: Int(receiveTimeout.components.seconds), tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Sends all, or what the peer takes before it goes away.
    func send(_ bytes: [UInt8]) {
        var start = 0
        while start < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.send(
                    descriptor,
                    buffer.baseAddress?.advanced(by: start),
                    buffer.count - start,
                    noSignal
                )
            }
            guard count > 0 else { return }
            start += count
        }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// Up to 64 KiB; empty at the end of the stream, after a reset, and at the time-out.
    func receive() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            count = max(0, unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0))
        }
    }

    /// All that comes until the peer closes or falls silent for the time-out.
    func receiveAll() -> String {
        var all: [UInt8] = []
        while true {
            let part = receive()
            guard !part.isEmpty else { return String(decoding: all, as: UTF8.self) }
            all += part
        }
    }

    /// What comes until `end` is seen in it.
    func receive(until end: String) -> String {
        var text = ""
        while !text.contains(end) {
            let part = receive()
            guard !part.isEmpty else { break }
            text += String(decoding: part, as: UTF8.self)
        }
        return text
    }

    /// Sends our end of file and still reads.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}

/// MSG_NOSIGNAL, which the importer shows as one type or another by what else is imported.
let noSignal: Int32 = 0x4000

struct RawError: Error {
    let call: String
    let code: Int32
}
