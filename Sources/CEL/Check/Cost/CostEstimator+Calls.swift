// What calls cost, by function and, where its overloads differ, by the arguments' types.

extension CostEstimator {
    @inline(never)
    mutating func call(_ id: NodeID, _ name: String, _ receiver: NodeID?, _ arguments: [NodeID]) -> CostEstimate {
        var nodes = arguments
        var isMember = false
        if let receiver, !isNamespaced(id) {
            nodes.insert(receiver, at: 0)
            isMember = true
        }
        guard case .function(let full, _) = checked.resolutions[id] else { return sum(nodes) + 1 }
        if isMember, full == "or" || full == "orValue", nodes.count == 2 { return lazy(id, nodes[0], nodes[1]) }
        let sum = sum(nodes)
        guard let function = Function.spelled(full, isMember: isMember, count: nodes.count) else { return sum + 1 }
        return sum + operation(id, function, nodes)
    }

    /// Whether what stands before a call's dot is no value.
    private func isNamespaced(_ id: NodeID) -> Bool {
        if case .function(_, hasReceiver: false) = checked.resolutions[id] { true } else { false }
    }

    @inline(never)
    private mutating func sum(_ nodes: [NodeID]) -> CostEstimate {
        var sum = CostEstimate.zero
        for node in nodes { sum = sum + cost(node) }
        return sum
    }

    /// `or` and `orValue`, whose argument is only evaluated when it is needed.
    @inline(never)
    private mutating func lazy(_ id: NodeID, _ optional: NodeID, _ other: NodeID) -> CostEstimate {
        let sum = cost(optional) + cost(other).orLess + CostEstimate(0, 1)
        shapes[id] = known(optional).union(known(other))
        return sum
    }

    /// The cost of a call itself; notes the shape of its result.
    @inline(never)
    private mutating func operation(_ id: NodeID, _ function: Function, _ nodes: [NodeID]) -> CostEstimate {
        switch function {
        case .add: return add(id, nodes)
        case .equal, .notEqual: return comparison(nodes)
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return byText(nodes, text: comparison(nodes))
        case .isIn: return membership(nodes)
        case .toDyn, .optionalOf, .optionalOfNonZero, .optionalValue:
            shapes[id] = known(nodes[0])
            return .one
        case .optionalNone:
            shapes[id] = .nothing
            return .one
        case .startsWith, .endsWith:
            let affix = size(nodes[1]).traversal
            let text = size(nodes[0]).traversal
            return CostEstimate(min(affix.min, text.min), text.max)
        case .contains: return size(nodes[0]).traversal * size(nodes[1]).traversal
        case .matches: return (size(nodes[0]) + 1).traversal * size(nodes[1]).scaled(0.25)
        case .toBytes, .toString, .quote, .base64Encode, .base64Decode: return conversion(id, function, nodes[0])
        case .greatest, .least: return nodes.count > 2 ? CostEstimate(Self.listCost + 1) : .one
        case .setContains, .setIntersects: return size(nodes[0]) * size(nodes[1]) + 1
        case .setEquivalent: return (size(nodes[0]) * size(nodes[1])).scaled(2) + 1
        case .slice, .flatten, .distinct, .sort, .range, .first, .last: return lists(id, function, nodes)
        case .optionalUnwrap:
            shapes[id] = known(nodes[0])
            return .one
        case .format: return size(nodes[0]).traversal
        case .charAt, .indexOf, .lastIndexOf, .join, .lowerAscii, .upperAscii, .replace, .split, .substring, .trim,
            .reverse:
            return strings(id, function, nodes)
        default: return .one
        }
    }

    /// What comparing for equality or order costs where sizes count: a tenth of the smaller.
    private func comparison(_ nodes: [NodeID]) -> CostEstimate {
        let most = min(size(nodes[0]).max, size(nodes[1]).max)
        return CostEstimate(most > 0 ? 1 : 0, most).traversal
    }

    private enum Kind { case text, list, other, unknown }

    /// What the types of operands, which are one type but for `dyn`, leave possible.
    private func kind(_ nodes: [NodeID]) -> Kind {
        for node in nodes {
            var type = checked.types[node]
            if case .wrapper(let wrapped) = type { type = wrapped }
            switch type {
            case .dyn, .parameter: continue
            case .string, .bytes: return .text
            case .list: return .list
            default: return .other
            }
        }
        return .unknown
    }

    /// One, unless the operands are or may be text.
    private func byText(_ nodes: [NodeID], text: CostEstimate) -> CostEstimate {
        switch kind(nodes) {
        case .text: text
        case .list, .other: .one
        case .unknown: text.union(.one)
        }
    }

    private mutating func add(_ id: NodeID, _ nodes: [NodeID]) -> CostEstimate {
        let sum = size(nodes[0]) + size(nodes[1])
        switch kind(nodes) {
        case .other: break
        case .text: shapes[id].size = sum
        case .list:
            shapes[id] = known(nodes[0]).union(known(nodes[1]))
            shapes[id].size = sum
        case .unknown: shapes[id].size = sum.union(.one)
        }
        return byText(nodes, text: sum.traversal)
    }

    private func membership(_ nodes: [NodeID]) -> CostEstimate {
        switch checked.types[nodes[1]] {
        case .list: size(nodes[1])
        case .map: .one
        default: size(nodes[1]).union(.one)
        }
    }

    /// Sizes are in code points for strings and in octets for bytes: four octets make a code point at most.
    private mutating func conversion(_ id: NodeID, _ function: Function, _ node: NodeID) -> CostEstimate {
        let size = size(node)
        var type = checked.types[node]
        if case .wrapper(let wrapped) = type { type = wrapped }
        let four = CostEstimate(size.min, (size * CostEstimate(4)).max)
        switch (function, type) {
        case (.quote, _):
            shapes[id].size = CostEstimate(size.min, (size * CostEstimate(2)).max) + 2
            return size.traversal
        case (.base64Encode, _), (.base64Decode, _):
            shapes[id].size = (size + 3).scaled(1.5).orLess
            return .one
        case (.toBytes, .bytes), (.toString, .string):
            shapes[id].size = size
            return .one
        case (.toBytes, .string):
            shapes[id].size = four
            return size.traversal
        case (.toString, .bytes):
            shapes[id].size = CostEstimate(size.min / 4, size.max)
            return size.traversal
        case (_, .dyn), (_, .parameter):
            shapes[id].size = four.union(CostEstimate(0, Self.maxScalarText))
            return size.traversal.union(.one)
        default:
            shapes[id].size = CostEstimate(0, Self.maxScalarText)
            return .one
        }
    }

    /// No number, time, span of time or address is written with more code points.
    private static let maxScalarText: UInt64 = 64

    /// A literal that is a position or a count.
    func position(_ node: NodeID) -> UInt64? {
        guard case .literal(.int(let value)) = checked.ast[node].kind, value >= 0 else { return nil }
        return UInt64(value)
    }
}
