// How a transfer ended, and what a caller needs to know to answer for it or to try again.

/// The end of a transfer.
public enum TransferOutcome: Equatable, Sendable {
    /// The whole answer arrived, as its framing promised.
    case complete
    /// It did not; whatever was delivered is a part of an answer.
    case failed(TransferFailure)
}

/// Why a transfer failed.
public struct TransferFailure: Error, Equatable, Sendable {
    /// The kind of failure.
    public enum Reason: Equatable, Sendable {
        /// The request is not one we send: a control byte in a line, a header that frames the message, a bad URL.
        case invalidRequest
        /// The client's bound on transfers is reached.
        case tooManyTransfers
        /// The address is link-local or a metadata service, or private where that is not allowed.
        case addressRefused
        /// The name has no address.
        case dns
        /// No connection: refused, unreachable.
        case connect
        /// No connection in time.
        case connectTimeout
        /// The handshake failed or the peer is not who it should be; nothing of the request was sent.
        case tls
        /// The answer's head was not there in time.
        case firstByteTimeout
        /// The answer fell silent.
        case idleTimeout
        /// The whole took too long.
        case totalTimeout
        /// The connection broke.
        case reset
        /// The answer ended before its framing said so.
        case truncated
        /// The answer's framing is not HTTP, or can be read in two ways.
        case badFraming
        /// The head is larger than the bound.
        case headersTooLarge
        /// The client was shut down.
        case shutDown
        /// Anything else, by libcurl's code.
        case other(code: Int32)
    }

    /// The kind of failure.
    public let reason: Reason
    /// Whether a part of the request may have reached the upstream.
    public let sentRequest: Bool
    /// Whether anything of an answer came back.
    public let receivedBytes: Bool
    /// libcurl's words, for the log only.
    public let detail: String

    /// Makes a failure.
    public init(reason: Reason, sentRequest: Bool, receivedBytes: Bool, detail: String = "") {
        self.reason = reason
        self.sentRequest = sentRequest
        self.receivedBytes = receivedBytes
        self.detail = detail
    }
}
