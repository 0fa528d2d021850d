// Why a request was refused, rule by rule, with the values that were compared: what an admin reads later. Made only for
// what was refused, or asked about; the request path to "allow" knows nothing of it.

internal import CEL
public import Limits

/// What one rule has to say of a request.
public struct RuleVerdict: Sendable, Equatable {
    /// What came of it.
    public enum Outcome: String, Sendable {
        /// It has nothing against the request.
        case allow
        /// It refuses.
        case refuse
        /// It would refuse, were it not in shadow mode.
        case wouldRefuse = "would_refuse"
        /// It could not be evaluated, and its policy admits then.
        case failedOpen = "failed_open"
    }

    /// The policy's id in UTF-8.
    public let policyID: [UInt8]
    /// The kind's name.
    public let kind: String
    /// Whether it refuses at all.
    public let mode: RuleMode
    /// What came of it.
    public let outcome: Outcome
    /// Why, and the values that were compared; nil when it allows.
    public let refusal: Refusal?

    fileprivate init(_ rule: Rule, _ verdict: Verdict) {
        policyID = rule.policyID
        kind = rule.kind
        mode = rule.mode
        switch verdict {
        case .allow:
            outcome = .allow
            refusal = nil
        case .refuse(let refusal):
            self.refusal = refusal
            outcome =
                rule.refuses(refusal) ? .refuse : refusal.reason == .evaluationFailed ? .failedOpen : .wouldRefuse
        }
    }
}

/// Where a counter stood when a request was judged.
public struct LimitVerdict: Sendable, Equatable {
    /// The policy's id in UTF-8.
    public let policyID: [UInt8]
    /// What is counted, and how.
    public let unit: LimitUnit, algorithm: LimitAlgorithm
    /// The window in milliseconds; 0 of requests in flight.
    public let windowMilliseconds: Int64
    /// The most that a window admits, and what this request takes of it.
    public let limit: Int64, cost: Int64
    /// Whose counter was asked; of a share, what was left is the share's.
    public let decider: LimitDecider
    /// What was left, and how long until it is free again, or would be for this request.
    public let remaining: Int64, resetMilliseconds: Int64
    /// What came of it.
    public let outcome: RuleVerdict.Outcome

    /// Makes a verdict of a counter's answer.
    public init(_ claim: LimitClaim, _ state: LimitState, rule: Rule, _ decider: LimitDecider = .redis) {
        self.decider = decider
        policyID = rule.policyID
        unit = claim.unit
        algorithm = claim.algorithm
        windowMilliseconds = claim.windowMilliseconds
        limit = claim.capacity
        cost = claim.cost
        remaining = state.remaining
        resetMilliseconds = state.resetMilliseconds
        outcome = !state.isOver ? .allow : claim.isShadow ? .wouldRefuse : .refuse
    }
}

/// All that was compared for one request.
public struct Explanation: Sendable, Equatable {
    /// The most bytes of a text that travels with a usage record.
    public static let maxBytes = 2_048

    /// What each rule says, in the order in which they are asked, also those behind the one that refused.
    public var rules: [RuleVerdict]
    /// Where the counters stood; empty when none was asked.
    public var limits: [LimitVerdict] = []

    /// Asks every rule.
    ///
    /// - Parameters:
    ///   - rules: in their order.
    ///   - request: the request.
    public init(of rules: [Rule], asking request: borrowing PolicyRequest) {
        var budget = EvaluationBudget()
        self.rules = []
        for rule in rules { self.rules.append(RuleVerdict(rule, rule.program.decide(request, &budget))) }
    }

    /// Of a request that one rule refused before the others could be asked.
    public init(refusedBy rule: Rule, _ refusal: Refusal) { rules = [RuleVerdict(rule, .refuse(refusal))] }

    /// Corrects what a rule said from memory by how its limit was judged where no counter could be asked.
    ///
    /// - Parameters:
    ///   - rule: the index of the rule in the order in which they were asked; one beyond them changes nothing.
    ///   - asked: the rule.
    ///   - refusal: why it refuses after all.
    public mutating func overrule(_ rule: Int, _ asked: Rule, _ refusal: Refusal) {
        guard rules.indices.contains(rule) else { return }
        rules[rule] = RuleVerdict(asked, .refuse(refusal))
    }

    /// As JSON: `{"rules":[…],"limits":[…],"left_out":n}`; ids and words of ours, and numbers.
    ///
    /// - Parameter maxBytes: the most bytes of it; what has no room is counted only, what allowed first.
    /// - Returns: the text.
    public func text(maxBytes: Int = Self.maxBytes) -> String {
        var parts: (rules: [String], limits: [String]) = ([], [])
        var bytes = 64
        var leftOut = 0
        func fits(_ text: String) -> Bool {
            guard bytes + text.utf8.count + 1 <= maxBytes else {
                leftOut += 1
                return false
            }
            bytes += text.utf8.count + 1
            return true
        }
        // Those that refused are what is asked about.
        for limit in limits {
            let text = Self.text(limit)
            if fits(text) { parts.limits.append(text) }
        }
        for rule in rules.filter({ $0.outcome != .allow }) + rules.filter({ $0.outcome == .allow }) {
            let text = Self.text(rule)
            if fits(text) { parts.rules.append(text) }
        }
        return "{\"rules\":[\(parts.rules.joined(separator: ","))],\"limits\":[\(parts.limits.joined(separator: ","))]"
            + (leftOut > 0 ? ",\"left_out\":\(leftOut)" : "") + "}"
    }

    private static func text(_ rule: RuleVerdict) -> String {
        var text = "{\"policy\":\"\(String(decoding: rule.policyID, as: UTF8.self))\",\"kind\":\"\(rule.kind)\""
        if rule.mode == .shadow { text += ",\"mode\":\"shadow\"" }
        text += ",\"verdict\":\"\(rule.outcome.rawValue)\""
        if let refusal = rule.refusal {
            text += ",\"reason\":\"\(refusal.reason.name)\""
            if let limit = refusal.limit { text += ",\"limit\":\(limit)" }
            if let got = refusal.got { text += ",\"got\":\(got)" }
            if let failure = refusal.failure { text += ",\"failed_at\":\(failure.offset)" }
        }
        return text + "}"
    }

    private static func text(_ limit: LimitVerdict) -> String {
        """
        {"policy":"\(String(decoding: limit.policyID, as: UTF8.self))","unit":"\(limit.unit.name)",\
        "algorithm":"\(limit.algorithm.name)","window_ms":\(limit.windowMilliseconds),"limit":\(limit.limit),\
        "cost":\(limit.cost),"remaining":\(limit.remaining),"reset_ms":\(limit.resetMilliseconds),\
        "decided_by":"\(limit.decider.rawValue)","verdict":"\(limit.outcome.rawValue)"}
        """
    }
}

extension LimitUnit {
    /// The unit's name in explanations.
    var name: StaticString {
        switch self {
        case .requests: "requests"
        case .tokens: "tokens"
        case .inFlight: "in_flight"
        }
    }
}

extension LimitAlgorithm {
    /// The algorithm's name, as configs have it.
    var name: StaticString {
        switch self {
        case .fixedWindow: "fixed_window"
        case .slidingWindow: "sliding_window"
        case .tokenBucket: "token_bucket"
        case .concurrency: "concurrency"
        }
    }
}
