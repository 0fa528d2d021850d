// What a policy becomes before any request runs: a compiled rule with one method for each stage of the pipeline
// that a policy can take part in. A class, so that a stage is one indirect call: no existential, no switch over kinds.

public import Limits

/// A compiled policy config.
///
/// Deeply immutable, which makes sharing it between threads safe: it has no state of its own, and subclasses hold
/// only `let`s of `Sendable` types (that promise is what `@unchecked` stands for; a class open to subclasses cannot
/// have it checked here).
open class RuleProgram: @unchecked Sendable {
    /// Makes a rule that allows everything.
    public init() {}

    /// The most bytes a request's body may have; checked before the body is read.
    open var maxBodyBytes: Int? { nil }

    /// Whether the model may be used: for `/v1/models` and for each upstream attempt.
    ///
    /// - Parameter model: a model's name in UTF-8, compared byte by byte.
    /// - Returns: whether no rule of this program is against it.
    open func permits(model: Span<UInt8>) -> Bool { true }

    /// What a client that the rule refuses is told in place of the general text, in UTF-8; an admin's words.
    open var clientMessage: [UInt8]? { nil }

    /// Judges a request from memory; allocates nothing to allow.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - budget: what its expressions may still cost.
    /// - Returns: whether the rule has something against it.
    open func decide(_ request: borrowing PolicyRequest, _ budget: inout EvaluationBudget) -> Verdict { .allow }

    /// Adds the limits that the request must reserve.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - rule: the rule's index in the request's effective list.
    ///   - policyID: names the counters.
    ///   - isShadow: counted, never refused.
    ///   - claims: the request's claims so far.
    open func claims(
        _ request: borrowing PolicyRequest,
        rule: Int,
        policyID: [UInt8],
        isShadow: Bool,
        into claims: inout [LimitClaim]
    ) {}

    /// Judges what the request turned out to use, after the answer; a violation is logged and counted.
    open func review(_ usage: SettledUsage, _ request: borrowing PolicyRequest) -> Violation? { nil }
}

/// Whether a rule's refusal counts.
public enum RuleMode: UInt8, Sendable {
    /// Refuses.
    case enforce = 0
    /// Evaluated and recorded, never refused.
    case shadow = 1
}

/// What a rule that fails to evaluate does.
public enum RuleErrorChoice: UInt8, Sendable {
    /// Fails closed.
    case deny = 0
    /// Fails open.
    case allow = 1
}

/// A policy as it applies to requests: its program and what the admin said about it.
public final class Rule: Sendable {
    /// The policy's id in UTF-8.
    public let policyID: [UInt8]
    /// The kind's name, for logs and metrics.
    public let kind: String
    /// Whether it refuses.
    public let mode: RuleMode
    /// What it does when it cannot be evaluated.
    public let onError: RuleErrorChoice
    /// The compiled config.
    public let program: RuleProgram
    /// Runs before rules without one, lowest first.
    public let priority: Int32?
    /// Milliseconds since the Unix epoch; the order of rules without a priority.
    public let createdAt: Int64

    /// Makes a rule.
    public init(
        policyID: [UInt8],
        kind: String,
        mode: RuleMode,
        onError: RuleErrorChoice,
        program: RuleProgram,
        priority: Int32?,
        createdAt: Int64
    ) {
        self.policyID = policyID
        self.kind = kind
        self.mode = mode
        self.onError = onError
        self.program = program
        self.priority = priority
        self.createdAt = createdAt
    }

    /// Whether a refusal by this rule refuses the request: not in shadow, nor when it failed and fails open.
    public func refuses(_ refusal: Refusal) -> Bool {
        guard mode == .enforce else { return false }
        return refusal.reason != .evaluationFailed || onError == .deny
    }

    /// Adds the limits that the request must reserve for this rule.
    public func claims(_ request: borrowing PolicyRequest, rule: Int, into claims: inout [LimitClaim]) {
        program.claims(request, rule: rule, policyID: policyID, isShadow: mode == .shadow, into: &claims)
    }
}
