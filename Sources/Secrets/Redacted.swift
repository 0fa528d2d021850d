// Keeps a secret out of logs by type: whoever prints, dumps or reflects it gets a placeholder.

/// A value that is shown only to code that asks for it by name.
public struct Redacted<Value> {
    private let value: Value

    /// Wraps the secret.
    public init(_ value: Value) { self.value = value }

    /// The secret; the call is what an audit searches for.
    public func reveal() -> Value { value }
}

extension Redacted: Sendable where Value: Sendable {}

extension Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always "[redacted]".
    public var description: String { "[redacted]" }
    /// Always "[redacted]".
    public var debugDescription: String { "[redacted]" }
    /// Without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
