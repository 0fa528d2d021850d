// From a model's name to its profile. Names come from clients in endless variety, so the table has exact names first and
// then prefixes, in tiktoken's order, and never fails: what it does not know it marks as an estimate.

/// The names that are known.
public enum ModelTable {
    /// Finds a model's profile.
    ///
    /// A fine-tuned model is its base: `ft:` and what follows the next `:` are dropped first. (tiktoken looks for
    /// prefixes of the whole name, and so takes `ft:gpt-4.1-…` for GPT-4.) So is a path in front: `openai/gpt-4o`.
    ///
    /// - Parameter name: as the client or the route spells it, any bytes.
    /// - Returns: a profile; its `basis` says what it is worth.
    public static func profile(_ name: Span<UInt8>) -> ModelProfile {
        var start = 0
        var end = name.count
        if TextBytes.begin(name, with: "ft:") {
            start = 3
            end = start
            while end < name.count, name[end] != UInt8(ascii: ":") { end += 1 }
        }
        for index in start..<end where name[index] == UInt8(ascii: "/") { start = index + 1 }
        return base(name.extracting(start..<end))
    }

    private static func base(_ name: Span<UInt8>) -> ModelProfile {
        for row in exact where TextBytes.areEqual(name, row.name) { return openAI(row.encoding, .known, name) }
        for row in prefixes where TextBytes.begin(name, with: row.name) { return openAI(row.encoding, .known, name) }
        for row in assumed where TextBytes.begin(name, with: row) { return openAI(.o200kBase, .assumed, name) }
        for row in families where TextBytes.begin(name, with: row.name) {
            return ModelProfile(.o200kBase, .estimated, factorPermille: row.permille, pictures: row.pictures)
        }
        return ModelProfile(.o200kBase, .estimated, factorPermille: otherPermille)
    }

    private static func openAI(
        _ encoding: EncodingName,
        _ basis: ModelProfile.Basis,
        _ name: Span<UInt8>
    ) -> ModelProfile {
        let isFirstChat = TextBytes.areEqual(name, "gpt-3.5-turbo-0301")
        var profile = ModelProfile(encoding, basis, framing: isFirstChat ? .march2023 : .current)
        for row in PictureRule.table where TextBytes.begin(name, with: row.prefix) {
            profile.pictures = row.rule
            break
        }
        return profile
    }

    /// tiktoken 0.14.0, `model.py`, MODEL_TO_ENCODING.
    private static let exact: [(name: StaticString, encoding: EncodingName)] = [
        ("o1", .o200kBase), ("o3", .o200kBase), ("o4-mini", .o200kBase), ("gpt-5", .o200kBase),
        ("gpt-4.1", .o200kBase), ("gpt-4o", .o200kBase),
        ("gpt-4", .cl100kBase), ("gpt-3.5-turbo", .cl100kBase), ("gpt-3.5", .cl100kBase),
        ("gpt-35-turbo", .cl100kBase), ("davinci-002", .cl100kBase), ("babbage-002", .cl100kBase),
        ("text-embedding-ada-002", .cl100kBase), ("text-embedding-3-small", .cl100kBase),
        ("text-embedding-3-large", .cl100kBase),
        ("text-davinci-003", .p50kBase), ("text-davinci-002", .p50kBase), ("code-davinci-002", .p50kBase),
        ("code-davinci-001", .p50kBase), ("code-cushman-002", .p50kBase), ("code-cushman-001", .p50kBase),
        ("davinci-codex", .p50kBase), ("cushman-codex", .p50kBase),
        ("text-davinci-edit-001", .p50kBase), ("code-davinci-edit-001", .p50kBase),
        ("text-davinci-001", .r50kBase), ("text-curie-001", .r50kBase), ("text-babbage-001", .r50kBase),
        ("text-ada-001", .r50kBase), ("davinci", .r50kBase), ("curie", .r50kBase), ("babbage", .r50kBase),
        ("ada", .r50kBase),
    ]

    /// tiktoken 0.14.0, `model.py`, MODEL_PREFIX_TO_ENCODING without the `ft:` rows, and the old search models, of
    /// which it lists each.
    private static let prefixes: [(name: StaticString, encoding: EncodingName)] = [
        ("o1-", .o200kBase), ("o3-", .o200kBase), ("o4-mini-", .o200kBase), ("gpt-5", .o200kBase),
        ("gpt-4.5-", .o200kBase), ("gpt-4.1-", .o200kBase), ("chatgpt-4o-", .o200kBase), ("gpt-4o-", .o200kBase),
        ("gpt-oss-", .o200kBase),
        ("gpt-4-", .cl100kBase), ("gpt-3.5-turbo-", .cl100kBase), ("gpt-35-turbo-", .cl100kBase),
        ("text-similarity-", .r50kBase), ("text-search-", .r50kBase), ("code-search-", .r50kBase),
    ]

    /// OpenAI's manner of naming: the newest vocabulary is the likeliest.
    private static let assumed: [StaticString] = [
        "gpt-", "chatgpt-", "chat-latest", "o1", "o3", "o4", "o5", "computer-use-", "codex-",
    ]

    /// Tokens for each 1,000 of o200k_base, the cautious end of what is known: a reservation is settled down later.
    ///
    /// - Source: Claude up to Opus 4.6: a test of Claude 3.5 Sonnet against GPT-4o that the press repeated in 2025 (1.16
    ///   prose, 1.30 code); from Opus 4.7 on 30 % more by Anthropic's token counting page. Gemini: Google's token page,
    ///   4 characters a token. DeepSeek V3: measured with its tokenizer (1.04 prose, 1.07 code). Llama 3: judgement. All
    ///   read 2026-11; a factor learned from usage replaces them.
    private static let families: [(name: StaticString, permille: Int, pictures: PictureRule)] = [
        ("claude-1", 1_250, .area), ("claude-2", 1_250, .area), ("claude-3", 1_250, .area),
        ("claude-instant", 1_250, .area), ("claude-sonnet-4", 1_250, .area), ("claude-haiku-4", 1_250, .area),
        ("claude-opus-4-0", 1_250, .area), ("claude-opus-4-1", 1_250, .area), ("claude-opus-4-2", 1_250, .area),
        ("claude-opus-4-5", 1_250, .area), ("claude-opus-4-6", 1_250, .area), ("claude-", 1_600, .area),
        ("gemini", 1_100, .unknown), ("gemma", 1_100, .unknown), ("llama", 1_050, .unknown),
        ("Llama", 1_050, .unknown), ("Meta-Llama", 1_050, .unknown), ("meta-llama", 1_050, .unknown),
        ("deepseek", 1_070, .unknown), ("DeepSeek", 1_070, .unknown),
    ]

    /// Mistral, Cohere, Grok and all others: a margin, since no figure is published.
    private static let otherPermille = 1_150
}
