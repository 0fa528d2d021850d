// Admits so many requests per window, or so many at a time, exactly, over all nodes. Nothing is decided here: the claims
// are, by one script in Redis together with the request's other limits.
//
// Program: scope (CounterScope.swift) │ bool has window │ window limit (WindowLimit.swift) │ optional max_concurrent.

import Codec
import Limits

/// The kind of `{"limit": 100, "window": "1m", "max_concurrent": 8, "per": ["app", "header:x-user"]}`.
///
/// `limit` with `window`, or `max_concurrent`, must be there.
struct RateLimit: PolicyKind {
    let name = "rate_limit"
    var schema: [UInt8] { PackageResources.rate_limit_schema_json }

    /// More than a fleet can hold open.
    static let concurrentRange: ClosedRange<Int64> = 1...1_000_000_000

    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8] {
        var reader = ConfigReader(config, fields: WindowLimit.fields + ["max_concurrent"] + CounterScope.fields)
        let maxConcurrent = reader.integer("max_concurrent", in: Self.concurrentRange)
        // Nothing at all is most likely a forgotten window.
        let hasWindow = WindowLimit.isPresent(reader) || !reader.has("max_concurrent")
        let window = hasWindow ? WindowLimit.read(&reader) : nil
        let scope = CounterScope.read(&reader)
        try reader.finish()
        var writer = makeProgram(of: name)
        scope?.write(to: &writer)
        writer.write(bool: window != nil)
        window?.write(to: &writer)
        writer.write(optional: maxConcurrent)
        return writer.bytes
    }

    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram {
        try readProgram(program, of: name) { reader throws(ProgramError) in
            let scope = try CounterScope(from: &reader)
            let window = try reader.bool() ? WindowLimit(from: &reader) : nil
            let maxConcurrent = try reader.optionalInteger(in: Self.concurrentRange)
            guard window != nil || maxConcurrent != nil else { throw reader.failure(.outOfBounds) }
            return RateLimitRule(scope, window: window, maxConcurrent: maxConcurrent)
        }
    }
}

/// Claims one request of a window, one place among those in flight, or both.
private final class RateLimitRule: RuleProgram, @unchecked Sendable {
    private let scope: CounterScope
    private let window: WindowLimit?
    private let maxConcurrent: Int64?

    init(_ scope: CounterScope, window: WindowLimit?, maxConcurrent: Int64?) {
        self.scope = scope
        self.window = window
        self.maxConcurrent = maxConcurrent
    }

    override func claims(
        _ request: borrowing PolicyRequest,
        rule: Int,
        policyID: [UInt8],
        isShadow: Bool,
        into claims: inout [LimitClaim]
    ) {
        if let window {
            claims.append(
                window.claim(
                    request,
                    of: scope,
                    rule: rule,
                    policyID: policyID,
                    unit: .requests,
                    cost: 1,
                    isShadow: isShadow
                )
            )
        }
        guard let maxConcurrent else { return }
        // Its counters go when the last request has ended, so those in flight bound them.
        claims.append(
            LimitClaim(
                rule: rule,
                counter: scope.counter(request, policyID: policyID),
                limit: maxConcurrent,
                windowMilliseconds: 0,
                algorithm: .concurrency,
                unit: .inFlight,
                cost: 1,
                isShadow: isShadow,
                onRedisFailure: scope.onRedisFailure
            )
        )
    }
}
