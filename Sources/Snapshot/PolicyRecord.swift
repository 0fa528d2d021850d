// A policy as it travels: its program is compiled already, and a node loads it as untrusted input.

public import Policy

/// To whose requests a policy applies.
public enum PolicyScope: Sendable, Equatable, Hashable {
    /// To all requests.
    case global
    /// To the requests of the app with this id.
    case app(String)
    /// To the requests with this key.
    case key(KeyID)
}

/// One enabled policy.
public struct PolicyRecord: Sendable, Equatable {
    /// The policy's id.
    public var id: String
    /// What people call it.
    public var name: String
    /// The registered kind that loads the program.
    public var kind: String
    /// To whose requests it applies.
    public var scope: PolicyScope
    /// Whether it refuses.
    public var mode: RuleMode
    /// What happens when it fails.
    public var onError: RuleErrorChoice
    /// Policies with a priority come first, the lowest number before all.
    public var priority: Int32?
    /// When it was made, in milliseconds since the Unix epoch; the order of policies without a priority.
    public var createdAt: Int64
    /// The order of policies of one time: the database's running number.
    public var sequence: UInt64
    /// What `PolicyKind.compile` made of the configuration.
    public var program: [UInt8]

    /// Makes a record.
    public init(
        id: String,
        name: String,
        kind: String,
        scope: PolicyScope,
        mode: RuleMode = .enforce,
        onError: RuleErrorChoice = .deny,
        priority: Int32? = nil,
        createdAt: Int64,
        sequence: UInt64,
        program: [UInt8]
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.scope = scope
        self.mode = mode
        self.onError = onError
        self.priority = priority
        self.createdAt = createdAt
        self.sequence = sequence
        self.program = program
    }
}
