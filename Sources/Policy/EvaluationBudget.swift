// What the expressions of one request may cost together: a hundred rules at their own limit must not make a slow request.

import CEL

/// Units left for a request's expressions; a unit is some 10 ns of work.
public struct EvaluationBudget: Sendable {
    /// Units that one rule may cost.
    public static let perRule: UInt64 = 10_000
    /// Units that all rules of a request may cost.
    public static let perRequest: UInt64 = 100_000

    private var remaining = Self.perRequest

    /// The budget of a new request.
    public init() {}

    /// A meter for the next rule.
    func meter() -> Meter { Meter(limit: min(Self.perRule, remaining)) }

    /// Takes off what a rule cost, also one that failed.
    mutating func spend(_ meter: Meter) { remaining -= min(remaining, meter.cost) }
}
