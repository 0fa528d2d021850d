// What a failed command says about the server, in one table: whether to stop using it, and under which name to count it.

/// The class of a failure, for metrics and logs: a fixed set of names.
public enum RedisFault: String, CaseIterable, Sendable {
    /// There was no connection.
    case notConnected = "not_connected"
    /// More commands waited than the connection's bound.
    case overload
    /// No answer in time.
    case deadline
    /// The connection broke, or none could be made.
    case connectionLost = "connection_lost"
    /// What came was no Redis protocol, beyond the bounds, or no answer of the command's.
    case protocolError = "protocol"
    /// `MOVED` or `ASK`.
    case moved
    /// `READONLY`.
    case readOnly = "readonly"
    /// `OOM`.
    case outOfMemory = "oom"
    /// `BUSY`.
    case busy
    /// `LOADING`.
    case loading
    /// `NOAUTH`, `WRONGPASS` or `NOPERM`.
    case notAuthorized = "auth"
    /// `WRONGTYPE`.
    case wrongType = "wrong_type"
    /// A counter that holds something else.
    case notInteger = "not_integer"
    /// `MISCONF`.
    case misconfigured = "misconf"
    /// `NOREPLICAS`.
    case noReplicas = "no_replicas"
    /// `MASTERDOWN` or `CLUSTERDOWN`.
    case down
    /// `TRYAGAIN`.
    case tryAgain = "try_again"
    /// `NOSCRIPT`, although the text was sent.
    case noScript = "no_script"
    /// Any other error reply.
    case other

    /// Who is to blame, which says what to do.
    public enum Blame: Sendable {
        /// The server cannot serve anybody: stop using it, and resolve its name again.
        case server
        /// One key: whoever asked for it goes without, all others go on.
        case key
        /// Nothing was sent, so nothing was learned of the server.
        case nobody
    }

    /// Who is to blame.
    public var blame: Blame {
        switch self {
        case .wrongType, .notInteger: .key
        case .notConnected, .overload: .nobody
        case .deadline, .connectionLost, .protocolError, .moved, .readOnly, .outOfMemory, .busy, .loading,
            .notAuthorized, .misconfigured, .noReplicas, .down, .tryAgain, .noScript, .other:
            .server
        }
    }
}

extension RedisFailure {
    /// The class of this failure.
    public var fault: RedisFault {
        switch self {
        case .notConnected: .notConnected
        case .tooManyCommands: .overload
        case .deadline: .deadline
        case .connectionLost: .connectionLost
        case .protocolError: .protocolError
        case .server(let kind, _): kind.fault
        }
    }
}

extension RedisFailure.ServerError {
    fileprivate var fault: RedisFault {
        switch self {
        case .moved: .moved
        case .readOnly: .readOnly
        case .outOfMemory: .outOfMemory
        case .busy: .busy
        case .loading: .loading
        case .notAuthorized: .notAuthorized
        case .wrongType: .wrongType
        case .notInteger: .notInteger
        case .misconfigured: .misconfigured
        case .noReplicas: .noReplicas
        case .down: .down
        case .tryAgain: .tryAgain
        case .noScript: .noScript
        case .other: .other
        }
    }
}
