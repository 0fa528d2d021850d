// What a rule says of a request, before it leaves and after it came back. Fixed fields, so that saying "allow" costs
// nothing and a refusal carries numbers for the log and no text of the client's.

public import CEL
public import LLMWire
public import Limits

/// A rule's answer.
public enum Verdict: Equatable, Sendable {
    /// The rule has nothing against the request.
    case allow
    /// The rule refuses the request.
    case refuse(Refusal)
}

/// Why a request is refused; the gateway gives each its status and text.
public enum RefusalReason: UInt8, Sendable, CaseIterable {
    /// The requested model, or one it would be routed to, is not allowed: 403.
    case modelNotAllowed = 0
    /// The body is over its bound: 413.
    case requestTooLarge = 1
    /// The prompt alone may pass a per-request token limit.
    case promptTooLong = 2
    /// The output the client asks for may pass a per-request token limit.
    case outputCapTooHigh = 3
    /// A rule's expression says no: 403.
    case denied = 4
    /// A rule could not be evaluated and fails closed.
    case evaluationFailed = 5
    /// A window admits no more requests: 429.
    case rateLimited = 6
    /// A window admits no more tokens: 429.
    case tokensLimited = 7
    /// As many requests as may be are in flight: 429.
    case concurrencyLimited = 8
    /// The counters cannot be asked, and the rule admits nothing without them: 503.
    case countersUnavailable = 9

    /// The reason's name in logs, records and metrics.
    public var name: StaticString {
        switch self {
        case .modelNotAllowed: "model_not_allowed"
        case .requestTooLarge: "request_too_large"
        case .promptTooLong: "prompt_too_long"
        case .outputCapTooHigh: "output_cap_too_high"
        case .denied: "denied"
        case .evaluationFailed: "evaluation_failed"
        case .rateLimited: "rate_limited"
        case .tokensLimited: "tokens_limited"
        case .concurrencyLimited: "concurrency_limited"
        case .countersUnavailable: "counters_unavailable"
        }
    }

    /// Of a limit on what is counted in a unit.
    public init(limitOn unit: LimitUnit) {
        self =
            switch unit {
            case .requests: .rateLimited
            case .tokens: .tokensLimited
            case .inFlight: .concurrencyLimited
            }
    }

    /// What the client is told, unless the rule has words of its own; never why in figures (DESIGN 11.12).
    public var clientError: ClientError {
        switch self {
        case .modelNotAllowed: .modelNotAllowed
        case .requestTooLarge: .tooLarge
        case .promptTooLong: .promptTooLong
        case .outputCapTooHigh: .outputCapTooHigh
        case .denied, .evaluationFailed: .permission
        case .rateLimited: .rateLimited
        case .tokensLimited: .tokensLimited
        case .concurrencyLimited: .concurrencyLimited
        case .countersUnavailable: .unavailable
        }
    }
}

/// Who says whether a counted limit has room.
public enum LimitDecider: String, Sendable {
    /// The counters that all nodes share.
    case redis
    /// This node's share of the limit, while Redis is out.
    case share
}

/// A refusal and the figures that explain it to the operator.
public struct Refusal: Equatable, Sendable {
    /// Why.
    public let reason: RefusalReason
    /// What the rule allows, in the reason's unit (bytes, tokens, requests); nil where no number decides.
    public let limit: Int64?
    /// What the request has or asks for, in the same unit.
    public let got: Int64?
    /// Why an expression has no value; for `evaluationFailed`.
    public let failure: EvaluationError?

    /// Makes a refusal.
    public init(_ reason: RefusalReason, limit: Int64? = nil, got: Int64? = nil, failure: EvaluationError? = nil) {
        self.reason = reason
        self.limit = limit
        self.got = got
        self.failure = failure
    }

    /// The refusal that a limit's counter gave.
    ///
    /// - Parameters:
    ///   - claim: the claim that did not fit.
    ///   - state: where its counter stood.
    ///   - decider: whose counter it was. Of a share nobody counts what the limit as a whole has left, so `got` is nil.
    public init(_ claim: LimitClaim, at state: LimitState, _ decider: LimitDecider = .redis) {
        let got = decider == .redis ? claim.capacity - state.remaining + claim.cost : nil
        self.init(RefusalReason(limitOn: claim.unit), limit: claim.capacity, got: got)
    }
}

/// Tokens that a request turned out to use; 0 where the provider said nothing.
public struct SettledUsage: Equatable, Sendable {
    /// Tokens of the prompt, cached ones included.
    public let promptTokens: Int64
    /// Tokens of the answer, reasoning included, over all choices.
    public let completionTokens: Int64
    /// What is billed against windows.
    public let totalTokens: Int64

    /// Makes a usage.
    public init(promptTokens: Int64, completionTokens: Int64, totalTokens: Int64) {
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.totalTokens = totalTokens
    }
}

/// A limit that an answer turned out to pass, when it was too late to refuse.
public struct Violation: Equatable, Sendable {
    /// Which tokens were too many.
    public enum Measure: UInt8, Sendable {
        /// The prompt's.
        case promptTokens = 0
        /// The answer's.
        case completionTokens = 1
        /// Both together.
        case totalTokens = 2

        /// The measure's name in logs, records and metrics.
        public var name: StaticString {
            switch self {
            case .promptTokens: "prompt_tokens"
            case .completionTokens: "completion_tokens"
            case .totalTokens: "total_tokens"
            }
        }
    }

    /// What was measured.
    public let measure: Measure
    /// What the rule allows.
    public let limit: Int64
    /// What was used.
    public let got: Int64

    /// Makes a violation.
    public init(_ measure: Measure, limit: Int64, got: Int64) {
        self.measure = measure
        self.limit = limit
        self.got = got
    }
}
