// The API calls that Weir understands, and in whose words it answers them.

/// Whose error bodies and headers a client expects.
public enum Dialect: UInt8, Sendable {
    /// `{"error": {"message", "type", "param", "code"}}`
    case openAI = 0
    /// `{"type": "error", "error": {"type", "message"}, "request_id"}`
    case anthropic = 1
}

/// A metered API call.
public enum Endpoint: UInt8, Sendable, CaseIterable {
    /// `POST /v1/chat/completions`
    case chatCompletions = 0
    /// `POST /v1/completions`
    case completions = 1
    /// `POST /v1/embeddings`
    case embeddings = 2
    /// `POST /v1/responses`
    case responses = 3
    /// `POST /v1/messages`
    case messages = 4

    /// The request path, exactly as clients send it.
    public var path: StaticString {
        switch self {
        case .chatCompletions: "/v1/chat/completions"
        case .completions: "/v1/completions"
        case .embeddings: "/v1/embeddings"
        case .responses: "/v1/responses"
        case .messages: "/v1/messages"
        }
    }

    /// In whose words errors are told.
    public var dialect: Dialect { self == .messages ? .anthropic : .openAI }
}
