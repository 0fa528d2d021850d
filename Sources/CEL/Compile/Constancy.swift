// Which parts of an expression are the same in every evaluation: those that name nothing of the host's, and no variable
// that is bound outside of them.

/// What the nodes of an expression depend on.
struct Constancy {
    private let dependsOnHost: [Bool]
    /// The outermost node that binds a variable used in the node's subtree; a node's own number is above its parts'.
    private let outermostBinder: [NodeID]

    init(_ checked: Checked) {
        let nodes = checked.ast.nodes
        var dependsOnHost = [Bool](repeating: false, count: nodes.count)
        var outermostBinder = [NodeID](repeating: -1, count: nodes.count)
        for id in nodes.indices {
            switch checked.resolutions[id] {
            case .variable, .unknown: dependsOnHost[id] = true
            case .local(let binder, _): outermostBinder[id] = binder
            case .none, .type, .function: break
            }
            // A name that is a whole path is resolved on its last select; what is below it is not evaluated.
            if case .variable = checked.resolutions[id] { continue }
            if case .type = checked.resolutions[id], !nodes[id].kind.isMessage { continue }
            for part in nodes[id].kind.evaluatedParts(checked.resolutions[id]) {
                dependsOnHost[id] = dependsOnHost[id] || dependsOnHost[part]
                outermostBinder[id] = max(outermostBinder[id], outermostBinder[part])
            }
        }
        self.dependsOnHost = dependsOnHost
        self.outermostBinder = outermostBinder
    }

    /// Whether the node can be computed by itself.
    func isConstant(_ id: NodeID) -> Bool { !dependsOnHost[id] && outermostBinder[id] <= id }
}

extension Node.Kind {
    fileprivate var isMessage: Bool { if case .message = self { true } else { false } }

    /// The nodes whose values the node's is made of.
    fileprivate func evaluatedParts(_ resolution: Resolution) -> [NodeID] {
        switch self {
        case .literal, .identifier: []
        case .select(let operand, _, _): [operand]
        case .index(let operand, let index, _): [operand, index]
        case .call(_, let receiver, let arguments):
            if case .function(_, hasReceiver: false) = resolution {
                arguments
            } else {
                (receiver.map { [$0] } ?? []) + arguments
            }
        case .list(let elements, _): elements
        case .map(let entries): entries.flatMap { [$0.key, $0.value] }
        case .message(_, let fields): fields.map(\.value)
        case .and(let operands), .or(let operands): operands
        case .conditional(let condition, let then, let otherwise): [condition, then, otherwise]
        case .comprehension(let it): [it.range] + (it.filter.map { [$0] } ?? []) + [it.body]
        case .bind(_, let initialiser, let body): [initialiser, body]
        case .block(let slots, let body): slots + [body]
        }
    }
}
