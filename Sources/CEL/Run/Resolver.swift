// How an expression reads its host: one value at a time, when it is needed. Nothing is gathered beforehand.

/// Supplies the values of an environment's variables.
///
/// Called on the thread that evaluates, any number of times for one variable.
public protocol Resolver: ~Copyable {
    /// The value of the variable with this number in `Environment.variables`.
    ///
    /// - Returns: `.unset` when it has none; `.error` when it could not be computed.
    borrowing func value(of variable: Int) -> Value

    /// The value under a key of a variable that is a map with string keys: without making the map.
    ///
    /// - Returns: `.unset` when the map has no such key.
    borrowing func member(_ key: ByteString, of variable: Int) -> Value
}

extension Resolver where Self: ~Copyable {
    /// Looks the key up in the variable's value.
    public borrowing func member(_ key: ByteString, of variable: Int) -> Value {
        switch value(of: variable) {
        case .map(let map): map.value(for: key) ?? .unset
        case .error(let error): .error(error)
        case .unset: .error(EvaluationError(.unknownVariable))
        default: .error(EvaluationError(.noSuchOverload))
        }
    }
}

/// Values given beforehand, for tests and the command line.
public struct Bindings: Resolver, Sendable {
    private let values: [Value]

    /// Binds variables.
    ///
    /// - Parameter values: one for each of the environment's variables, in their order.
    public init(_ values: [Value]) { self.values = values }

    /// The variable's value.
    public func value(of variable: Int) -> Value { variable < values.count ? values[variable] : .unset }
}
