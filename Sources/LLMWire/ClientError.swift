// Every refusal and every trouble, in the words of the API that was called, so that an SDK raises the right exception
// and nothing of ours shows. The texts are fixed: no value of a request can slip into an answer.

/// An answer that Weir gives itself.
///
/// Types and codes are chosen for three readers: the SDKs go by the status; litellm goes by the text first, and takes
/// `invalid_request_error` for a 400 whatever the status (WIRE §6), so that it stands in real 400s only.
public struct ClientError: Sendable, Equatable {
    /// The HTTP status.
    public let status: Int
    /// OpenAI's `error.type`.
    public let type: StaticString
    /// Anthropic's `error.type`.
    public let anthropicType: StaticString
    /// OpenAI's `error.code`, null when nil.
    public let code: StaticString?
    /// What the client is told.
    public let message: StaticString
    /// What it is told instead, in UTF-8: an admin's words, from a policy.
    ///
    /// Never a value of the request.
    private var policyMessage: [UInt8]?

    /// Makes an answer.
    ///
    /// - Parameters:
    ///   - status: the HTTP status.
    ///   - type: OpenAI's `error.type`.
    ///   - anthropicType: Anthropic's `error.type`.
    ///   - code: OpenAI's `error.code`.
    ///   - message: what the client is told.
    public init(
        status: Int,
        type: StaticString,
        anthropicType: StaticString,
        code: StaticString?,
        message: StaticString
    ) {
        self.status = status
        self.type = type
        self.anthropicType = anthropicType
        self.code = code
        self.message = message
    }

    /// The same answer in an admin's words.
    ///
    /// - Parameter text: UTF-8 without control characters.
    /// - Returns: the answer; status and codes stay, since programs read those.
    public func saying(_ text: [UInt8]) -> ClientError {
        var answer = self
        answer.policyMessage = text
        return answer
    }

    private func appendMessage(to output: inout [UInt8]) {
        guard let policyMessage else { return append(message, to: &output) }
        appendEscaped(policyMessage, to: &output)
    }

    /// Compares what a client can see.
    public static func == (left: ClientError, right: ClientError) -> Bool {
        left.status == right.status
            && left.body(.openAI, requestID: []) == right.body(.openAI, requestID: [])
            && left.body(.anthropic, requestID: []) == right.body(.anthropic, requestID: [])
    }

    // MARK: Refusals

    /// The key is missing, malformed, unknown, revoked or expired: one answer for all, so that none can be told apart.
    public static let unauthorized = ClientError(
        status: 401,
        type: "authentication_error",
        anthropicType: "authentication_error",
        code: "invalid_api_key",
        message: "Incorrect API key provided. Check the key, or ask your administrator for one."
    )
    /// A policy does not let this application do this.
    public static let permission = ClientError(
        status: 403,
        type: "permission_error",
        anthropicType: "permission_error",
        code: "permission_denied",
        message: "request not allowed"
    )
    /// A policy does not let this application use this model.
    public static let modelNotAllowed = ClientError(
        status: 403,
        type: "permission_error",
        anthropicType: "permission_error",
        code: "model_not_allowed",
        message: "model not allowed"
    )
    /// No such model is configured.
    public static let modelNotFound = ClientError(
        status: 404,
        type: "not_found_error",
        anthropicType: "not_found_error",
        code: "model_not_found",
        message: "The model does not exist or you do not have access to it."
    )
    /// The body is over the application's bound.
    public static let tooLarge = ClientError(
        status: 413,
        type: "request_too_large",
        anthropicType: "request_too_large",
        code: "request_too_large",
        message: "request too large"
    )
    /// The prompt has more tokens than a policy allows for one request; goes with `x-should-retry: false`.
    public static let promptTooLong = ClientError(
        status: 429,
        type: "tokens",
        anthropicType: "rate_limit_error",
        code: "token_limit_exceeded",
        message: "token limit exceeded: the prompt is too long"
    )
    /// The request asks for more output than a policy allows for one request; goes with `x-should-retry: false`.
    public static let outputCapTooHigh = ClientError(
        status: 429,
        type: "tokens",
        anthropicType: "rate_limit_error",
        code: "token_limit_exceeded",
        message: "token limit exceeded: the output cap is too high"
    )
    /// Too many requests in a window.
    public static let rateLimited = ClientError(
        status: 429,
        type: "requests",
        anthropicType: "rate_limit_error",
        code: "rate_limit_exceeded",
        message: "rate limit exceeded"
    )
    /// Too many tokens in a window.
    public static let tokensLimited = ClientError(
        status: 429,
        type: "tokens",
        anthropicType: "rate_limit_error",
        code: "rate_limit_exceeded",
        message: "token limit exceeded"
    )
    /// Too many requests in flight.
    public static let concurrencyLimited = ClientError(
        status: 429,
        type: "requests",
        anthropicType: "rate_limit_error",
        code: "rate_limit_exceeded",
        message: "too many concurrent requests"
    )
    /// A budget that waiting soon will not mend; goes with `x-should-retry: false`.
    public static let quota = ClientError(
        status: 429,
        type: "insufficient_quota",
        anthropicType: "rate_limit_error",
        code: "insufficient_quota",
        message: "quota exceeded"
    )

    // MARK: Faults of the request

    /// A request that cannot be understood.
    ///
    /// - Parameter message: what the client is told.
    /// - Returns: a 400.
    public static func badRequest(_ message: StaticString) -> ClientError {
        ClientError(
            status: 400,
            type: "invalid_request_error",
            anthropicType: "invalid_request_error",
            code: nil,
            message: message
        )
    }

    /// A body that the scanner refused.
    ///
    /// - Parameter error: the scanner's reason.
    /// - Returns: a 400, or a 413 for a body that is too large to be scanned.
    public static func badRequest(_ error: ScanError) -> ClientError {
        error.reason == .tooLarge ? tooLarge : badRequest(error.clientMessage)
    }

    /// A Responses request that reads or leaves state at the provider, where all apps share one account.
    public static let storedResponses = badRequest(
        "background, previous_response_id and conversation are not supported by this gateway."
    )

    /// HTTP that cannot be read, or can be read in two ways; the connection closes.
    public static let malformed = badRequest("The request is not valid HTTP.")

    /// No such path.
    public static let notFound = ClientError(
        status: 404,
        type: "not_found_error",
        anthropicType: "not_found_error",
        code: "unknown_url",
        message: "Unknown request URL. Check the URL and the method."
    )
    /// The path has other methods.
    public static let methodNotAllowed = ClientError(
        status: 405,
        type: "method_not_allowed",
        anthropicType: "not_found_error",
        code: "method_not_supported",
        message: "The method is not supported for this URL."
    )
    /// The client did not send its request in time.
    public static let requestTimeout = ClientError(
        status: 408,
        type: "timeout_error",
        anthropicType: "timeout_error",
        code: "request_timeout",
        message: "The request did not arrive in time."
    )
    /// The request's head is too large.
    public static let headersTooLarge = ClientError(
        status: 431,
        type: "request_too_large",
        anthropicType: "request_too_large",
        code: "headers_too_large",
        message: "The headers of the request are too large."
    )
    /// A body that is not JSON, or is compressed.
    public static let unsupportedMedia = ClientError(
        status: 415,
        type: "unsupported_media_type",
        anthropicType: "api_error",
        code: "unsupported_media_type",
        message: "The body must be JSON (application/json) without content encoding."
    )

    // MARK: Trouble

    /// A fault of ours.
    public static let `internal` = ClientError(
        status: 500,
        type: "server_error",
        anthropicType: "api_error",
        code: "internal_error",
        message: "The gateway had an error while processing your request."
    )
    /// The provider answered in a way that cannot be passed on, or refused the gateway's own key.
    public static let badGateway = ClientError(
        status: 502,
        type: "server_error",
        anthropicType: "api_error",
        code: "upstream_error",
        message: "The model provider gave no usable answer."
    )
    /// Something that the request depends on is out.
    public static let unavailable = ClientError(
        status: 503,
        type: "server_error",
        anthropicType: "api_error",
        code: "service_unavailable",
        message: "The service is not available at the moment. Try again later."
    )
    /// The provider did not answer in time.
    public static let timeout = ClientError(
        status: 504,
        type: "timeout_error",
        anthropicType: "timeout_error",
        code: "upstream_timeout",
        message: "The model provider did not answer in time."
    )
    /// The provider broke off in the middle of a stream; sent inside the stream.
    public static let interrupted = ClientError(
        status: 502,
        type: "server_error",
        anthropicType: "api_error",
        code: "upstream_interrupted",
        message: "The model provider ended the answer before it was complete."
    )

    /// All answers with a text of their own, for tests and documentation.
    public static let all: [ClientError] = [
        unauthorized, permission, modelNotAllowed, modelNotFound, tooLarge, promptTooLong, outputCapTooHigh,
        rateLimited, tokensLimited, concurrencyLimited, quota, notFound, methodNotAllowed, requestTimeout,
        headersTooLarge, unsupportedMedia, `internal`, badGateway, unavailable, timeout, interrupted,
    ]

    // MARK: Bodies

    /// The JSON body.
    ///
    /// - Parameters:
    ///   - dialect: in whose words.
    ///   - requestID: the request's id; Anthropic's clients look for it in the body, OpenAI's in a header.
    /// - Returns: the bytes, with the content type `application/json`.
    public func body(_ dialect: Dialect, requestID: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(256)
        switch dialect {
        case .openAI:
            appendOpenAI(to: &output)
        case .anthropic:
            append("{\"type\":\"error\",\"error\":{\"type\":\"", to: &output)
            append(anthropicType, to: &output)
            append("\",\"message\":\"", to: &output)
            appendMessage(to: &output)
            append("\"", to: &output)
            if let code {
                append(",\"details\":{\"error_code\":\"", to: &output)
                append(code, to: &output)
                append("\"}", to: &output)
            }
            append("},\"request_id\":\"", to: &output)
            appendEscaped(requestID, to: &output)
            append("\"}", to: &output)
        }
        return output
    }

    /// An error event for a stream that has begun, after which the connection closes without an end mark.
    ///
    /// The stream must be between two events (`UsageTap.isAtEventBoundary`); if it is not, send a blank line first.
    ///
    /// - Parameters:
    ///   - endpoint: the call.
    ///   - requestID: the request's id.
    ///   - sequenceNumber: for Responses, one more than the last that passed (`UsageTap.lastSequenceNumber`).
    /// - Returns: the bytes of one event.
    public func eventStreamError(endpoint: Endpoint, requestID: [UInt8], sequenceNumber: Int = 0) -> [UInt8] {
        var output: [UInt8] = []
        switch endpoint {
        case .chatCompletions, .completions, .embeddings:
            append("data: ", to: &output)
            appendOpenAI(to: &output)
        case .messages:
            append("event: error\ndata: ", to: &output)
            output.append(contentsOf: body(.anthropic, requestID: requestID))
        case .responses:
            append("event: error\ndata: {\"type\":\"error\",\"code\":\"", to: &output)
            append(code ?? type, to: &output)
            append("\",\"message\":\"", to: &output)
            appendMessage(to: &output)
            append("\",\"param\":null,\"sequence_number\":", to: &output)
            output.append(contentsOf: String(max(sequenceNumber, 0)).utf8)
            append("}", to: &output)
        }
        append("\n\n", to: &output)
        return output
    }

    private func appendOpenAI(to output: inout [UInt8]) {
        append("{\"error\":{\"message\":\"", to: &output)
        appendMessage(to: &output)
        append("\",\"type\":\"", to: &output)
        append(type, to: &output)
        append("\",\"param\":null,\"code\":", to: &output)
        if let code {
            append("\"", to: &output)
            append(code, to: &output)
            append("\"", to: &output)
        } else {
            append("null", to: &output)
        }
        append("}}", to: &output)
    }
}
