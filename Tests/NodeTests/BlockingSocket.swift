// Plain blocking sockets for the fixtures: what tests the agent's clients must not be built from them.

private import Glibc

/// A connected or listening TCP socket on 127.0.0.1; calls block.
final class BlockingSocket: Sendable {
    private let descriptor: Int32

    /// Listens on a free port.
    init(listeningOn port: Int = 0) throws {
        descriptor = try Self.open()
        var one: Int32 = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let bound = unsafe Self.withAddress(port) { unsafe bind(descriptor, $0, $1) }
        guard bound == 0, listen(descriptor, 64) == 0 else { throw SocketError(call: "bind", code: errno) }
    }

    /// Connects.
    init(connectingTo port: Int) throws {
        descriptor = try Self.open()
        let connected = unsafe Self.withAddress(port) { unsafe connect(descriptor, $0, $1) }
        guard connected == 0 else { throw SocketError(call: "connect", code: errno) }
    }

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// The local port.
    var port: Int {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The next connection; nil when the socket was shut.
    func accepted() -> BlockingSocket? {
        let connection = accept(descriptor, nil, nil)
        return connection < 0 ? nil : BlockingSocket(descriptor: connection)
    }

    /// Up to 64 KiB; empty at the end.
    func read() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            count = max(0, unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0))
        }
    }

    /// Writes all, or as much as the peer takes before it goes away.
    func write(_ bytes: [UInt8]) {
        var start = 0
        while start < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe send(
                    descriptor,
                    buffer.baseAddress?.advanced(by: start),
                    buffer.count - start,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else { return }
            start += count
        }
    }

    /// Ends both directions, so that a blocked call of another thread returns.
    func shut() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    private static func open() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError(call: "socket", code: errno) }
        return descriptor
    }

    private static func withAddress(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// A call that the machine refused.
struct SocketError: Error {
    let call: String
    let code: Int32
}
