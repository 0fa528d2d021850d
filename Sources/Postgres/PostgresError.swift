// The one error of this module: sorted by what a caller can do about it.

/// Why a statement gave no answer.
///
/// `message` and `detail` are for the log: they may quote values of the statement, so that no client may see them.
public struct PostgresError: Error, Equatable, Sendable {
    /// What a caller can do about the error.
    public enum Kind: Equatable, Sendable {
        /// No connection, or it broke; after a COMMIT was sent, nobody knows whether it took place.
        case connection
        /// A statement or a connection attempt took longer than its bound; without an `sqlState` nobody knows what the
        /// server did about it, and the connection was closed.
        case timeout
        /// No connection became free in time, or too many callers wait already.
        case poolExhausted
        /// The server is a standby or was set read-only (25006).
        case readOnly
        /// The server's disk is full (53100).
        case diskFull
        /// A row with this key exists (23505); see `constraint`.
        case uniqueViolation
        /// A row refers to one that is not there, or is referred to (23503); see `constraint`.
        case foreignKeyViolation
        /// A column without a value that needs one (23502); see `column`.
        case notNullViolation
        /// A value that a CHECK refuses (23514); see `constraint`.
        case checkViolation
        /// A serialization failure or a deadlock (40001, 40P01): the same transaction may succeed now.
        case serialization
        /// The server takes no more connections (53300).
        case tooManyConnections
        /// The caller's task was cancelled before the statement was sent.
        case cancelled
        /// A column is missing, ambiguous, NULL or of another type than the accessor's.
        case decoding
        /// Everything else, most often our own mistake in a statement.
        case other
    }

    /// What a caller can do about it.
    public let kind: Kind
    /// The server's five-character code; nil when the error is not the server's.
    public let sqlState: String?
    /// The server's or libpq's message.
    public let message: String
    /// More of it; quotes values of rows.
    public var detail: String?
    /// The name of the constraint that was violated.
    public var constraint: String?
    /// The table the error is about.
    public var table: String?
    /// The column the error is about.
    public var column: String?

    /// An error that no server sent.
    public init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
        sqlState = nil
    }

    /// An error by the server's code; class 08 and the shutdowns of class 57 mean that the connection is gone.
    init(sqlState: String, message: String) {
        self.sqlState = sqlState
        self.message = message
        kind =
            switch sqlState {
            case "25006": .readOnly
            case "53100": .diskFull
            case "53300": .tooManyConnections
            case "23505": .uniqueViolation
            case "23503": .foreignKeyViolation
            case "23502": .notNullViolation
            case "23514": .checkViolation
            case "40001", "40P01": .serialization
            case "57014": .timeout
            case "57P01", "57P02", "57P03", "57P05", "25P03": .connection
            default: sqlState.utf8.starts(with: "08".utf8) ? .connection : .other
            }
    }
}

extension PostgresError: CustomStringConvertible {
    /// Kind, code, message and constraint; not the detail, which quotes rows.
    public var description: String {
        var text = "postgres \(kind)"
        if let sqlState { text += " \(sqlState)" }
        text += ": \(message)"
        if let constraint { text += " (\(constraint))" }
        return text
    }
}
