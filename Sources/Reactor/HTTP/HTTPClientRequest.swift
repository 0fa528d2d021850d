// What one request to an upstream says, and the bounds that all of them share.

/// How a client shows who it is over TLS.
public struct ClientIdentity: Sendable, Equatable {
    /// A PEM file of the client's certificate, and of those between it and one that the server trusts.
    public var certificateFile: String
    /// A PEM file of its private key, without a passphrase.
    public var keyFile: String

    /// Makes an identity of two files, which are read with each connection.
    public init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// One request to an upstream, complete with its body and its deadlines.
public struct HTTPClientRequest: Sendable {
    /// The request's method.
    public enum Method: String, Sendable {
        /// GET, never with a body.
        case get = "GET"
        /// HEAD, never with a body.
        case head = "HEAD"
        /// POST
        case post = "POST"
        /// PUT
        case put = "PUT"
        /// PATCH
        case patch = "PATCH"
        /// DELETE
        case delete = "DELETE"
    }

    /// The method; `get` and `head` ignore ``body``.
    public var method: Method
    /// An absolute `http` or `https` URL without user information, its path already escaped.
    public var url: String
    /// Lines `Name: value`, sent in this order and as they are; nothing is added but `Host` and `Content-Length`.
    ///
    /// A line with CR, LF or NUL, or one that frames the message itself, fails the transfer as `invalidRequest`.
    public var headers: [String]
    /// The whole body, copied once when the transfer begins.
    public var body: [UInt8]
    /// From the start to a connection that can take the request: name, TCP and TLS; at most 300 s.
    public var connectTimeout: Duration
    /// From the moment the request begins to leave to the end of the answer's final head.
    public var firstByteTimeout: Duration
    /// The upstream's longest silence inside the body; time in which it is held back does not count.
    public var idleTimeout: Duration
    /// From the start to the end of the answer, pauses included.
    public var totalTimeout: Duration?
    /// Whether HTTP/2 is offered (over TLS by ALPN).
    public var http2: Bool
    /// A PEM file of the authorities to trust in place of the system's.
    public var caFile: String?
    /// Who the client is, for servers that ask; nil for nobody.
    public var clientIdentity: ClientIdentity?
    /// Whether loopback and private addresses may be dialled, where the client's bounds allow them at all.
    ///
    /// A connection that is there is not judged again: requests that differ in this have different ``isolation``.
    public var allowsPrivateAddresses: Bool
    /// Connections are shared only by requests with the same value, such as provider and credential.
    public var isolation: [UInt8]

    /// Makes a request; the deadlines' defaults suit a model that thinks before it answers.
    public init(
        method: Method,
        url: String,
        headers: [String] = [],
        body: [UInt8] = [],
        connectTimeout: Duration = .seconds(3),
        firstByteTimeout: Duration = .seconds(120),
        idleTimeout: Duration = .seconds(60),
        totalTimeout: Duration? = nil,
        http2: Bool = false,
        caFile: String? = nil,
        clientIdentity: ClientIdentity? = nil,
        allowsPrivateAddresses: Bool = true,
        isolation: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.connectTimeout = connectTimeout
        self.firstByteTimeout = firstByteTimeout
        self.idleTimeout = idleTimeout
        self.totalTimeout = totalTimeout
        self.http2 = http2
        self.caFile = caFile
        self.clientIdentity = clientIdentity
        self.allowsPrivateAddresses = allowsPrivateAddresses
        self.isolation = isolation
    }
}

/// Bounds of one ``HTTPClient``.
public struct HTTPClientLimits: Sendable {
    /// Transfers in flight or queued; the next one fails as `tooManyTransfers`.
    public var maxTransfers: Int
    /// Idle connections kept per isolation value.
    public var maxIdleConnections: Int
    /// Bytes of all heads and trailers of one answer; more fails the transfer as `headersTooLarge`.
    public var maxHeaderBytes: Int
    /// Isolation values whose connections are kept; beyond it the longest unused ones are closed.
    public var maxIsolations: Int
    /// Whether loopback and private addresses may be dialled: self-hosted models live there.
    ///
    /// Link-local and metadata addresses never are.
    public var allowsPrivateAddresses: Bool

    /// Makes bounds; the defaults are those of one gateway worker.
    public init(
        maxTransfers: Int = 16_384,
        maxIdleConnections: Int = 256,
        maxHeaderBytes: Int = 64 << 10,
        maxIsolations: Int = 256,
        allowsPrivateAddresses: Bool = true
    ) {
        self.maxTransfers = maxTransfers
        self.maxIdleConnections = maxIdleConnections
        self.maxHeaderBytes = maxHeaderBytes
        self.maxIsolations = maxIsolations
        self.allowsPrivateAddresses = allowsPrivateAddresses
    }
}
