// Admits so many requests per window, exactly, over all nodes. Nothing is decided here: the claim is, by one script
// in Redis together with the request's other limits.
//
// Program: a window limit (WindowLimit.swift).

import Codec
import Limits

/// The kind of `{"limit": 100, "window": "1m", "per": ["app", "header:x-user"], "algorithm": "fixed_window"}`.
struct RateLimit: PolicyKind {
    let name = "rate_limit"
    var schema: [UInt8] { PackageResources.rate_limit_schema_json }

    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8] {
        var reader = ConfigReader(config, fields: ["limit", "window", "per", "algorithm"])
        if let algorithm = reader.string("algorithm"), !algorithm.utf8.elementsEqual("fixed_window".utf8) {
            reader.report("/algorithm", "must be fixed_window")
        }
        let window = WindowLimit.read(&reader, algorithm: .fixedWindow)
        try reader.finish()
        var writer = makeProgram(of: name)
        window?.write(to: &writer)
        return writer.bytes
    }

    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram {
        try readProgram(program, of: name) { reader throws(ProgramError) in
            RateLimitRule(try WindowLimit(from: &reader))
        }
    }
}

/// Claims one request of a window.
private final class RateLimitRule: RuleProgram, @unchecked Sendable {
    private let window: WindowLimit

    init(_ window: WindowLimit) { self.window = window }

    override func claims(
        _ request: borrowing PolicyRequest,
        rule: Int,
        policyID: [UInt8],
        isShadow: Bool,
        into claims: inout [LimitClaim]
    ) {
        claims.append(
            window.claim(request, rule: rule, policyID: policyID, unit: .requests, cost: 1, isShadow: isShadow)
        )
    }
}
