// Why bytes could not be read: one small answer for every decoder of the tree, so that a refusal can say where.

/// A decoder met bytes it does not accept.
public struct CodecError: Error, Equatable, Sendable {
    /// What was wrong.
    public enum Reason: String, Equatable, Sendable {
        /// The input ends before the field does.
        case truncated
        /// A length or a count is over the bound that its reader set.
        case tooLong
        /// The bytes are no value of the field's type.
        case invalid
        /// The input goes on after its last field.
        case trailingBytes
    }

    /// What was wrong.
    public let reason: Reason
    /// Bytes from the start of the input to the start of the field that failed.
    public let offset: Int

    /// Makes an error.
    public init(_ reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}
