// A directory that goes when its owner goes. Under /tmp rather than $TMPDIR, because PostgreSQL's user must be able
// to enter it when we are root.

private import Foundation

/// A fresh directory, removed with everything in it when this object goes.
public final class TemporaryDirectory: Sendable {
    /// Its absolute path.
    public let path: String

    /// Makes one.
    ///
    /// - Parameter prefix: how its name begins.
    /// - Throws: `.other` when /tmp cannot be written.
    public init(prefix: String = "weir") throws(StackError) {
        path = "/tmp/\(prefix)-\(UUID().uuidString.prefix(8))"
        do {
            // Others may enter, not list: servers run as users of their own inside.
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o711]
            )
        } catch {
            throw .other("no temporary directory: \(error)")
        }
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            // A server that is still writing there; /tmp is emptied by the system.
        }
    }
}
