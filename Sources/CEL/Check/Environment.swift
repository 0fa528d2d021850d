// What an expression may name: the host's variables and functions, and where names are looked up.

/// The names that an expression is checked against.
public struct Environment: Sendable {
    /// A variable; its place in `variables` is how programs and resolvers call it.
    public struct Variable: Sendable {
        /// The name; may have dots, and then reads like a field: `request.model`.
        public let name: String
        /// Its type.
        public let type: CELType
        /// What is assumed of its size (code points, octets, elements, entries) for cost estimates; unknown when nil.
        public let maxSize: UInt64?
        /// What is assumed of the size of each of its elements, or of its values.
        public let maxElementSize: UInt64?

        /// Declares a variable.
        public init(_ name: String, _ type: CELType, maxSize: UInt64? = nil, maxElementSize: UInt64? = nil) {
            self.name = name
            self.type = type
            self.maxSize = maxSize
            self.maxElementSize = maxElementSize
        }
    }

    /// A function of the host's: known to the check, and an error when it is called.
    public struct Overload: Sendable {
        /// The function's name.
        public let name: String
        /// Whether it is called on a receiver, which is then the first parameter.
        public let isMember: Bool
        /// The parameters' types.
        public let parameters: [CELType]
        /// The result's type.
        public let result: CELType

        /// Declares an overload.
        public init(_ name: String, isMember: Bool, _ parameters: [CELType], _ result: CELType) {
            self.name = name
            self.isMember = isMember
            self.parameters = parameters
            self.result = result
        }
    }

    /// The variables, by their numbers.
    public let variables: [Variable]
    /// The host's functions.
    public let overloads: [Overload]
    /// Names are tried inside this name space first, then in those around it; empty for none.
    public let container: String
    /// Tells programs for this environment from others: hashes the variables in their order, and the machine's version.
    public let fingerprint: UInt64

    /// Makes an environment.
    public init(variables: [Variable] = [], overloads: [Overload] = [], container: String = "") {
        self.variables = variables
        self.overloads = overloads
        self.container = container
        fingerprint = Self.fingerprint(of: variables)
    }

    /// FNV-1a, 64 bits, over names and types: it tells builds apart and keeps nobody out, since snapshots are signed.
    private static func fingerprint(of variables: [Variable]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        }
        add("weir cel 1")
        for variable in variables {
            add(variable.name)
            add(variable.type.description)
        }
        return hash
    }
}
