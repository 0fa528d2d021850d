// A parsed expression: nodes in one array that name each other by index. No pointers, so that a deep tree is dropped
// without recursion and passes can keep what they learn in arrays beside it.

/// A node's place in `AST.nodes`; children have lower places than their parents.
typealias NodeID = Int

/// A parsed expression.
struct AST: Sendable {
    /// All nodes.
    var nodes: [Node] = []
    /// The node of the whole expression.
    var root: NodeID = 0

    subscript(id: NodeID) -> Node { nodes[id] }
}

/// A part of an expression.
struct Node: Sendable {
    var kind: Kind
    /// Bytes from the source's start to what an error should point at: an operator's sign, a call's or field's name.
    var offset: Int
    /// How deep the tree below is; a leaf has 1.
    var depth: Int

    enum Kind: Sendable {
        case literal(Value)
        /// A name; `isRooted` when it was written `.name`.
        case identifier(String, isRooted: Bool)
        /// `operand.field`, `operand.?field`, and `has(operand.field)`.
        case select(operand: NodeID, field: String, form: SelectForm)
        /// `operand[index]` and `operand[?index]`.
        case index(operand: NodeID, index: NodeID, isOptional: Bool)
        /// A call of a function, with a receiver if it was written so. Operators are calls of `_+_`, `_==_`, `@in`, `!_`, ….
        case call(String, receiver: NodeID?, arguments: [NodeID])
        /// `[a, ?b]`
        case list([NodeID], optional: [Bool])
        /// `{a: b, ?c: d}`
        case map([Entry])
        /// `a.b.Name{field: value}`
        case message(String, [Field])
        /// A whole chain of `&&`, at least two operands.
        case and([NodeID])
        /// A whole chain of `||`, at least two operands.
        case or([NodeID])
        case conditional(NodeID, then: NodeID, otherwise: NodeID)
        case comprehension(Comprehension)
        /// `cel.bind(name, initialiser, body)`: evaluated at most once, when first used.
        case bind(String, initialiser: NodeID, body: NodeID)
        /// `cel.block([slots], body)`: like binds of `@index0`, `@index1`, …, each of which may use those before it.
        case block([NodeID], body: NodeID)
    }

    enum SelectForm: UInt8, Sendable { case plain, optional, presence }

    struct Entry: Sendable {
        let key: NodeID
        let value: NodeID
        let isOptional: Bool
    }

    struct Field: Sendable {
        let name: String
        let value: NodeID
        let isOptional: Bool
        let offset: Int
    }
}

/// A macro that binds variables to the elements of something.
struct Comprehension: Sendable {
    enum Kind: UInt8, Sendable {
        case all, exists, existsOne, map, filter
        case transformList, transformMap, transformMapEntry
        /// `list.sortBy(v, key)`
        case sortBy
        /// `optional.optMap(v, body)` and `optFlatMap`: the range is the optional.
        case optMap, optFlatMap
    }

    let kind: Kind
    /// The list, map or optional.
    let range: NodeID
    /// The element; the key of a map; with two variables the index of a list.
    let variable: String
    /// The element or value, in the forms with two variables.
    let secondVariable: String?
    /// `map(v, filter, body)` and the transforms' filter.
    let filter: NodeID?
    /// The predicate, the new element, or the map of new entries.
    let body: NodeID
}
