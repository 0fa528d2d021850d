// How a program turns its logs on: once, at the top of `main`, with the level a flag or the environment names.

private import Glibc
public import Logging

/// The logs of a program.
public enum Logs {
    /// The environment variable that names the level when no flag does.
    public static let levelVariable = "WEIR_LOG_LEVEL"

    /// Loggers with a line for each request: they repeat themselves by nature.
    public static let requestLabels: Set<String> = ["weir.access", "weir.admin"]
    /// Lines of each of them in ten seconds, above level debug.
    static let maxRequestLines = 2_000

    /// Makes every `Logger` of the process write JSON lines on standard error.
    ///
    /// To be called once, before the first logger is made; swift-log traps the second time.
    ///
    /// - Parameter level: the least level that is written.
    public static func bootstrap(level: Logger.Level) {
        LogLevels.shared.setBase(level)
        let repeats = RepeatLimiter()
        let requests = RepeatLimiter(maxLines: Self.maxRequestLines)
        LoggingSystem.bootstrap { label in
            JSONLogHandler(label: label, limiter: requestLabels.contains(label) ? requests : repeats)
        }
    }

    /// Finds the level: the flag, else `WEIR_LOG_LEVEL`, else `info`.
    ///
    /// - Parameter flag: the text of the program's `--log-level`, when it was given.
    /// - Returns: the level that this text names.
    /// - Throws: when the text is not one of swift-log's level names.
    public static func level(flag: String? = nil) throws(UnknownLogLevel) -> Logger.Level {
        guard let text = flag ?? environment(levelVariable) else { return .info }
        guard let level = Logger.Level(rawValue: text) else { throw UnknownLogLevel(text: text) }
        return level
    }

    private static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}

/// A log level that does not exist; a program stops at it rather than log at another one.
public struct UnknownLogLevel: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was given.
    public let text: String

    /// Says what would have been right.
    public var description: String {
        "log level \"\(text)\" is none of " + Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
    }
}
