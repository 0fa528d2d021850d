// All that policies may know of a request: put together once by the gateway after the scan, then lent to each rule.

public import LLMWire

/// A request's header fields, looked up by name.
///
/// Bound to a class so that a request carries one reference and lookups copy nothing but the value.
public protocol RequestHeaders: AnyObject, Sendable {
    /// The value of a field, the first if it is repeated; nil when the request does not have it.
    ///
    /// - Parameter name: in lower case.
    /// - Returns: the bytes after the colon, without surrounding white space.
    func value(of name: [UInt8]) -> [UInt8]?

    /// Shows every field in the order received: its name in lower case, and its value.
    func visit(_ show: (_ name: [UInt8], _ value: [UInt8]) -> Void)
}

/// A request as policies see it; confined to its event loop, since it remembers what was counted of its prompt.
public struct PolicyRequest {
    /// The API call.
    public let endpoint: Endpoint
    /// The model that the client named, unescaped, in UTF-8.
    public let model: [UInt8]
    /// The names of the models that it may be routed to, in UTF-8.
    public let upstreamModels: [[UInt8]]
    /// The body's bytes as received.
    public let bodyBytes: Int
    /// What the scan found in the body.
    public let parsed: ParsedRequest
    /// The body, for what the scan gives as slices.
    public let body: [UInt8]
    /// The prompt's tokens, counted when a rule asks.
    public let prompt: PromptTokens
    /// Tokens that an answer of the model can have at most; nil when nobody said.
    public let maxOutputTokens: Int64?
    /// Whose request it is.
    public let app: PolicyApp
    /// The key that it came with.
    public let key: PolicyKey
    /// The name of the provider that it will go to, in UTF-8.
    public let provider: [UInt8]
    /// When it came, in milliseconds since the Unix epoch.
    public let nowMilliseconds: Int64
    /// The request's header fields.
    public let headers: any RequestHeaders

    /// The request's path, exactly as clients send it.
    public var path: StaticString { endpoint.path }

    /// Makes a request.
    public init(
        endpoint: Endpoint,
        model: [UInt8],
        upstreamModels: [[UInt8]],
        bodyBytes: Int,
        parsed: ParsedRequest,
        body: [UInt8],
        prompt: PromptTokens,
        maxOutputTokens: Int64?,
        app: PolicyApp,
        key: PolicyKey,
        provider: [UInt8],
        nowMilliseconds: Int64,
        headers: any RequestHeaders
    ) {
        self.endpoint = endpoint
        self.model = model
        self.upstreamModels = upstreamModels
        self.bodyBytes = bodyBytes
        self.parsed = parsed
        self.body = body
        self.prompt = prompt
        self.maxOutputTokens = maxOutputTokens
        self.app = app
        self.key = key
        self.provider = provider
        self.nowMilliseconds = nowMilliseconds
        self.headers = headers
    }
}
