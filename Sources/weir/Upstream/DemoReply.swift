// What the demo model says and what it bills: pure and deterministic, so that a test or a person can tell from the
// request what the answer and its usage must be.

/// The demo model's answer to a prompt.
struct DemoReply: Equatable {
    /// The answer in the pieces that a stream sends one at a time; joined they are the text.
    let pieces: [String]
    /// Billed for the prompt: 3, and 3 for each message, and one for each word.
    let promptTokens: Int
    /// Whether the caller's cap cut the answer.
    let isCut: Bool

    /// Billed for the answer: one for each piece.
    var completionTokens: Int { pieces.count }
    var totalTokens: Int { promptTokens + completionTokens }
    var text: String { pieces.joined() }

    /// Answers a conversation.
    ///
    /// - Parameters:
    ///   - messages: the text of each message, in order.
    ///   - lastUserText: what is answered.
    ///   - cap: the most tokens the answer may have; nil for no bound.
    init(messages: [String], lastUserText: String, cap: Int?) {
        let quoted = lastUserText.split(whereSeparator: \.isWhitespace).prefix(24).joined(separator: " ")
        let whole = "You said: “\(quoted)” I am Weir's demo model, and I always answer the same."
        let all = Self.split(whole)
        pieces = Array(all.prefix(cap ?? all.count))
        isCut = pieces.count < all.count
        promptTokens = 3 + messages.reduce(0) { $0 + 3 + Self.wordCount($1) }
    }

    static func wordCount(_ text: String) -> Int { text.split(whereSeparator: \.isWhitespace).count }

    /// Words, each with the space before it.
    private static func split(_ text: String) -> [String] {
        var pieces: [String] = []
        for character in text {
            if character == " " || pieces.isEmpty {
                pieces.append(String(character))
            } else {
                pieces[pieces.count - 1].append(character)
            }
        }
        return pieces
    }
}
