// One request, as it is billed, explained and charted: what a node says of every request it answered, refused ones
// included. schemas/usage.md has its layout.

/// What is remembered of one request.
///
/// Texts and figures outside their bounds are cut to them when the record is encoded: a record is never lost because
/// a client or a provider sent something odd, and no batch is ever refused for what one of its records holds.
public struct UsageRecord: Sendable, Equatable {
    /// How the request ended.
    public enum Outcome: UInt8, Sendable, CaseIterable {
        /// The upstream's answer reached the client whole.
        case completed = 0
        /// A policy refused it; `refusedBy` and `reason` say which and why.
        case refused = 1
        /// The client hung up first.
        case clientGone = 2
        /// The upstream could not be reached, or broke off.
        case upstreamFailed = 3
        /// The node stopped before the request ended.
        case interrupted = 4
        /// A deadline of ours passed.
        case timedOut = 5

        /// The word for it, in the API, in logs and in traces.
        public var name: String {
            switch self {
            case .completed: "completed"
            case .refused: "refused"
            case .clientGone: "client_gone"
            case .upstreamFailed: "upstream_failed"
            case .interrupted: "interrupted"
            case .timedOut: "timed_out"
            }
        }
    }

    /// Where the token figures come from.
    public enum Source: UInt8, Sendable, CaseIterable {
        /// The provider reported them.
        case provider = 0
        /// We estimated them all.
        case estimated = 1
        /// The provider reported some before the answer broke off; the rest is estimated.
        case partial = 2
        /// No provider was asked, so there are none.
        case none = 3
    }

    /// The longest request id, in bytes of UTF-8.
    public static let maxRequestIDBytes = 128
    /// The longest explanation, in bytes of UTF-8; a longer one is left out.
    public static let maxExplanationBytes = 2_048
    /// The longest of the other texts, in bytes of UTF-8.
    public static let maxTextBytes = 256
    /// The largest token, byte or microsecond figure: far beyond any real one, and 2²³ of them still fit an `Int64`.
    public static let maxFigure: Int64 = 1 << 40
    /// The latest time that is accepted: the end of the year 9999, which every database and language can hold.
    public static let maxMilliseconds: Int64 = 253_402_300_799_999

    /// Counts this node's records since its boot, from 1.
    ///
    /// With node and boot it is the record's identity. `UsageQueue.append` gives it.
    public var sequence: UInt64
    /// The id that the client was told.
    public var requestID: String
    /// When the request's head had arrived, in milliseconds since the Unix epoch.
    public var startedAt: Int64
    /// When the last byte was answered, in milliseconds since the Unix epoch.
    public var finishedAt: Int64
    /// The organisation of the app; empty when the caller was not recognised.
    public var organisation: String
    /// The app of the key; empty when the caller was not recognised.
    public var appID: String
    /// The key's id; empty when the caller was not recognised.
    public var keyID: String
    /// The model's public name, as requested.
    public var model: String
    /// The provider that was asked; empty when none was.
    public var providerID: String
    /// The provider's name of the model; empty when no provider was asked.
    public var upstreamModel: String
    /// `LLMWire.Endpoint`'s raw value.
    public var endpoint: UInt8
    /// The HTTP status that the client was sent.
    public var status: UInt16
    /// How the request ended.
    public var outcome: Outcome
    /// Whether the answer was an event stream.
    public var isStream: Bool
    /// Tokens of the input, those read from the provider's cache included.
    public var promptTokens: Int64
    /// Tokens of the output, reasoning included.
    public var completionTokens: Int64
    /// What the provider calls the total, else the sum.
    public var totalTokens: Int64
    /// Input tokens read from the provider's cache.
    public var cachedTokens: Int64
    /// Input tokens written to the provider's cache.
    public var cacheWriteTokens: Int64
    /// Output tokens spent on reasoning.
    public var reasoningTokens: Int64
    /// Where the token figures come from.
    public var source: Source
    /// Bytes of the request's body.
    public var requestBytes: Int64
    /// Bytes of the answer's body.
    public var responseBytes: Int64
    /// From the request's head to the last byte of the answer, in microseconds of a monotonic clock.
    public var latencyMicroseconds: Int64
    /// From the request's head to the first byte of the answer, in microseconds; 0 when there was none.
    public var firstByteMicroseconds: Int64
    /// The policy that refused, if one did.
    public var refusedBy: String?
    /// Why it was refused or failed: a word of our own, never a client's text.
    public var reason: String?
    /// The snapshot that decided.
    public var snapshotVersion: UInt64
    /// JSON: what each rule said of a request that was refused; nil for others.
    public var explanation: String?

    /// Makes a record; all that is not known when a request is refused early has a default.
    public init(
        sequence: UInt64 = 0,
        requestID: String,
        startedAt: Int64,
        finishedAt: Int64,
        organisation: String = "",
        appID: String = "",
        keyID: String = "",
        model: String = "",
        providerID: String = "",
        upstreamModel: String = "",
        endpoint: UInt8,
        status: UInt16,
        outcome: Outcome,
        isStream: Bool = false,
        promptTokens: Int64 = 0,
        completionTokens: Int64 = 0,
        totalTokens: Int64 = 0,
        cachedTokens: Int64 = 0,
        cacheWriteTokens: Int64 = 0,
        reasoningTokens: Int64 = 0,
        source: Source = .none,
        requestBytes: Int64 = 0,
        responseBytes: Int64 = 0,
        latencyMicroseconds: Int64 = 0,
        firstByteMicroseconds: Int64 = 0,
        refusedBy: String? = nil,
        reason: String? = nil,
        snapshotVersion: UInt64 = 0,
        explanation: String? = nil
    ) {
        self.sequence = sequence
        self.requestID = requestID
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.organisation = organisation
        self.appID = appID
        self.keyID = keyID
        self.model = model
        self.providerID = providerID
        self.upstreamModel = upstreamModel
        self.endpoint = endpoint
        self.status = status
        self.outcome = outcome
        self.isStream = isStream
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.totalTokens = totalTokens
        self.cachedTokens = cachedTokens
        self.cacheWriteTokens = cacheWriteTokens
        self.reasoningTokens = reasoningTokens
        self.source = source
        self.requestBytes = requestBytes
        self.responseBytes = responseBytes
        self.latencyMicroseconds = latencyMicroseconds
        self.firstByteMicroseconds = firstByteMicroseconds
        self.refusedBy = refusedBy
        self.reason = reason
        self.snapshotVersion = snapshotVersion
        self.explanation = explanation
    }
}
