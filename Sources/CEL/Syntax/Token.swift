// What the lexer hands to the parser: where a token lies, not what it says, so that a token costs no text.

/// A token of an expression.
struct Token: Sendable {
    enum Kind: UInt8, Sendable {
        /// Behind the last token; it stands where that one ends.
        case end
        /// Where lexing stopped; the lexer has said why.
        case illegal
        case identifier
        /// A name in backquotes.
        case quoted
        case int, uint, double, string, bytes, null, `true`, `false`
        case leftParenthesis, rightParenthesis, leftBracket, rightBracket, leftBrace, rightBrace
        case comma, dot, colon, question
        case `in`, plus, minus, star, slash, percent, not, and, or
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
    }

    let kind: Kind
    /// Bytes from the source's start.
    let start: Int
    /// Just behind the token.
    let end: Int
    /// Of an opening bracket: expressions up to its closing one, which tells macros from calls before they are parsed.
    var argumentCount = 0
}

extension Token.Kind {
    /// How tightly an operator between two operands binds; nil for everything else.
    var precedence: Int? {
        switch self {
        case .or: 1
        case .and: 2
        case .in, .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: 3
        case .plus, .minus: 4
        case .star, .slash, .percent: 5
        default: nil
        }
    }

    /// The function that an operator between two operands calls; nil for `&&` and `||`, which are nodes of their own.
    var function: String? {
        switch self {
        case .in: "@in"
        case .equal: "_==_"
        case .notEqual: "_!=_"
        case .less: "_<_"
        case .lessOrEqual: "_<=_"
        case .greater: "_>_"
        case .greaterOrEqual: "_>=_"
        case .plus: "_+_"
        case .minus: "_-_"
        case .star: "_*_"
        case .slash: "_/_"
        case .percent: "_%_"
        default: nil
        }
    }

    var opensBracket: Bool { self == .leftParenthesis || self == .leftBracket || self == .leftBrace }
    var closesBracket: Bool { self == .rightParenthesis || self == .rightBracket || self == .rightBrace }
}
