// How a server is to be run, as a value: the same description starts it, restarts it and appears in messages.

private import Foundation

/// A program to run, with everything it may see.
public struct ProcessSpecification: Sendable {
    /// A signal that asks a process to end.
    public enum StopSignal: String, Sendable {
        /// An orderly end.
        case terminate = "TERM"
        /// PostgreSQL's "fast" shutdown: sessions are cut, the data directory is left clean.
        case interrupt = "INT"
        /// No chance to tidy up.
        case kill = "KILL"
    }

    /// What messages and log files call it.
    public var name: String
    /// Absolute path of the program.
    public var executable: String
    /// Arguments after the program's name.
    public var arguments: [String]
    /// The whole environment beside a few harmless names (`PATH`, `HOME`, `LANG`, …): a server inherits no secret
    /// that was not meant for it.
    public var environment: [String: String]
    /// Where it runs; "/" unless told.
    public var workingDirectory: String
    /// Standard output and error are appended here.
    public var logFile: String
    /// The user to run as when we are root; nil keeps ours.
    public var user: String?
    /// What ``ChildProcess/stop(grace:)`` sends first.
    public var stopSignal: StopSignal
    /// What the kernel sends when we die without stopping it.
    public var deathSignal: StopSignal

    /// Describes a program; see the properties.
    public init(
        name: String,
        executable: String,
        arguments: [String],
        environment: [String: String] = [:],
        workingDirectory: String = "/",
        logFile: String,
        user: String? = nil,
        stopSignal: StopSignal = .terminate,
        deathSignal: StopSignal = .kill
    ) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.logFile = logFile
        self.user = user
        self.stopSignal = stopSignal
        self.deathSignal = deathSignal
    }

    /// Names of ours that every child gets: where programs, libraries and home are, and how text is written.
    private static let inherited = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH"]

    var wholeEnvironment: [String: String] {
        let ours = ProcessInfo.processInfo.environment.filter { Self.inherited.contains($0.key) }
        return ours.merging(environment) { _, given in given }
    }

    /// The last lines of the log, for a message about why it died.
    public var logTail: String {
        guard let bytes = FileManager.default.contents(atPath: logFile) else { return "(no log at \(logFile))" }
        let lines = String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(12)
        return lines.map { "    \($0)" }.joined(separator: "\n")
    }
}
