// Token counts in one meaning for every provider, so that nobody downstream adds OpenAI's cached tokens twice or leaves
// Anthropic's out.

/// What a call cost in tokens, as the provider told it.
///
/// A count that is not known is nil, and has to be estimated.
public struct TokenUsage: Sendable, Equatable {
    /// All input, cached and written tokens included.
    public var prompt: Int?
    /// All output, reasoning included.
    public var completion: Int?
    /// The sum, when both are known.
    public var total: Int?
    /// The part of `prompt` that was read from a cache.
    public var cached: Int?
    /// The part of `prompt` that was written to a cache.
    public var cacheWrite: Int?
    /// The part of `completion` that was reasoning.
    public var reasoning: Int?

    /// Makes a usage.
    ///
    /// - Parameters:
    ///   - prompt: all input.
    ///   - completion: all output.
    ///   - total: the sum.
    ///   - cached: input read from a cache.
    ///   - cacheWrite: input written to a cache.
    ///   - reasoning: output that was reasoning.
    public init(
        prompt: Int? = nil,
        completion: Int? = nil,
        total: Int? = nil,
        cached: Int? = nil,
        cacheWrite: Int? = nil,
        reasoning: Int? = nil
    ) {
        self.prompt = prompt
        self.completion = completion
        self.total = total
        self.cached = cached
        self.cacheWrite = cacheWrite
        self.reasoning = reasoning
    }
}

/// The counts of a usage object, before they are brought to one meaning.
struct RawUsage: Equatable {
    /// One member of a usage object.
    enum Count: Equatable {
        /// Absent or null.
        case unset
        case value(Int)
        /// Not a whole number of 0 or more: a count that must not be believed, least of all as a credit.
        case unusable

        /// Details that are absent are 0; those that are nonsense as well, since they only divide another count.
        var orZero: Int { if case .value(let value) = self { value } else { 0 } }
    }

    var input = Count.unset
    var output = Count.unset
    var total = Count.unset
    var cached = Count.unset
    var cacheWrite = Count.unset
    var reasoning = Count.unset
    /// Gemini: input of tools, beside `input`.
    var toolInput = Count.unset

    /// Takes what a later object tells, and keeps the rest (Anthropic's `message_delta`).
    mutating func merge(_ later: RawUsage) {
        if later.input != .unset { input = later.input }
        if later.output != .unset { output = later.output }
        if later.total != .unset { total = later.total }
        if later.cached != .unset { cached = later.cached }
        if later.cacheWrite != .unset { cacheWrite = later.cacheWrite }
        if later.reasoning != .unset { reasoning = later.reasoning }
        if later.toolInput != .unset { toolInput = later.toolInput }
    }

    /// The counts in one meaning (WIRE §1, "Normalised token counts"), or nil when nothing can be known.
    func normalised(_ format: WireFormat) -> TokenUsage? {
        var prompt = input
        var completion = output
        switch format {
        case .anthropic:
            // Input excludes what the cache took part in.
            prompt = Self.sum(prompt, cached, cacheWrite)
        case .gemini:
            prompt = Self.sum(prompt, toolInput, .unset)
            // Thinking stands beside the output, and comes before any.
            if completion == .unset, reasoning != .unset { completion = .value(0) }
            completion = Self.sum(completion, reasoning, .unset)
        case .openAIChat, .openAIResponses:
            break
        }
        if case .value(let total) = total {
            switch (prompt, completion) {
            case (.value(let told), .unset) where total >= told: completion = .value(total - told)
            case (.unset, .value(let told)) where total >= told: prompt = .value(total - told)
            case (.value(let told), .value(let output)) where total - told > output && format != .anthropic:
                completion = .value(total - told)  // the gap is thinking that was not reported, and is billed
            default: break
            }
        }
        return Self.usage(prompt, completion, cached: cached, written: cacheWrite, reasoning: reasoning)
    }

    private static func usage(
        _ prompt: Count,
        _ completion: Count,
        cached: Count,
        written: Count,
        reasoning: Count
    ) -> TokenUsage? {
        var usage = TokenUsage()
        if case .value(let value) = prompt {
            usage.prompt = value
            // Parts cannot be larger than the whole: priced apart, they would turn the rest into a credit.
            let read = min(cached.orZero, value)
            usage.cached = read
            usage.cacheWrite = min(written.orZero, value - read)
        }
        if case .value(let value) = completion {
            usage.completion = value
            usage.reasoning = min(reasoning.orZero, value)
        }
        if let input = usage.prompt, let output = usage.completion { usage.total = input + output }
        guard usage.prompt != nil || usage.completion != nil else { return nil }
        usage.cached = usage.cached ?? 0
        usage.cacheWrite = usage.cacheWrite ?? 0
        usage.reasoning = usage.reasoning ?? 0
        return usage
    }

    /// A sum whose first part must be known; nonsense in any part makes it nonsense.
    private static func sum(_ first: Count, _ second: Count, _ third: Count) -> Count {
        guard case .value(let value) = first else { return first }
        guard second != .unusable, third != .unusable else { return .unusable }
        return .value(value + second.orZero + third.orZero)
    }
}

extension JSONReader {
    private mutating func usageCount(_ bytes: Span<UInt8>) throws(ScanError) -> RawUsage.Count {
        switch try count(bytes) {
        case .none: .unset
        case .some(.value(let value)): .value(value)
        case .some(.unusable): .unusable
        }
    }

    /// Consumes the value of a `usage` or `usageMetadata` member.
    ///
    /// - Returns: nil for null; every count unusable for what is no object.
    mutating func usage(_ bytes: Span<UInt8>) throws(ScanError) -> RawUsage? {
        var usage = RawUsage()
        let byte = peek(bytes)
        guard byte == UInt8(ascii: "{") else {
            try skip(bytes)
            usage.input = .unusable
            usage.output = .unusable
            return byte == UInt8(ascii: "n") ? nil : usage
        }
        try enterContainer()
        var isFirst = true
        while let key = try nextKey(bytes, isFirst: &isFirst) {
            func has(_ name: StaticString) -> Bool { key.equals(name, in: bytes) }
            switch key.decodedCount {
            case 12 where has("input_tokens"), 13 where has("prompt_tokens"), 16 where has("promptTokenCount"):
                usage.input = try usageCount(bytes)
            case 13 where has("output_tokens"), 17 where has("completion_tokens"), 20 where has("candidatesTokenCount"):
                usage.output = try usageCount(bytes)
            case 12 where has("total_tokens"), 15 where has("totalTokenCount"):
                usage.total = try usageCount(bytes)
            case 23 where has("cache_read_input_tokens"), 23 where has("cachedContentTokenCount"):
                usage.cached = try usageCount(bytes)
            case 27 where has("cache_creation_input_tokens"):
                usage.cacheWrite = try usageCount(bytes)
            case 18 where has("thoughtsTokenCount"):
                usage.reasoning = try usageCount(bytes)
            case 23 where has("toolUsePromptTokenCount"):
                usage.toolInput = try usageCount(bytes)
            case 21 where has("prompt_tokens_details"), 20 where has("input_tokens_details"),
                25 where has("completion_tokens_details"), 21 where has("output_tokens_details"):
                try usageDetails(bytes, into: &usage)
            default:
                try skip(bytes)
            }
        }
        return usage
    }

    private mutating func usageDetails(_ bytes: Span<UInt8>, into usage: inout RawUsage) throws(ScanError) {
        guard peek(bytes) == UInt8(ascii: "{") else { return try skip(bytes) }
        try enterContainer()
        var isFirst = true
        while let key = try nextKey(bytes, isFirst: &isFirst) {
            if key.equals("cached_tokens", in: bytes) {
                usage.cached = try usageCount(bytes)
            } else if key.equals("cache_write_tokens", in: bytes) {
                usage.cacheWrite = try usageCount(bytes)
            } else if key.equals("reasoning_tokens", in: bytes) || key.equals("thinking_tokens", in: bytes) {
                usage.reasoning = try usageCount(bytes)
            } else {
                try skip(bytes)
            }
        }
    }
}
