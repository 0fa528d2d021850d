// The few file operations that the last-known-good store needs, in the order that survives a power cut. Descriptors
// and C strings stay in this file.

private import Glibc

/// The operating system refused a file operation.
public struct DiskError: Error, Equatable, Sendable {
    /// What was refused.
    public enum Operation: String, Sendable {
        /// Making the directory.
        case makeDirectory
        /// Opening a file or directory.
        case open
        /// Reading, or learning the size.
        case read
        /// Writing.
        case write
        /// Synchronising; what was written may be lost, so the file is given up.
        case synchronize
        /// Closing a file that was written.
        case close
        /// Putting the new file in the old one's place.
        case rename
    }

    /// What was refused.
    public let operation: Operation
    /// The file or directory.
    public let path: String
    /// The C error number; 0 when there is none.
    public let code: Int32
}

extension DiskError: CustomStringConvertible {
    /// One line for a log.
    public var description: String { "\(operation.rawValue) \(path): error \(code)" }
}

enum Disk {
    /// Makes the directory and those above it; readable by us alone, because credentials lie there, sealed.
    static func makeDirectory(_ path: String) throws(DiskError) {
        var end = path.startIndex
        while end < path.endIndex {
            end = path[end...].dropFirst().firstIndex(of: "/") ?? path.endIndex
            let part = String(path[..<end])
            guard unsafe mkdir(part, 0o700) == 0 || errno == EEXIST || errno == EISDIR else {
                throw DiskError(operation: .makeDirectory, path: part, code: errno)
            }
        }
    }

    /// Bytes that are written with one call.
    private static let bufferBytes = 256 << 10

    /// Puts a new file, written part by part, in an old one's place; after a failure the old one is as it was.
    static func replace(
        file name: String,
        in directory: String,
        withParts parts: some Sequence<[UInt8]>
    ) throws(DiskError) {
        let path = "\(directory)/\(name)"
        let temporary = path + ".new"
        do throws(DiskError) {
            try write(parts, to: temporary)
            guard unsafe rename(temporary, path) == 0 else {
                throw DiskError(operation: .rename, path: path, code: errno)
            }
        } catch {
            _ = unsafe unlink(temporary)  // it may not exist; the error that counts is thrown
            throw error
        }
        try synchronize(directory: directory)
    }

    private static func write(_ parts: some Sequence<[UInt8]>, to path: String) throws(DiskError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw DiskError(operation: .open, path: path, code: errno) }
        do throws(DiskError) {
            var buffer: [UInt8] = []
            buffer.reserveCapacity(bufferBytes)
            for part in parts {
                if buffer.count + part.count > bufferBytes {
                    try write(buffer, to: descriptor, path)
                    buffer.removeAll(keepingCapacity: true)
                }
                if part.count > bufferBytes {
                    try write(part, to: descriptor, path)
                } else {
                    buffer += part
                }
            }
            try write(buffer, to: descriptor, path)
            guard fsync(descriptor) == 0 else { throw DiskError(operation: .synchronize, path: path, code: errno) }
        } catch {
            _ = close(descriptor)  // the file is given up
            throw error
        }
        guard close(descriptor) == 0 else { throw DiskError(operation: .close, path: path, code: errno) }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(DiskError) {
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: offset), buffer.count - offset)
            }
            if count <= 0 {
                guard count < 0, errno == EINTR else {
                    throw DiskError(operation: .write, path: path, code: count < 0 ? errno : 0)
                }
                continue
            }
            offset += count
        }
    }

    /// Makes a rename survive a power cut.
    private static func synchronize(directory: String) throws(DiskError) {
        let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskError(operation: .open, path: directory, code: errno) }
        defer { _ = close(descriptor) }  // nothing was written through it
        guard fsync(descriptor) == 0 else {
            throw DiskError(operation: .synchronize, path: directory, code: errno)
        }
    }
}

/// A file that is read in order, in parts; the descriptor lives and dies here.
final class DiskReader {
    /// The file's bytes when it was opened.
    let size: Int
    private let descriptor: Int32
    private let path: String

    /// Opens a file; nil when there is none.
    static func open(file name: String, in directory: String) throws(DiskError) -> DiskReader? {
        let path = "\(directory)/\(name)"
        let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw DiskError(operation: .open, path: path, code: errno)
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            let code = errno
            _ = close(descriptor)  // nothing was written
            throw DiskError(operation: .read, path: path, code: code)
        }
        return DiskReader(descriptor, path, size: Int(status.st_size))
    }

    private init(_ descriptor: Int32, _ path: String, size: Int) {
        self.descriptor = descriptor
        self.path = path
        self.size = size
    }

    deinit { _ = close(descriptor) }  // nothing was written

    /// The next bytes; fewer when the file ends.
    func read(_ count: Int) throws(DiskError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let got = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress?.advanced(by: offset), buffer.count - offset)
            }
            if got < 0 {
                guard errno == EINTR else { throw DiskError(operation: .read, path: path, code: errno) }
                continue
            }
            guard got > 0 else { return Array(bytes.prefix(offset)) }
            offset += got
        }
        return bytes
    }
}
