// What a simulation is asked, checked as every body of the admin API is.

import LLMWire
import Policy

/// The fields of a call.
struct SimulateQuestion {
    /// Policies to try besides those in force.
    private static let maxTrials = 16

    let keyID: String?
    let appID: String?
    let endpoint: Endpoint
    let body: [UInt8]
    let headers: GivenHeaders
    let trials: [Rule]

    init(_ call: Call, _ registry: PolicyRegistry) throws {
        try call.query.allowOnly([])
        var reader = ObjectReader(try call.object())
        let keyID = reader.optionalText("key", maxBytes: 64)
        let appID = reader.optionalText("app", maxBytes: 64)
        if (keyID == nil) == (appID == nil) { reader.refuse("key", "is needed, or app; not both") }
        let paths = Endpoint.allCases.map { "\($0.path)" }
        let path = reader.word("endpoint", of: paths, default: "\(Endpoint.chatCompletions.path)")
        let body = reader.take("body")
        if case .object? = body {} else { reader.refuse("body", "must be the request's body, an object") }
        var headers: [(name: [UInt8], value: [UInt8])] = []
        switch reader.take("headers") {
        case nil: break
        case .object(let members)? where members.count <= 100:
            for member in members {
                guard let value = member.value.stringValue, value.utf8.count <= 8_192, member.name.utf8.count <= 256
                else {
                    reader.refuse("headers", "must be texts of at most 8,192 bytes")
                    break
                }
                headers.append((Array(member.name.lowercased().utf8), Array(value.utf8)))
            }
        default: reader.refuse("headers", "must be an object of at most 100 texts")
        }
        let trials = try Self.trials(reader.take("policies"), &reader, registry)
        try reader.finish()
        self.keyID = keyID
        self.appID = appID
        self.endpoint = Endpoint.allCases[paths.firstIndex(of: path) ?? 0]
        self.body = body?.bytes ?? []
        self.headers = GivenHeaders(fields: headers)
        self.trials = trials
    }

    /// Policies that are tried without being stored; each gets an id that no stored one has.
    private static func trials(
        _ value: JSON?,
        _ reader: inout ObjectReader,
        _ registry: PolicyRegistry
    ) throws -> [Rule] {
        guard let value else { return [] }
        guard let policies = value.arrayValue, policies.count <= maxTrials else {
            reader.refuse("policies", "must be at most \(maxTrials) policies")
            return []
        }
        var rules: [Rule] = []
        for (index, policy) in policies.enumerated() {
            guard case .object(let members) = policy else {
                reader.refuse("policies", "must be objects")
                return []
            }
            var draft = ObjectReader(members)
            let kindName = draft.text("kind", maxBytes: 64, required: true) ?? ""
            let config = draft.take("config") ?? .null
            let mode = draft.word("mode", of: ["enforce", "shadow"], default: "enforce")
            let onError = draft.word("on_error", of: ["deny", "allow"], default: "deny")
            _ = draft.take("name")
            _ = draft.take("scope")
            try draft.finish()
            guard let kind = registry.kind(named: kindName) else {
                reader.refuse("policies", "\(index): there is no kind \(kindName.prefix(64))")
                return []
            }
            do throws(ConfigProblems) {
                let program = try kind.compile(ConfigValue(config))
                rules.append(
                    Rule(
                        policyID: Array("trial-\(index + 1)".utf8),
                        kind: kind.name,
                        mode: mode == "shadow" ? .shadow : .enforce,
                        onError: onError == "allow" ? .allow : .deny,
                        program: try load(kind, program),
                        priority: nil,
                        createdAt: .max
                    )
                )
            } catch {
                reader.refuse(
                    "policies",
                    "\(index): \(error.problems.map { "\($0.path) \($0.reason)" }.joined(separator: "; "))"
                )
                return []
            }
        }
        return rules
    }

    private static func load(_ kind: any PolicyKind, _ program: [UInt8]) throws(ConfigProblems) -> RuleProgram {
        do throws(ProgramError) {
            return try kind.load(program)
        } catch {
            preconditionFailure("a program that was compiled here is one: \(error.reason)")
        }
    }
}

/// The header fields that a simulation is given.
final class GivenHeaders: RequestHeaders {
    private let fields: [(name: [UInt8], value: [UInt8])]

    init(fields: [(name: [UInt8], value: [UInt8])]) { self.fields = fields }

    func value(of name: [UInt8]) -> [UInt8]? { fields.first { $0.name == name }?.value }

    func visit(_ show: (_ name: [UInt8], _ value: [UInt8]) -> Void) {
        for field in fields { show(field.name, field.value) }
    }
}
