// Bounds the tokens of a request, or of all requests in a window, or both. Before the request leaves only bounds are
// known: what it will likely use is judged and reserved; after the answer the true usage is reviewed and settled.
//
// Program: optional max_prompt, max_completion, max_total │ bool has window │ scope (CounterScope.swift), window limit
// (WindowLimit.swift), optional assumed output.

import Codec
import LLMWire
import Limits

/// The kind of `{"max_prompt_tokens": 8000, "limit": 100000, "window": "1h", "per": ["app"]}`.
///
/// At least one of the three per-request bounds, or `limit` with `window`, must be there.
struct TokenLimit: PolicyKind {
    let name = "token_limit"
    var schema: [UInt8] { PackageResources.token_limit_schema_json }

    static let boundFields = ["max_prompt_tokens", "max_completion_tokens", "max_total_tokens"]
    /// Up to 2³¹: no model's context is near it.
    static let boundRange: ClosedRange<Int64> = 1...2_147_483_648
    /// Reserved for each choice when the client names no cap.
    ///
    /// Most answers are shorter, and settling gives back the
    /// rest within seconds; reserving a model's maximum would pin a budget while little is spent (DESIGN §11.1).
    static let defaultAssumedOutput: Int64 = 1_024
    /// Of a small limit an eighth is assumed instead, or no request without a cap would ever fit.
    static let assumedShareOfLimit: Int64 = 8
    static let assumedOutputRange: ClosedRange<Int64> = 1...1_000_000

    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8] {
        let windowFields = WindowLimit.fields + CounterScope.fields + ["assumed_output_tokens"]
        var reader = ConfigReader(config, fields: Self.boundFields + windowFields)
        let bounds = Self.boundFields.map { reader.integer($0, in: Self.boundRange) }
        let assumedOutput = reader.integer("assumed_output_tokens", in: Self.assumedOutputRange)
        var window: WindowLimit?
        var scope: CounterScope?
        if windowFields.contains(where: { reader.has($0) }) {
            window = WindowLimit.read(&reader)
            scope = CounterScope.read(&reader)
        } else if reader.problems.isEmpty, bounds.allSatisfy({ $0 == nil }) {
            reader.report("", "must have \(Self.boundFields.joined(separator: ", ")), or limit and window")
        }
        try reader.finish()
        var writer = makeProgram(of: name)
        for bound in bounds { writer.write(optional: bound) }
        writer.write(bool: window != nil)
        if let window, let scope {
            scope.write(to: &writer)
            window.write(to: &writer)
            writer.write(optional: assumedOutput)
        }
        return writer.bytes
    }

    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram {
        try readProgram(program, of: name) { reader throws(ProgramError) in
            let maxPrompt = try reader.optionalInteger(in: Self.boundRange)
            let maxCompletion = try reader.optionalInteger(in: Self.boundRange)
            let maxTotal = try reader.optionalInteger(in: Self.boundRange)
            var window: (limit: WindowLimit, scope: CounterScope)?
            var assumedOutput: Int64?
            if try reader.bool() {
                let scope = try CounterScope(from: &reader)
                window = (try WindowLimit(from: &reader), scope)
                assumedOutput = try reader.optionalInteger(in: Self.assumedOutputRange)
            } else if maxPrompt == nil, maxCompletion == nil, maxTotal == nil {
                throw reader.failure(.outOfBounds)
            }
            return TokenLimitRule(
                maxPrompt: maxPrompt,
                maxCompletion: maxCompletion,
                maxTotal: maxTotal,
                window: window,
                assumedOutput: assumedOutput
            )
        }
    }
}

/// Judges with a few integer comparisons, and counts the prompt where its size does not decide; reserves with one claim.
private final class TokenLimitRule: RuleProgram, @unchecked Sendable {
    private let maxPrompt: Int64?
    private let maxCompletion: Int64?
    private let maxTotal: Int64?
    private let window: (limit: WindowLimit, scope: CounterScope)?
    private let assumedOutput: Int64?
    private let guessedOutput: Int64

    /// A Lua number's exact range; a client may ask for more, and then asks for more than any limit.
    private static let maxCost: Int64 = 1 << 53

    init(
        maxPrompt: Int64?,
        maxCompletion: Int64?,
        maxTotal: Int64?,
        window: (limit: WindowLimit, scope: CounterScope)?,
        assumedOutput: Int64?
    ) {
        self.maxPrompt = maxPrompt
        self.maxCompletion = maxCompletion
        self.maxTotal = maxTotal
        self.window = window
        self.assumedOutput = assumedOutput
        let share = max(1, (window?.limit.burst ?? .max) / TokenLimit.assumedShareOfLimit)
        guessedOutput = min(TokenLimit.defaultAssumedOutput, share)
    }

    /// Judges the prompt and the most output that the request may use.
    ///
    /// A client that names no cap is not refused for its output: nothing is known of it until `review`.
    override func decide(_ request: borrowing PolicyRequest, _ budget: inout EvaluationBudget) -> Verdict {
        if let maxPrompt, let tokens = request.prompt.excess(over: Int(maxPrompt)) {
            return .refuse(Refusal(.promptTooLong, limit: maxPrompt, got: Int64(tokens)))
        }
        let output = Self.output(request, cap: request.parsed.outputCap.map { Int64($0) } ?? 0)
        if let maxCompletion, output > maxCompletion {
            return .refuse(Refusal(.outputCapTooHigh, limit: maxCompletion, got: output))
        }
        guard let maxTotal else { return .allow }
        guard output > maxTotal || request.prompt.excess(over: Int(maxTotal - output)) != nil else { return .allow }
        let prompt = Int64(request.prompt.excess(over: Int(maxTotal)) ?? request.prompt.tokens)
        let reason: RefusalReason = prompt > maxTotal ? .promptTooLong : .outputCapTooHigh
        return .refuse(Refusal(reason, limit: maxTotal, got: Self.saturatingSum(prompt, output)))
    }

    /// Reserves the prompt and each choice's cap: nearly always more than is used, which settling corrects.
    override func claims(
        _ request: borrowing PolicyRequest,
        rule: Int,
        policyID: [UInt8],
        isShadow: Bool,
        into claims: inout [LimitClaim]
    ) {
        guard let window else { return }
        let prompt = Int64(request.prompt.reservation(of: window.limit.burst))
        var cost = Self.saturatingSum(prompt, Self.output(request, cap: outputCap(of: request)))
        if request.parsed.outputCap == nil {
            // Nobody asked for that much: a guess alone keeps no request out of an empty window.
            cost = min(cost, max(prompt, window.limit.burst))
        }
        claims.append(
            window.limit.claim(
                request,
                of: window.scope,
                rule: rule,
                policyID: policyID,
                unit: .tokens,
                cost: min(cost, Self.maxCost),
                isShadow: isShadow
            )
        )
    }

    override func review(_ usage: SettledUsage, _ request: borrowing PolicyRequest) -> Violation? {
        if let maxPrompt, usage.promptTokens > maxPrompt {
            return Violation(.promptTokens, limit: maxPrompt, got: usage.promptTokens)
        }
        if let maxCompletion, usage.completionTokens > maxCompletion {
            return Violation(.completionTokens, limit: maxCompletion, got: usage.completionTokens)
        }
        if let maxTotal, usage.totalTokens > maxTotal {
            return Violation(.totalTokens, limit: maxTotal, got: usage.totalTokens)
        }
        return nil
    }

    /// Tokens of one choice: what the client allows, else what the policy assumes, else the model's most, else a guess.
    private func outputCap(of request: borrowing PolicyRequest) -> Int64 {
        if let cap = request.parsed.outputCap { return Int64(cap) }
        return assumedOutput ?? request.maxOutputTokens ?? guessedOutput
    }

    /// The most tokens of all choices together; embeddings have no output.
    private static func output(_ request: borrowing PolicyRequest, cap: Int64) -> Int64 {
        guard request.endpoint != .embeddings else { return 0 }
        let (product, overflow) = cap.multipliedReportingOverflow(by: Int64(request.parsed.choices))
        return overflow ? .max : product
    }

    private static func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }
}
