// What counting a request came to.

/// The tokens of a prompt.
public struct PromptCount: Sendable, Equatable {
    /// Tokens; over the limit, when one was given and passed, some number that is over it.
    public let tokens: Int
    /// Whether the provider will very likely bill exactly this: published formulas, text only, a known vocabulary.
    ///
    /// Tools, pictures, response schemas and other providers' models make it an estimate.
    public let isExact: Bool
    /// Whether counting ended early because the limit was passed.
    public let isOverLimit: Bool
}
