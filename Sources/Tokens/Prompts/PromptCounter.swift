// Counts the prompt of a whole request body: finds the members that the model will see, in whatever order they stand, and
// adds them up by the formula of their API.

public import LLMWire

/// Counts request bodies.
///
/// Keeps one buffer from body to body; confined to one loop, not shared.
public struct PromptCounter: Sendable {
    private var buffer: [UInt8] = []

    /// A counter with nothing in it.
    public init() {}

    /// Counts a request's prompt.
    ///
    /// - Parameters:
    ///   - body: the whole body, JSON.
    ///   - endpoint: which call it is for.
    ///   - model: the profile of its model, from `ModelTable` or a `ModelCache`.
    ///   - tokenizer: of `model.encoding`; `Tokenizer.shared` gives it.
    ///   - limit: counting may stop when the prompt has more; not negative.
    /// - Returns: the count, and what it is worth.
    /// - Throws: what makes the body no JSON. Members of a shape that the API does not document count nothing.
    public mutating func count(
        _ body: Span<UInt8>,
        endpoint: Endpoint,
        model: ModelProfile,
        with tokenizer: Tokenizer,
        stoppingAfter limit: Int = .max
    ) throws(ScanError) -> PromptCount {
        // The limit in the encoding's tokens: more than so many are, times the factor, more than the limit.
        let encodedLimit = limit < .max / 1_000 ? limit * 1_000 / model.factorPermille : .max
        var prompt = PromptReader(
            TextFeed(tokenizer, limit: encodedLimit, buffer: takeBuffer()),
            model,
            endpoint
        )
        do throws(ScanError) {
            try prompt.read(body)
        } catch {
            buffer = prompt.feed.takeBuffer()
            throw error
        }
        let tokens = PromptCounter.sum(model.scale(max(prompt.feed.tokens, 0)), prompt.pictureTokens)
        let isExact = prompt.isExact && model.basis == .known
        buffer = prompt.feed.takeBuffer()
        return PromptCount(tokens: tokens, isExact: isExact, isOverLimit: tokens > limit)
    }

    private mutating func takeBuffer() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &buffer)
        taken.removeAll(keepingCapacity: true)
        return taken
    }

    private static func sum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflows) = left.addingReportingOverflow(right)
        return overflows ? Int.max : sum
    }
}
