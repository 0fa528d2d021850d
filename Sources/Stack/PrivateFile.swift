// Files that hold secrets or that others read while we write: mode 0600, and replaced in one step.

private import Foundation
private import Glibc

/// Writes files that only their owner may read.
public enum PrivateFile {
    /// Replaces a file in one step: a reader sees the old bytes or the new ones.
    ///
    /// - Parameters:
    ///   - bytes: the whole contents.
    ///   - path: absolute; its directory exists.
    /// - Throws: `.system`.
    public static func write(_ bytes: [UInt8], to path: String) throws(StackError) {
        let temporary = "\(path).\(getpid()).new"
        let descriptor = unsafe Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(call: "open", errno: errno, about: temporary) }
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                let failure = errno
                close(descriptor)
                throw .system(call: "write", errno: failure, about: temporary)
            }
            written += count
        }
        let synced = fsync(descriptor)
        close(descriptor)
        guard synced == 0, unsafe rename(temporary, path) == 0 else {
            throw .system(call: "rename", errno: errno, about: path)
        }
    }
}
