// What a kind of policy must be able to do, and the list of kinds: a new one is a file in Kinds/ and a line here.

/// A kind of policy: how its config is validated, compiled and loaded.
public protocol PolicyKind: Sendable {
    /// The kind's name in the API: lower case, digits and `_`.
    var name: String { get }

    /// The JSON Schema of its config (draft 2020-12): the bytes of schemas/policy/<name>.schema.json.
    var schema: [UInt8] { get }

    /// Validates a config and compiles it to what travels in snapshots.
    ///
    /// - Throws: everything that is wrong with it.
    func compile(_ config: ConfigValue) throws(ConfigProblems) -> [UInt8]

    /// What an admin may want to know of a config that is right, beyond that it is: an object.
    ///
    /// - Throws: as `compile`.
    func facts(_ config: ConfigValue) throws(ConfigProblems) -> ConfigValue

    /// Makes the rule from a program; the bytes are not trusted.
    ///
    /// - Throws: why they are no program of this kind that `compile` could have written.
    func load(_ program: [UInt8]) throws(ProgramError) -> RuleProgram
}

extension PolicyKind {
    /// Nothing more to say than that it compiles.
    public func facts(_ config: ConfigValue) throws(ConfigProblems) -> ConfigValue {
        _ = try compile(config)
        return [:]
    }
}

/// The kinds of policy that this build knows.
public struct PolicyRegistry: Sendable {
    private var kinds: [any PolicyKind] = []

    /// All of Weir's kinds.
    public static let standard: PolicyRegistry = {
        var registry = PolicyRegistry()
        registry.register(ModelAllowlist())
        registry.register(RequestSize())
        registry.register(CelKind())
        registry.register(TokenLimit())
        registry.register(RateLimit())
        return registry
    }()

    /// Makes an empty registry.
    public init() {}

    /// Adds a kind; two of one name are a mistake of ours.
    public mutating func register(_ kind: any PolicyKind) {
        precondition(self.kind(named: kind.name) == nil, "a policy kind is registered once")
        kinds.append(kind)
    }

    /// The kind of that name, compared byte by byte.
    public func kind(named name: String) -> (any PolicyKind)? {
        kinds.first { $0.name.utf8.elementsEqual(name.utf8) }
    }

    /// The kinds' names, in the order of their registration.
    public var names: [String] { kinds.map(\.name) }
}
