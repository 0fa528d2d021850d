// The shapes in which answers tell their usage.

/// The shape of a provider's answers.
public enum WireFormat: UInt8, Sendable, CaseIterable {
    /// Chat completions; legacy completions and embeddings tell their usage in the same words.
    case openAIChat = 0
    /// Responses.
    case openAIResponses = 1
    /// Messages.
    case anthropic = 2
    /// `generateContent` and `streamGenerateContent`.
    case gemini = 3
}

extension Endpoint {
    /// The shape of this call's answers.
    public var format: WireFormat {
        switch self {
        case .chatCompletions, .completions, .embeddings: .openAIChat
        case .responses: .openAIResponses
        case .messages: .anthropic
        }
    }
}
