// What Redis says, and what can go wrong before it has said it: the words between a connection and its callers.

/// An answer that is not an error.
public enum RedisReply: Equatable, Sendable {
    /// An integer.
    case integer(Int64)
    /// A string of bytes.
    case bulk([UInt8])
    /// A short status such as `OK`.
    case status([UInt8])
    /// No value.
    case null
    /// Answers in order; an error among them makes the whole answer that error.
    case array([RedisReply])
}

extension RedisReply {
    /// The elements of an array of integers; nil of all else.
    public var integers: [Int64]? {
        guard case .array(let elements) = self else { return nil }
        var integers: [Int64] = []
        integers.reserveCapacity(elements.count)
        for element in elements {
            guard case .integer(let integer) = element else { return nil }
            integers.append(integer)
        }
        return integers
    }
}

/// Why a command has no answer.
public enum RedisFailure: Error, Equatable, Sendable {
    /// The class of an error reply, by its first word.
    public enum ServerError: Equatable, Sendable {
        /// `MOVED` or `ASK`: another node of a cluster has the key.
        case moved
        /// `READONLY`: a replica, or a primary that was demoted.
        case readOnly
        /// `OOM`: `maxmemory` is reached and nothing may be evicted.
        case outOfMemory
        /// `BUSY`: a script runs for too long.
        case busy
        /// `LOADING`: the data set is being read from disk.
        case loading
        /// `NOAUTH`, `WRONGPASS` or `NOPERM`: the credentials do not suffice.
        case notAuthorized
        /// `WRONGTYPE`: the key holds another kind of value.
        case wrongType
        /// `ERR` of a counter that holds no integer, or would pass 64 bits.
        case notInteger
        /// `MISCONF`: snapshots fail, so writes are refused.
        case misconfigured
        /// `NOREPLICAS`: too few replicas to accept a write.
        case noReplicas
        /// `MASTERDOWN` or `CLUSTERDOWN`: nobody can answer now.
        case down
        /// `TRYAGAIN`: a cluster's slot is on the move.
        case tryAgain
        /// `NOSCRIPT`: the script is not in its cache.
        case noScript
        /// Any other, `ERR` above all.
        case other
    }

    /// There is no connection; nothing was sent.
    case notConnected
    /// More commands wait than the connection's bound; nothing was sent.
    case tooManyCommands
    /// The oldest command on the connection was not answered in time; this one may have been carried out.
    case deadline
    /// The connection broke; the command may have been carried out.
    case connectionLost
    /// The peer does not speak Redis's protocol or answers beyond the bounds.
    case protocolError
    /// An error reply; the message is for the log.
    case server(kind: ServerError, message: String)

    /// Sorts an error reply by its first word.
    init(errorReply message: String) {
        let word = message.prefix { $0 != " " && $0 != "\n" }
        let isNoInteger = Self.integerErrors.contains { message.hasPrefix($0) }
        self = .server(kind: isNoInteger ? .notInteger : Self.kinds[String(word)] ?? .other, message: message)
    }

    private static let integerErrors = ["ERR value is not an integer", "ERR increment or decrement would overflow"]

    private static let kinds: [String: ServerError] = [
        "MOVED": .moved, "ASK": .moved, "READONLY": .readOnly, "OOM": .outOfMemory, "BUSY": .busy,
        "LOADING": .loading, "NOAUTH": .notAuthorized, "WRONGPASS": .notAuthorized, "NOPERM": .notAuthorized,
        "WRONGTYPE": .wrongType, "MISCONF": .misconfigured, "NOREPLICAS": .noReplicas, "MASTERDOWN": .down,
        "CLUSTERDOWN": .down, "TRYAGAIN": .tryAgain, "NOSCRIPT": .noScript,
    ]
}

/// What a connection is doing.
public enum RedisState: Equatable, Sendable {
    /// Closed by its owner, or not yet connected.
    case closed
    /// On its way: name, TCP, and a first round trip, which a stopped server would not answer.
    case connecting
    /// Commands are sent.
    case ready
    /// Broken; it tries again after a pause.
    case waiting(RedisFailure)
}
