// Ports for servers of tests and of `weir dev`. A port found free by binding and closing may be taken by the next
// process that looks, so a port is also claimed by a locked file for as long as this process lives: two test runs
// at once do not meet.

private import Foundation
private import Glibc

/// Finds and checks loopback ports.
public enum FreePort {
    /// Below Linux's range for outgoing connections (32768…60999), which would otherwise take a server's port while
    /// it restarts.
    private static let range = 20_000..<32_000

    /// A port that nothing listens on and that no other process of this kind will be given.
    ///
    /// - Returns: the port; claimed until this process ends.
    /// - Throws: `.other` when no port is to be had.
    public static func claim() throws(StackError) -> Int {
        let directory = "/tmp/weir-ports.\(getuid())"
        guard unsafe mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw .system(call: "mkdir", errno: errno, about: directory)
        }
        for _ in 0..<1000 {
            let port = Int.random(in: range)
            // The descriptor is never closed: the kernel drops the lock when the process ends, however it ends.
            let lock = unsafe Glibc.open("\(directory)/\(port)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard lock >= 0 else { throw .system(call: "open", errno: errno, about: directory) }
            if flock(lock, LOCK_EX | LOCK_NB) == 0 && isFree(port) { return port }
            close(lock)
        }
        throw .other("no free port between \(range.lowerBound) and \(range.upperBound)")
    }

    /// Whether a server could listen on it now.
    ///
    /// - Parameter port: 1...65535, on 127.0.0.1.
    /// - Returns: false when something listens there already.
    public static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // As servers do it: connections of a server that just ended, in TIME_WAIT, do not hold the port.
        var on: Int32 = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = LoopbackAddress(port: port).raw
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe bind(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                    && listen(descriptor, 1) == 0
            }
        }
    }
}
