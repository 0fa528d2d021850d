// What policy knows of a request: a few numbers and offsets, taken from the body in one pass and kept with the request
// until it is recorded. The body stays as it came.

/// A request body, understood.
///
/// At most 1 KiB; the texts stay in the body and are named by their offsets.
public struct ParsedRequest: Sendable {
    /// Model names are short everywhere; a longer one is an attack on whatever compares or logs it.
    public static let maxModelBytes = 256
    /// Choices of one request at most.
    ///
    /// OpenAI's own bound for `n` is 128.
    public static let maxChoices = 65_536

    /// The call that was scanned for.
    public let endpoint: Endpoint
    /// Bytes of the body.
    public let byteCount: Int
    /// The model asked for.
    ///
    /// Never nil: a body without one is refused with `.missingModel`.
    public internal(set) var model: JSONSlice?
    /// Whether the client wants a stream.
    public internal(set) var stream = false
    /// Whether the client asked for the usage chunk (`stream_options.include_usage`).
    public internal(set) var includesUsage = false
    /// Tokens of output per choice at most, by the member that rules; nil when the client set none.
    ///
    /// `max_completion_tokens` rules over `max_tokens` for chat; `max_output_tokens` for responses; `max_tokens` for
    /// completions and messages.
    public internal(set) var outputCap: Int?
    /// Answers that one prompt can cost: the larger of `n` and `best_of`, times the prompts of a legacy completion.
    public internal(set) var choices = 1
    /// Messages; items or 1 for responses; prompts of a legacy completion; texts of an embedding.
    public internal(set) var messageCount = 0
    /// Whether tools or functions are offered to the model.
    public internal(set) var hasTools = false
    /// Whether a Responses call continues what the provider keeps (`previous_response_id`, `conversation`): its input is
    /// larger than its body, and the id may be another client's.
    public internal(set) var usesServerState = false
    /// Whether a Responses call runs in the background: its usage is told only to a later GET.
    public internal(set) var isBackground = false
    /// Pictures among the content parts.
    public internal(set) var imageCount = 0
    /// Inputs given as token ids (embeddings, legacy completions): unreadable for rules about text.
    public internal(set) var tokenIDCount = 0
    /// The end user that the client names: `user`, or Anthropic's `metadata.user_id`.
    public internal(set) var user: JSONSlice?
    /// The text of the `metadata` object, braces included.
    public internal(set) var metadata: JSONSlice?
    /// Bytes of text that the provider can see at most, decoded; a token id counts 1, picture data nothing.
    ///
    /// Members that Weir does not know count too, since some servers put them into the prompt.
    public internal(set) var promptBytes = 0

    /// What has to change so that a stream tells its usage.
    var usageEdit = UsageEdit.member
    /// The bytes that the edit replaces.
    var usageEditStart: Int32 = 0
    var usageEditEnd: Int32 = 0

    /// Whether there are pictures.
    public var hasImages: Bool { imageCount > 0 }

    /// Whether usage in a stream comes only if `stream_options.include_usage` asks for it.
    public var canInjectUsage: Bool { stream && (endpoint == .chatCompletions || endpoint == .completions) }

    init(endpoint: Endpoint, byteCount: Int) {
        self.endpoint = endpoint
        self.byteCount = byteCount
    }

    /// Reads a body in one pass: validates all of it and keeps what policy needs.
    ///
    /// Allocates nothing, except for names spelled with escapes and the error.
    ///
    /// - Parameters:
    ///   - body: the whole body, after transfer decoding.
    ///   - endpoint: the call, told by its path.
    /// - Returns: what policy needs.
    /// - Throws: the first thing that is wrong; such a body must not be forwarded.
    public static func scan(_ body: Span<UInt8>, endpoint: Endpoint) throws(ScanError) -> ParsedRequest {
        var scanner = RequestScanner(endpoint: endpoint, byteCount: body.count)
        return try scanner.scan(body)
    }
}

/// How `stream_options.include_usage` gets to be true.
enum UsageEdit: UInt8 {
    /// It is true already.
    case none
    /// There is no `stream_options`: add it after the document's brace.
    case member
    /// `stream_options` is null: put the object in its place.
    case object
    /// `stream_options` has no `include_usage`: add it after its brace; other members follow.
    case firstOption
    /// The same, and `stream_options` is empty.
    case onlyOption
    /// `include_usage` is false or null: put true in its place.
    case value
}
