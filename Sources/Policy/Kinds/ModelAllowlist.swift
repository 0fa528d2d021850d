// Says which models may be used, by name or pattern, for the name the client asks for and for every model it would
// be routed to: an alias or a fallback cannot slip by. Names are bytes: another case, another Unicode form, a space
// or an invisible character is another model.
//
// Program: bool has allow │ count, patterns │ count, patterns of deny.

import Codec

/// The kind of `{"allow": ["gpt-4o*"], "deny": ["*-preview"]}`.
///
/// `deny` wins. An empty `allow` denies every model; without `allow`, every model that `deny` does not name may be used.
struct ModelAllowlist: PolicyKind {
    let name = "model_allowlist"
    var schema: [UInt8] { PackageResources.model_allowlist_schema_json }

    static let maxPatterns = 256
    static let maxPatternBytes = 256

    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8] {
        var reader = ConfigReader(config, fields: ["allow", "deny"])
        if reader.problems.isEmpty, !reader.has("allow"), !reader.has("deny") {
            reader.report("", "must have allow, deny or both; {\"allow\": []} denies every model")
        }
        let allow = Self.patterns(&reader, "allow")
        let deny = Self.patterns(&reader, "deny")
        try reader.finish()
        var writer = makeProgram(of: name)
        writer.write(bool: reader.has("allow"))
        for patterns in [allow, deny] {
            writer.write(integer: Int64(patterns.count))
            for pattern in patterns { writer.write(string: pattern) }
        }
        return writer.bytes
    }

    private static func patterns(_ reader: inout ConfigReader, _ field: String) -> [String] {
        guard let entries = reader.strings(field, maxCount: maxPatterns) else { return [] }
        for (path, text) in entries where !isPattern(text) {
            reader.report(
                path,
                "must be 1 to 256 ASCII characters, or 1 to 64 characters if any is not ASCII, none a control character"
            )
        }
        return entries.map(\.text)
    }

    /// Two bounds, so that a JSON Schema, which counts characters, can state what bounds the bytes to 256.
    private static func isPattern(_ text: String) -> Bool {
        let scalars = text.unicodeScalars
        guard !scalars.isEmpty, scalars.allSatisfy({ $0.value > 0x1F && $0.value != 0x7F }) else { return false }
        return scalars.count <= (scalars.allSatisfy(\.isASCII) ? 256 : 64)
    }

    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram {
        try readProgram(program, of: name) { reader throws(ProgramError) in
            let hasAllow = try reader.bool()
            let allow = try Self.patterns(&reader)
            let deny = try Self.patterns(&reader)
            guard hasAllow || allow.isEmpty else { throw reader.failure(.outOfBounds) }
            return ModelAllowlistRule(allow: hasAllow ? GlobSet(allow) : nil, deny: GlobSet(deny))
        }
    }

    private static func patterns(_ reader: inout ProgramReader) throws(ProgramError) -> [[UInt8]] {
        var patterns: [[UInt8]] = []
        for _ in 0..<(try reader.count(max: maxPatterns)) {
            let text = try reader.string(max: maxPatternBytes)
            guard isPattern(text) else { throw reader.failure(.outOfBounds) }
            patterns.append(Array(text.utf8))
        }
        return patterns
    }
}

/// Costs at most 512 steps for each of 512 patterns; a few dozen for patterns as people write them.
private final class ModelAllowlistRule: RuleProgram, @unchecked Sendable {
    private let allow: GlobSet?
    private let deny: GlobSet

    init(allow: GlobSet?, deny: GlobSet) {
        self.allow = allow
        self.deny = deny
    }

    override func permits(model: Span<UInt8>) -> Bool {
        guard model.count <= GlobSet.maxNameBytes, !deny.matches(model) else { return false }
        return allow?.matches(model) ?? true
    }

    override func decide(_ request: borrowing PolicyRequest, _ budget: inout EvaluationBudget) -> Verdict {
        guard permits(model: request.model.span) else { return .refuse(Refusal(.modelNotAllowed)) }
        var index = 0
        while index < request.upstreamModels.count {
            let model = request.upstreamModels[index]
            guard permits(model: model.span) else { return .refuse(Refusal(.modelNotAllowed)) }
            index += 1
        }
        return .allow
    }
}
