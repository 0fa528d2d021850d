// Finds the programs we start. Debian keeps PostgreSQL's server outside PATH, in a directory per version.

private import Foundation

/// Where programs are on this machine.
public enum Program {
    /// Looks in `PATH`, then in these directories.
    ///
    /// - Parameters:
    ///   - name: the program's file name.
    ///   - directories: places to look at after `PATH`.
    ///   - hint: what to tell a person when it is nowhere.
    /// - Returns: its absolute path.
    /// - Throws: `.programMissing`.
    public static func find(
        _ name: String,
        alsoIn directories: [String] = [],
        hint: String
    ) throws(StackError) -> String {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let places = path.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/bin"] + directories
        for place in places where FileManager.default.isExecutableFile(atPath: "\(place)/\(name)") {
            return "\(place)/\(name)"
        }
        throw .programMissing(name: name, hint: hint)
    }

    /// One of PostgreSQL's own programs, the newest installed version first.
    static func postgres(_ name: String) throws(StackError) -> String {
        let hint = "apt-get install postgresql"
        let root = "/usr/lib/postgresql"
        var versions: [String] = []
        // A machine without Debian's layout has no such directory; PATH is looked at then.
        do { versions = try FileManager.default.contentsOfDirectory(atPath: root) } catch { versions = [] }
        let newestFirst = versions.compactMap { Int($0) }.sorted(by: >).map { "\(root)/\($0)/bin" }
        for place in newestFirst where FileManager.default.isExecutableFile(atPath: "\(place)/\(name)") {
            return "\(place)/\(name)"
        }
        return try find(name, hint: hint)
    }

    /// A program of ours that was built beside the running one.
    ///
    /// - Parameter name: the product's name.
    /// - Returns: its absolute path.
    /// - Throws: `.programMissing`.
    public static func beside(_ name: String) throws(StackError) -> String {
        let own = URL(fileURLWithPath: ownPath).resolvingSymlinksInPath().deletingLastPathComponent().path
        let path = "\(own)/\(name)"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw .programMissing(name: name, hint: "build it: swift build --product \(name) (looked for \(path))")
        }
        return path
    }

    /// The running program's own file.
    public static var ownPath: String {
        do {
            return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        } catch {
            return CommandLine.arguments[0]
        }
    }
}
