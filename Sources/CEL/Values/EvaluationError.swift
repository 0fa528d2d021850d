// Why an expression has no value. Small and without text, so that an error costs nothing to make: `||` may absorb
// thousands of them in one evaluation.

/// An error of CEL's: the result of an expression that has no value.
public struct EvaluationError: Error, Equatable, Sendable {
    /// What went wrong.
    public enum Reason: UInt8, Sendable, CaseIterable {
        /// The operands are of types that the operation does not have.
        case noSuchOverload = 0
        /// Integer arithmetic left 64 bits, or a time its range.
        case overflow
        /// An integer was divided by zero.
        case divisionByZero
        /// A map has no such key, or an object no such field.
        case noSuchKey
        /// An index is outside of its list or string.
        case indexOutOfRange
        /// A name has no value.
        case unknownVariable
        /// A name is no function, or is not built in.
        case unknownFunction
        /// A map literal has a key twice, or keys that are equal across number types.
        case repeatedKey
        /// A map key is neither bool, int, uint nor string.
        case unsupportedKey
        /// A value is outside of what a conversion or function accepts.
        case invalidArgument
        /// A text is not what a conversion reads.
        case malformedText
        /// A pattern is not RE2's, or too large.
        case badPattern
        /// A time zone is not known.
        case unknownTimeZone
        /// `optional.none().value()`.
        case emptyOptional
        /// A value that the expression's host could not supply.
        case unavailable
        /// The evaluation cost more than its limit; never absorbed.
        case costLimitExceeded
        /// The evaluation touched or made more than its bound; never absorbed.
        case workLimitExceeded
    }

    /// What went wrong.
    public let reason: Reason
    /// Bytes from the source's start, near the trouble; `.max` where it is not known.
    public internal(set) var offset: UInt32

    /// Makes an error.
    public init(_ reason: Reason, offset: UInt32 = .max) {
        self.reason = reason
        self.offset = offset
    }

    /// Whether it ends the evaluation whatever stands around it.
    var isAbort: Bool { reason == .costLimitExceeded || reason == .workLimitExceeded }
}

extension EvaluationError.Reason {
    /// The reason in words, for people who write rules.
    public var message: StaticString {
        switch self {
        case .noSuchOverload: "no such overload"
        case .overflow: "result out of range"
        case .divisionByZero: "division by zero"
        case .noSuchKey: "no such key"
        case .indexOutOfRange: "index out of range"
        case .unknownVariable: "no such variable"
        case .unknownFunction: "unknown function"
        case .repeatedKey: "a map has a key twice"
        case .unsupportedKey: "unsupported map key type"
        case .invalidArgument: "invalid argument"
        case .malformedText: "text cannot be converted"
        case .badPattern: "not a regular expression that RE2 accepts"
        case .unknownTimeZone: "unknown time zone"
        case .emptyOptional: "optional.none() has no value"
        case .unavailable: "value not available"
        case .costLimitExceeded: "cost limit exceeded"
        case .workLimitExceeded: "work limit exceeded"
        }
    }
}
