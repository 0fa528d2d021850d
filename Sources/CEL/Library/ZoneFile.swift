// The one place where the library reads a file: time zone rules. Descriptors and pointers stay in here.

private import Glibc

/// Files below /usr/share/zoneinfo.
@safe enum ZoneFile {
    private static let directory = "/usr/share/zoneinfo/"
    /// The largest one has 3.6 KiB.
    private static let maxBytes = 1 << 16

    /// A file's octets.
    ///
    /// - Parameter name: of letters, digits and `_+-/` only; the caller has seen to it.
    /// - Returns: nil when it cannot be read, or is larger than any zone.
    static func read(_ name: ByteString) -> [UInt8]? {
        let descriptor = unsafe open(directory + name.text, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { return nil }
        // Nothing was written: there is nothing that closing could lose.
        defer { _ = close(descriptor) }
        var octets = [UInt8](repeating: 0, count: maxBytes)
        var filled = 0
        while filled < octets.count {
            let got = unsafe octets.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { return nil }
            guard got > 0 else { return Array(octets[..<filled]) }
            filled += got
        }
        return nil
    }
}
