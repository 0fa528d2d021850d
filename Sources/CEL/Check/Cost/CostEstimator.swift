// Adds up what each part of an expression can cost, with cel-go's published figures.

/// Estimates the cost of one checked expression.
///
/// The maximum is never below what an evaluation is charged, as long as values keep to the sizes that the environment
/// states. Where cel-go's own estimate is below its run-time cost, this one is higher: fields of what is no variable,
/// `startsWith`, `join`, `split`.
///
/// - Source: cel-go `checker/cost.go`, `ext/strings.go` and `ext/lists.go`, read in November 2026; pinned by
///   `Tests/Fixtures/cel/cel_go_cost.jsonl`.
struct CostEstimator {
    let checked: Checked
    var shapes: [Shape]
    /// The shapes of variables that macros declare, by the macro's node.
    private var locals: [NodeID: [Shape]] = [:]

    static let listCost: UInt64 = 10
    static let mapCost: UInt64 = 30
    static let messageCost: UInt64 = 40

    private init(_ checked: Checked) {
        self.checked = checked
        shapes = Array(repeating: .unknown, count: checked.ast.nodes.count)
    }

    /// The least and the most that an evaluation can cost.
    static func estimate(_ checked: Checked) -> CostEstimate {
        var estimator = CostEstimator(checked)
        return estimator.cost(checked.ast.root)
    }

    /// The cost of a node with all below it; notes its shape.
    mutating func cost(_ id: NodeID) -> CostEstimate {
        switch checked.ast[id].kind {
        case .literal(let value): literal(id, value)
        case .identifier: named(id, form: .plain)
        case .select(let operand, _, let form):
            isVariable(id) ? named(id, form: form) : select(id, operand, form)
        case .index(let operand, let index, _): self.index(id, operand, index)
        case .call(let name, let receiver, let arguments): call(id, name, receiver, arguments)
        case .list(let elements, _): list(id, elements)
        case .map(let entries): map(id, entries)
        case .message(_, let fields): message(fields)
        case .and(let operands), .or(let operands): logic(operands)
        case .conditional(let condition, let then, let otherwise): conditional(id, condition, then, otherwise)
        case .comprehension(let comprehension): self.comprehension(id, comprehension)
        case .bind(_, let initialiser, let body): bind(id, initialiser, body)
        case .block(let slots, let body): block(id, slots, body)
        }
    }

    /// The size that comparing a node's value counts.
    func size(_ id: NodeID) -> CostEstimate {
        let type = checked.types[id]
        if type.hasNoSize { return .one }
        guard let size = shapes[id].size else { return .unknown }
        // It may be an optional, or something else that counts as 1.
        return type == .dyn ? CostEstimate(size.min, max(size.max, 1)) : size
    }

    /// The size of a node's value, or of what an optional holds.
    func innerSize(_ id: NodeID) -> CostEstimate {
        if case .abstract("optional_type", let parameters) = checked.types[id] {
            return parameters.first?.hasNoSize == true ? .one : shapes[id].size ?? .unknown
        }
        return size(id)
    }

    mutating func declare(_ id: NodeID, _ shapes: [Shape]) { locals[id] = shapes }
}

extension CostEstimator {
    @inline(never)
    private mutating func literal(_ id: NodeID, _ value: Value) -> CostEstimate {
        shapes[id].size = CostEstimate(UInt64(value.costSize))
        return .zero
    }

    /// Whether the node's whole name means something, rather than a field.
    private func isVariable(_ id: NodeID) -> Bool {
        switch checked.resolutions[id] {
        case .variable, .type: true
        default: false
        }
    }

    @inline(never)
    private mutating func named(_ id: NodeID, form: Node.SelectForm) -> CostEstimate {
        switch checked.resolutions[id] {
        case .variable(let number) where form != .presence: shapes[id] = shape(checked.environment.variables[number])
        case .local(let node, let index):
            if let declared = locals[node], declared.indices.contains(index) { shapes[id] = declared[index] }
        case .type: return CostEstimate(0, 1)
        default: break
        }
        return form == .plain ? .one : CostEstimate(1, 2)
    }

    private func shape(_ variable: Environment.Variable) -> Shape {
        var shape = Shape(size: variable.maxSize.map { CostEstimate(0, $0) })
        guard let maxElementSize = variable.maxElementSize else { return shape }
        let isList: Bool? =
            switch variable.type {
            case .list: true
            case .map: false
            default: nil
            }
        shape.parts = Shape.Parts(
            isList: isList,
            key: isList == true ? .one : .unknown,
            value: CostEstimate(0, maxElementSize)
        )
        return shape
    }

    /// 1 if a field or an index is the first one on what is no name: its value is then charged like a variable.
    private func firstStep(_ operand: NodeID) -> UInt64 {
        switch checked.ast[operand].kind {
        case .identifier, .select, .index: 0
        default: 1
        }
    }

    @inline(never)
    private mutating func select(_ id: NodeID, _ operand: NodeID, _ form: Node.SelectForm) -> CostEstimate {
        let operandCost = cost(operand)
        let step = firstStep(operand)
        guard form != .presence else { return (operandCost + 1).upTo(step) }
        if let value = shapes[operand].parts?.value { shapes[id].size = value }
        if form == .optional { return (operandCost + 1).upTo(step) }
        if case .map = checked.types[operand] { return (operandCost + 1).upTo(step) }
        return operandCost.upTo(step + 1)
    }

    @inline(never)
    private mutating func index(_ id: NodeID, _ operand: NodeID, _ index: NodeID) -> CostEstimate {
        let sum = cost(operand) + cost(index) + 1
        if let value = shapes[operand].parts?.value { shapes[id].size = value }
        return sum.upTo(firstStep(operand))
    }

    @inline(never)
    private mutating func list(_ id: NodeID, _ elements: [NodeID]) -> CostEstimate {
        var sum = CostEstimate(Self.listCost)
        var element: CostEstimate?
        for node in elements {
            sum = sum + cost(node)
            element = element?.union(innerSize(node)) ?? innerSize(node)
        }
        shapes[id] = .list(CostEstimate(UInt64(elements.count)), of: element ?? .zero)
        return sum
    }

    @inline(never)
    private mutating func map(_ id: NodeID, _ entries: [Node.Entry]) -> CostEstimate {
        var sum = CostEstimate(Self.mapCost)
        var key: CostEstimate?
        var value: CostEstimate?
        for entry in entries {
            sum = sum + cost(entry.key) + cost(entry.value)
            key = key?.union(size(entry.key)) ?? size(entry.key)
            value = value?.union(innerSize(entry.value)) ?? innerSize(entry.value)
        }
        shapes[id] = Shape(
            size: CostEstimate(UInt64(entries.count)),
            parts: Shape.Parts(isList: false, key: key ?? .zero, value: value ?? .zero)
        )
        return sum
    }

    @inline(never)
    private mutating func message(_ fields: [Node.Field]) -> CostEstimate {
        var sum = CostEstimate(Self.messageCost)
        for field in fields { sum = sum + cost(field.value) }
        return sum
    }

    @inline(never)
    private mutating func logic(_ operands: [NodeID]) -> CostEstimate {
        var sum = CostEstimate.zero
        for (place, operand) in operands.enumerated() {
            let next = cost(operand)
            sum = sum + (place == 0 ? next : next.orLess)
        }
        return sum
    }

    @inline(never)
    private mutating func conditional(
        _ id: NodeID,
        _ condition: NodeID,
        _ then: NodeID,
        _ otherwise: NodeID
    ) -> CostEstimate {
        let sum = cost(condition) + cost(then).union(cost(otherwise))
        shapes[id] = known(then).union(known(otherwise))
        return sum
    }

    /// A node's shape, with the size that its type alone gives.
    func known(_ id: NodeID) -> Shape {
        var shape = shapes[id]
        if shape.size == nil, innerSize(id) == .one { shape.size = .one }
        return shape
    }
}

extension CELType {
    /// Whether comparing values of this type costs 1, whatever they are.
    var hasNoSize: Bool {
        switch self {
        case .bool, .int, .uint, .double, .null, .timestamp, .duration, .type, .abstract: true
        case .wrapper(let wrapped): wrapped.hasNoSize
        case .string, .bytes, .list, .map, .dyn, .parameter: false
        }
    }
}
