// Types as the check knows them. Values at run time know only their outermost type.

/// A CEL type.
public indirect enum CELType: Hashable, Sendable {
    /// Anything, checked at run time.
    case dyn
    /// `null_type`.
    case null
    /// `bool`.
    case bool
    /// `int`.
    case int
    /// `uint`.
    case uint
    /// `double`.
    case double
    /// `string`.
    case string
    /// `bytes`.
    case bytes
    /// `google.protobuf.Timestamp`.
    case timestamp
    /// `google.protobuf.Duration`.
    case duration
    /// `type(T)`; of nothing known when nil.
    case type(CELType?)
    /// `list(T)`.
    case list(CELType)
    /// `map(K, V)`.
    case map(CELType, CELType)
    /// `wrapper(T)`: T or null.
    case wrapper(CELType)
    /// A named type with parameters: `optional_type(T)`, `net.IP`, or one that a host declares.
    case abstract(String, [CELType])
    /// A type parameter of an overload, or a variable that the check has yet to find.
    case parameter(String)

    /// `optional_type(T)`.
    public static func optional(_ wrapped: CELType) -> CELType { .abstract("optional_type", [wrapped]) }
}

extension CELType: CustomStringConvertible {
    /// The type as rules' authors read it, as in `map(string, list(int))`.
    public var description: String {
        switch self {
        case .dyn: "dyn"
        case .null: "null_type"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .type(let of): of.map { "type(\($0))" } ?? "type"
        case .list(let element): "list(\(element))"
        case .map(let key, let value): "map(\(key), \(value))"
        case .wrapper(let wrapped): "wrapper(\(wrapped))"
        case .abstract(let name, let parameters):
            parameters.isEmpty ? name : "\(name)(\(parameters.map(\.description).joined(separator: ", ")))"
        case .parameter(let name): name
        }
    }
}
