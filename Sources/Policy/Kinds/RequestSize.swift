// Refuses bodies over a bound before they are read: the cheapest refusal there is.
//
// Program: integer max_bytes.

import Codec

/// The kind of `{"max_bytes": 1048576}`.
struct RequestSize: PolicyKind {
    let name = "request_size"
    var schema: [UInt8] { PackageResources.request_size_schema_json }

    /// Up to 2³¹; the whole body as received, after transfer decoding.
    static let range: ClosedRange<Int64> = 1...2_147_483_648

    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8] {
        var reader = ConfigReader(config, fields: ["max_bytes"])
        reader.require("max_bytes")
        let maxBytes = reader.integer("max_bytes", in: Self.range)
        try reader.finish()
        var writer = makeProgram(of: name)
        writer.write(integer: maxBytes ?? 0)
        return writer.bytes
    }

    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram {
        try readProgram(program, of: name) { reader throws(ProgramError) in
            RequestSizeRule(maxBytes: Int(try reader.integer(in: Self.range)))
        }
    }
}

/// Limits the size of a request's body; costs one comparison.
private final class RequestSizeRule: RuleProgram, @unchecked Sendable {
    private let maxBytes: Int

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    override var maxBodyBytes: Int? { maxBytes }

    override func decide(_ request: borrowing PolicyRequest, _ budget: inout EvaluationBudget) -> Verdict {
        guard request.bodyBytes > maxBytes else { return .allow }
        return .refuse(Refusal(.requestTooLarge, limit: Int64(maxBytes), got: Int64(request.bodyBytes)))
    }
}
