// What a chat costs beyond its text, as numbers with names and sources. Where a provider publishes none, they are what
// others found by asking the API; docs/decisions/0010 says which are how sure.

/// Tokens around messages and names.
struct ChatFraming: Sendable, Equatable {
    /// Around each message.
    let messageOverheadTokens: Int
    /// Beside a `name`; negative where the name takes the role's place.
    let nameOverheadTokens: Int
    /// Once a prompt: the opening of the answer.
    let arrayOverheadTokens = 3

    /// gpt-3.5-turbo-0301: every message follows `<|im_start|>{role/name}\n{content}<|im_end|>\n`.
    ///
    /// - Source: OpenAI Cookbook, "How to count tokens with tiktoken", section 6.
    static let march2023 = ChatFraming(messageOverheadTokens: 4, nameOverheadTokens: -1)
    /// All models since.
    ///
    /// - Source: as above.
    static let current = ChatFraming(messageOverheadTokens: 3, nameOverheadTokens: 1)
}

/// Tokens of functions, tools and calls.
///
/// - Source: found by others against the API: hmarr/openai-chat-tokens for functions, forestwanglin/openai-java for
///   tool calls and tool messages; pinned by Tests/Fixtures/tokens/chat.jsonl.
enum ToolFraming {
    /// Once, if any function or tool is offered.
    static let definitionsTokens = 9
    /// Less, if there is a system message to put them into.
    static let systemMessageSavingTokens = 4
    /// `tool_choice: "none"`.
    static let noneChoiceTokens = 1
    /// A function that must be called, beside its name.
    static let namedChoiceTokens = 4
    /// A message of role `function`, less.
    static let functionMessageSavingTokens = 2
    /// An assistant's `function_call`, beside name and arguments.
    static let functionCallTokens = 3
    /// Each of an assistant's `tool_calls`, beside type, name twice and arguments.
    static let toolCallTokens = 3
    /// A single call, less.
    static let singleCallSavingTokens = 2
    /// A tool message, in place of the message overhead.
    static let toolMessageTokens = 2

    /// What `count` calls of one message add, beside each.
    static func callsTokens(_ count: Int) -> Int {
        switch count {
        case 0: 0
        case 1: -singleCallSavingTokens
        default: 15 - (5 * count - 6)
        }
    }

    /// What `count` tool messages add once; of those that hold a JSON object, each but the first takes 1 off.
    static func toolMessagesTokens(_ count: Int) -> Int { count > 1 ? 2 * count + 1 : 0 }
}

/// Tokens that Anthropic adds, before its factor.
enum AnthropicFraming {
    /// Around each message; judgement, as for chats.
    static let messageOverheadTokens = 3
    /// The system prompt that offering tools puts in.
    ///
    /// - Source: Anthropic's page "Tool use", pricing: 346 for the models of 2025 with `auto`; read 2026-11-24. Newer
    ///   models' figures are higher by what their factor allows for.
    static let toolsTokens = 346
}
