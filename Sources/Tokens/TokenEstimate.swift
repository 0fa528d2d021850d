// How many tokens a request can be, at most, without running a tokenizer: what a limit reserves before the provider
// tells the true count. The exact tokenizer will stand behind the same interface.

/// Token counts told from sizes alone.
public enum TokenEstimate {
    /// Tokens around one message beyond its role, name and content.
    ///
    /// ChatML spends 3 (`<|im_start|>`, `<|im_sep|>`, `<|im_end|>`) and 1 for a name (OpenAI cookbook, "How to count
    /// tokens with tiktoken"); Llama 3's template 5 (`<|start_header_id|>`, `<|end_header_id|>`, two line feeds as one,
    /// `<|eot_id|>`); Gemma's and Qwen's at most 6. Roles are counted as bytes.
    public static let perMessage = 8

    /// Tokens that a request has whatever it says: start of text, the opening of the answer, and the default system
    /// prompt that some open models' templates put in (Llama 3.1 and Qwen 2.5: about 25).
    public static let perRequest = 64

    /// Tokens that offering any tool adds beside the tools' own text.
    ///
    /// - Source: Anthropic's page "Tool use pricing and tokens", table of tool-use system prompts, read 2026-11-24: 530
    ///   for the largest listed (Claude 3 Opus, auto); some room for models that are not listed.
    public static let perToolUse = 640

    /// Tokens of one picture: a working bound, not a proof.
    ///
    /// GPT-4o: 85 + 170 for each of at most 8 tiles of 512 pixels = 1,445 (agentscope's counter, after OpenAI's guide
    /// "Images and vision", read 2026-11-24). Believed, not verified here: patch models at most 1,536 × 2.46 = 3,779;
    /// Anthropic at most 4,784. Known to cost more: GPT-4o mini, which charges about 33 times GPT-4o's tokens, and
    /// Qwen2-VL behind vLLM, at most 16,384. Settling corrects what a bound misses.
    public static let perImage = 5_000

    /// The most tokens that a prompt can cost.
    ///
    /// Every token of a byte-level BPE stands for at least one byte, so bytes bound text; SentencePiece models with byte
    /// fallback keep this but for one leading blank, which `perMessage` covers. Saturates at `Int.max`.
    ///
    /// - Parameters:
    ///   - promptBytes: bytes of text, decoded, as `ParsedRequest.promptBytes` counts them; not negative.
    ///   - messageCount: messages or inputs; not negative.
    ///   - hasTools: whether tools are offered.
    ///   - imageCount: pictures; not negative.
    /// - Returns: an over-estimate that settling corrects.
    public static func upperBound(
        promptBytes: Int,
        messageCount: Int,
        hasTools: Bool,
        imageCount: Int = 0
    ) -> Int {
        let fixed = perRequest + (hasTools ? perToolUse : 0)
        return saturatingSum(
            saturatingSum(promptBytes, fixed),
            saturatingSum(saturatingProduct(messageCount, perMessage), saturatingProduct(imageCount, perImage))
        )
    }

    /// Tokens of a typical picture: four 512-pixel tiles, 85 + 170 × 4 (OpenAI's vision guide).
    static let perTypicalImage = 765

    /// The tokens that a prompt likely costs: what a per-request bound compares and a window reserves.
    ///
    /// The upper bound would refuse most prompts that a small limit allows, three times out of four by bytes alone; this
    /// is off by some tens of per cent either way, and settling corrects what it reserved.
    ///
    /// - Parameters:
    ///   - promptBytes: bytes of text, decoded; not negative.
    ///   - messageCount: messages or inputs; not negative.
    ///   - imageCount: pictures; not negative.
    /// - Returns: a fourth of the bytes, and ChatML's 3 tokens for each message and for the answer's opening.
    public static func likelyPrompt(
        promptBytes: Int,
        messageCount: Int,
        imageCount: Int = 0
    ) -> Int {
        let text = likely(textBytes: promptBytes)
        let framing = saturatingProduct(saturatingSum(messageCount, messageCount > 0 ? 1 : 0), 3)
        return saturatingSum(saturatingSum(text, framing), saturatingProduct(imageCount, perTypicalImage))
    }

    /// The most tokens that text of an answer can be: what to charge when a provider did not tell.
    ///
    /// - Parameter textBytes: bytes of text, as the usage tap counts them; not negative.
    /// - Returns: one token per byte.
    public static func upperBound(textBytes: Int) -> Int { max(textBytes, 0) }

    /// The tokens that text of an answer likely is: what to record when a provider did not tell.
    ///
    /// - Parameter textBytes: bytes of text, as the usage tap counts them; not negative.
    /// - Returns: a fourth of the bytes, rounded up. English prose has about 4 bytes a token (OpenAI's help page "What are
    ///   tokens"); code and other scripts have fewer, so this is an estimate and is marked as one.
    public static func likely(textBytes: Int) -> Int {
        let bytes = max(textBytes, 0)
        return bytes / 4 + (bytes % 4 == 0 ? 0 : 1)
    }

    /// Tokens to reserve before a request leaves.
    ///
    /// - Parameters:
    ///   - input: tokens of input at most.
    ///   - choices: answers that one prompt can cost, at least 1.
    ///   - outputCap: tokens per answer.
    /// - Returns: `input + choices × outputCap`, saturating; an over-estimate that settling corrects.
    public static func reservation(input: Int, choices: Int, outputCap: Int) -> Int {
        saturatingSum(input, saturatingProduct(choices, outputCap))
    }

    private static func saturatingSum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflows) = max(left, 0).addingReportingOverflow(max(right, 0))
        return overflows ? Int.max : sum
    }

    private static func saturatingProduct(_ left: Int, _ right: Int) -> Int {
        let (product, overflows) = max(left, 0).multipliedReportingOverflow(by: max(right, 0))
        return overflows ? Int.max : product
    }
}
