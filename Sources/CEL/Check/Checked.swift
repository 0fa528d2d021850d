// What the check knows of each node, for the compiler and the cost estimate.

/// An expression whose names are resolved, and whose types are known if it was type-checked.
struct Checked: Sendable {
    /// The expression; as parsed.
    var ast: AST
    /// What the node's name means, by node.
    var resolutions: [Resolution]
    /// The node's type, by node; all `dyn` without a type check.
    var types: [CELType]
    /// The environment it was checked against.
    var environment: Environment

    /// The whole expression's type.
    var type: CELType { types[ast.root] }
}

/// What a name in the source stands for.
enum Resolution: Equatable, Sendable {
    /// Nothing to resolve.
    case none
    /// The host's variable of that number. On a select: the whole path names the variable (`request.model`); a select of
    /// form `presence` or `optional` asks whether it has a value.
    case variable(Int)
    /// A variable of a comprehension, a bind or a block; `node` is the one that declares it. `index` is 0 for
    /// `variable` or a bind's name, 1 for `secondVariable`, and the slot's number for a block.
    case local(node: NodeID, index: Int)
    /// A type's name as a value.
    case type(String)
    /// A call: the function's full name; `hasReceiver` says whether the call's receiver is an argument, rather than the
    /// name space of the function (`math.abs(x)`).
    case function(String, hasReceiver: Bool)
    /// A name of nothing: an error when evaluated. Only without a type check.
    case unknown
}
