// Reads a resource file without Foundation: found beside the program, mapped for as long as it takes to build the
// tables. One of the module's three files with unsafe expressions; what it maps leaves only as a span.

private import Glibc

/// Where the vocabularies lie, and a look into one.
enum MappedFile {
    /// Names a folder with the vocabularies, for programs that are installed otherwise.
    static let environmentName = "WEIR_VOCABULARIES"
    /// What SwiftPM makes of the target's resources, beside the programs that it builds.
    static let bundleName = "weir_Tokens.resources"

    /// The folder that the environment names, or the bundle beside the program.
    static func resourceFolder() -> String {
        if let named = unsafe getenv(environmentName) { return unsafe String(cString: named) }
        var buffer = [CChar](repeating: 0, count: 4_096)
        // The link is read into the buffer's own length, and only the bytes that were written are used.
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        let program = buffer[..<max(count, 0)].map { UInt8(bitPattern: $0) }
        let folder = program[..<(program.lastIndex(of: UInt8(ascii: "/")) ?? program.startIndex)]
        return "\(String(decoding: folder, as: UTF8.self))/\(bundleName)"
    }

    /// Maps a file and shows its bytes.
    ///
    /// The file must not be cut while this runs, as for every mapping: a program's installation is not its input.
    ///
    /// - Parameters:
    ///   - path: of a regular file.
    ///   - maxBytes: larger files are refused.
    ///   - read: sees the bytes.
    /// - Returns: what `read` makes of them.
    /// - Throws: why the file cannot be read, or what `read` throws.
    static func read<Result>(
        _ path: String,
        maxBytes: Int,
        _ read: (Span<UInt8>) throws(VocabularyError) -> Result
    ) throws(VocabularyError) -> Result {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path, errno) }
        defer { _ = close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw .unreadable(path, errno) }
        let count = Int(status.st_size)
        guard count > 0, count <= maxBytes else { throw .malformed("size") }
        // MAP_POPULATE reads ahead in one call what would be hundreds of page faults.
        let address = unsafe mmap(nil, count, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { throw .unreadable(path, errno) }
        defer { _ = unsafe munmap(address, count) }
        // The mapping has `count` bytes and outlives the span, which cannot leave the closure.
        return try read(unsafe Span(_unsafeStart: address.assumingMemoryBound(to: UInt8.self), count: count))
    }
}

/// Why a vocabulary could not be loaded: an installation's fault, not a request's.
public enum VocabularyError: Error, Equatable, Sendable {
    /// The file is not there or cannot be read; the path, and `errno`.
    case unreadable(String, Int32)
    /// The file is no vocabulary of this format; the part that is wrong.
    case malformed(String)
}
