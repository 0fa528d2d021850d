// How counters stand, without charging them: for whoever asks what would happen.

/// Reads what claims would find.
///
/// It is the reservation's own script with one claim more that never fits: then it charges nothing and answers where all
/// the others stand, by the very code that counts.
public enum PeekScript {
    /// A counter that nobody writes, in the app's slot.
    private static let nobody = LimitClaim(
        rule: 0,
        counter: Array("peek".utf8),
        limit: 0,
        windowMilliseconds: 1_000,
        algorithm: .fixedWindow,
        unit: .tokens,
        cost: 1,
        isShadow: false
    )

    /// The call that looks.
    ///
    /// - Parameters:
    ///   - app: the app's id.
    ///   - claims: what the request would take.
    /// - Returns: what to ask of Redis.
    public static func call(app: [UInt8], claims: [LimitClaim]) -> ScriptCall {
        ReserveScript.leaselessCall(app: app, claims: claims + [nobody])
    }

    /// What the reply says.
    ///
    /// - Parameters:
    ///   - integers: the reply, as it came.
    ///   - claims: the claims that were sent.
    /// - Returns: where each stands, and whether it would fit.
    /// - Throws: when the script cannot have said it.
    public static func states(of integers: [Int64], claims: [LimitClaim]) throws(LimitsError) -> [LimitState] {
        guard case .refused(_, let states) = try ReserveScript.outcome(of: integers, claims: claims + [nobody]) else {
            throw .outOfBounds
        }
        return Array(states.dropLast())
    }
}
