// Directories that servers live in: who owns them and who may pass through.

private import Foundation
private import Glibc

/// Makes and checks directories.
public enum Directory {
    /// Makes a directory and those above it; an existing one is left as it is.
    ///
    /// - Parameters:
    ///   - path: absolute.
    ///   - permissions: for the last one when it is made.
    /// - Throws: `.other`.
    public static func make(_ path: String, permissions: Int = 0o755) throws(StackError) {
        if FileManager.default.fileExists(atPath: path) { return }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path)
        } catch {
            throw .other("cannot make \(path): \(error)")
        }
    }

    /// Gives a file or directory to a user, when we are root; nothing otherwise.
    static func give(_ path: String, to user: String) throws(StackError) {
        guard getuid() == 0 else { return }
        guard let entry = unsafe getpwnam(user) else {
            throw .other("there is no user \(user) on this machine; PostgreSQL does not run as root")
        }
        guard unsafe chown(path, entry.pointee.pw_uid, entry.pointee.pw_gid) == 0 else {
            throw .system(call: "chown", errno: errno, about: path)
        }
    }

    /// The first directory on the way to this path that a foreign user may not enter; nil when there is none.
    ///
    /// Owner and group are left out of account: only a directory open to all is sure to be open to the server's user.
    static func obstacle(onTheWayTo path: String) -> String? {
        var current = URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent()
        while current.path != "/" {
            var status = stat()
            if unsafe stat(current.path, &status) == 0 && status.st_mode & S_IXOTH == 0 { return current.path }
            current.deleteLastPathComponent()
        }
        return nil
    }
}
