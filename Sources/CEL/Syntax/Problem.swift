// What is wrong with an expression, for the person who wrote it: where, and what was expected.

/// A mistake in an expression's source.
public struct Problem: Error, Equatable, Sendable {
    /// Bytes from the source's start.
    public let offset: Int
    /// What is wrong and what would be right; no line break.
    public let message: String

    /// Makes a problem.
    public init(at offset: Int, _ message: String) {
        self.offset = offset
        self.message = message
    }
}

/// Everything that is wrong with an expression: at least one problem, in the source's order.
public struct Problems: Error, Equatable, Sendable {
    /// The problems.
    public let problems: [Problem]

    /// Gathers problems.
    public init(_ problems: [Problem]) {
        precondition(!problems.isEmpty)
        self.problems = problems.sorted { $0.offset < $1.offset }
    }
}
