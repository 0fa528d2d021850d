// A collector that takes whatever is exported and answers at once, so that exporters under measurement do all their work
// and wait for nobody.

private import Glibc
private import Stack
private import Synchronization

import class Foundation.Thread

/// Answers every request with an empty 200, on a free port, until the process ends.
final class Sink: Sendable {
    private static let answer = Array(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n".utf8
    )

    let port: Int
    private let requestCount = Atomic<Int>(0)
    private let byteCount = Atomic<Int>(0)

    var requests: Int { requestCount.load(ordering: .relaxed) }
    /// Of bodies and heads.
    var bytes: Int { byteCount.load(ordering: .relaxed) }

    init() throws {
        port = try FreePort.claim()
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe bind(listener, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard listener >= 0, bound == 0, listen(listener, 16) == 0 else { throw MeasureError("the sink cannot listen") }
        Thread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { continue }
                Thread { [self] in serve(connection) }.start()
            }
        }.start()
    }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(connection, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            pending += chunk[..<count]
            while let length = Self.requestLength(pending), pending.count >= length {
                pending.removeFirst(length)
                requestCount.wrappingAdd(1, ordering: .relaxed)
                byteCount.wrappingAdd(length, ordering: .relaxed)
                let sent = unsafe Self.answer.withUnsafeBytes { bytes in
                    unsafe send(connection, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
                }
                guard sent == Self.answer.count else { return }
            }
        }
    }

    /// Head and body; nil until the head is whole.
    private static func requestLength(_ bytes: [UInt8]) -> Int? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
        let field = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
        return end.upperBound + (field.flatMap { Int($0.dropFirst(15).filter(\.isNumber)) } ?? 0)
    }
}
