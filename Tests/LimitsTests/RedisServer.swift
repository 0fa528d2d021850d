// A real redis-server on a free port, in a directory of its own, that ends with the test process; and the smallest
// client that can talk to it. Blocking on purpose: a test's thread is the concurrency. Not the Reactor's client, so
// that the scripts are tested apart from it.

import Foundation
import Glibc

/// A running server; killed when released.
final class RedisServer: Sendable {
    let port: UInt16
    private let process: Process
    private let directory: URL
    private let input = Pipe()

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "weir-limits-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        port = try Self.freePort()
        process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        // The server must not outlive a test run that is killed: the shell waits for the end of its input, which this
        // process holds open until it dies, then ends the server and removes its directory.
        process.arguments = [
            "-c",
            """
            redis-server --port "$1" --bind 127.0.0.1 --save "" --appendonly no --dir "$2" \
              --maxmemory-policy noeviction >/dev/null 2>&1 </dev/null &
            cat >/dev/null
            kill -9 $!
            wait
            rm -rf "$2"
            """,
            "sh", String(port), directory.path,
        ]
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            do {
                guard try RedisClient(port: port).command("PING") == .text("PONG") else { throw RESPError.unexpected }
                return
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                usleep(10_000)
            }
        }
    }

    deinit {
        do { try input.fileHandleForWriting.close() } catch { print("input of redis-server: \(error)") }
        process.waitUntilExit()
    }

    func client() throws -> RedisClient { try RedisClient(port: port) }

    private static func freePort() throws -> UInt16 {
        let probe = try Socket()
        try probe.bindToLoopback()
        return try probe.localPort()
    }
}

enum RESPError: Error, Equatable {
    case system(Int32)
    case closed, unexpected
}

/// A server's answer.
enum RESPValue: Equatable {
    case integer(Int64)
    case text(String)
    case null
    case array([RESPValue])
    case error(String)

    /// The integers of a flat array; nil when it is anything else.
    var integers: [Int64]? {
        guard case .array(let values) = self else { return nil }
        let integers = values.compactMap { value -> Int64? in
            if case .integer(let integer) = value { integer } else { nil }
        }
        return integers.count == values.count ? integers : nil
    }
}

/// A blocking connection; one thread at a time.
final class RedisClient {
    private let socket: Socket
    private var input: [UInt8] = []
    private var offset = 0

    init(port: UInt16) throws {
        socket = try Socket()
        try socket.connectToLoopback(port: port)
    }

    func command(_ arguments: String...) throws -> RESPValue { try command(arguments.map { Array($0.utf8) }) }

    func command(_ arguments: [[UInt8]]) throws -> RESPValue {
        var output = Array("*\(arguments.count)\r\n".utf8)
        for argument in arguments {
            output += Array("$\(argument.count)\r\n".utf8) + argument + Array("\r\n".utf8)
        }
        try socket.write(output)
        return try read()
    }

    private func read() throws -> RESPValue {
        let line = try readLine()
        guard let type = line.first else { throw RESPError.unexpected }
        let rest = String(line.dropFirst())
        switch type {
        case "+": return .text(rest)
        case "-": return .error(rest)
        case ":": return .integer(Int64(rest) ?? .min)
        case "$":
            guard let count = Int(rest), count >= 0 else { return .null }
            while input.count < offset + count + 2 { input += try socket.read() }
            defer { offset += count + 2 }
            return .text(String(decoding: input[offset..<offset + count], as: UTF8.self))
        case "*":
            guard let count = Int(rest), count >= 0 else { return .null }
            return .array(try (0..<count).map { _ in try read() })
        default: throw RESPError.unexpected
        }
    }

    private func readLine() throws -> String {
        while true {
            if let end = input[offset...].firstIndex(of: UInt8(ascii: "\n")) {
                defer {
                    offset = end + 1
                    if offset == input.count { (input, offset) = ([], 0) }
                }
                return String(decoding: input[offset..<end - 1], as: UTF8.self)
            }
            input += try socket.read()
        }
    }
}

/// A TCP socket on the loopback interface; closed when released.
private final class Socket {
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw RESPError.system(errno) }
    }

    deinit { close(descriptor) }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func check(_ result: Int32) throws {
        guard result == 0 else { throw RESPError.system(errno) }
    }

    func bindToLoopback() throws {
        var address = Self.loopback(port: 0)
        try check(
            unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        )
    }

    func localPort() throws -> UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try check(
            unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe getsockname(descriptor, address, &size)
                }
            }
        )
        return UInt16(bigEndian: address.sin_port)
    }

    func connectToLoopback(port: UInt16) throws {
        var address = Self.loopback(port: port)
        try check(
            unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        )
    }

    func write(_ bytes: [UInt8]) throws {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            guard count > 0 else { throw RESPError.system(errno) }
            written += count
        }
    }

    func read() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        }
        guard count > 0 else { throw count == 0 ? RESPError.closed : RESPError.system(errno) }
        return Array(bytes.prefix(count))
    }
}
