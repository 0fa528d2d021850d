// What can go wrong while servers are started, in words that tell a person at a terminal what to do.

/// Why a part of the stack could not be started or reached.
public enum StackError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A program is on none of the places that were looked at.
    case programMissing(name: String, hint: String)
    /// The operating system refused a call.
    case system(call: String, errno: Int32, about: String)
    /// A server ended before it was ready; the tail of its log is what it said last.
    case exitedEarly(name: String, status: String, logTail: String)
    /// A server ran but did not answer in time.
    case notReady(name: String, seconds: Int, logTail: String)
    /// A port is held by somebody else.
    case portTaken(port: Int, purpose: String)
    /// The server's user may not enter a directory on the way.
    case notTraversable(path: String, user: String)
    /// An HTTP exchange broke off or was not HTTP.
    case exchange(url: String, reason: String)
    /// Anything else; the text stands alone.
    case other(String)

    /// One sentence for the terminal.
    public var description: String {
        switch self {
        case .programMissing(let name, let hint):
            "\(name) is not installed: \(hint)"
        case .system(let call, let number, let about):
            "\(call) failed for \(about): \(Errno.text(number))"
        case .exitedEarly(let name, let status, let logTail):
            "\(name) ended while starting (\(status)). Its log ends:\n\(logTail)"
        case .notReady(let name, let seconds, let logTail):
            "\(name) was not ready after \(seconds) s. Its log ends:\n\(logTail)"
        case .portTaken(let port, let purpose):
            "port \(port) (\(purpose)) is taken: stop what holds it, or choose another --port-base"
        case .notTraversable(let path, let user):
            "user \(user) may not enter \(path), and PostgreSQL does not run as root: choose another directory"
        case .exchange(let url, let reason):
            "\(url): \(reason)"
        case .other(let text):
            text
        }
    }
}
