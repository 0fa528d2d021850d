// What the functions of the strings and lists extensions cost: going through the input, and making the result.

extension CostEstimator {
    mutating func strings(_ id: NodeID, _ function: Function, _ nodes: [NodeID]) -> CostEstimate {
        let text = size(nodes[0])
        switch function {
        case .charAt:
            shapes[id].size = CostEstimate(0, 1)
            return text.traversal + 2
        case .indexOf, .lastIndexOf: return (text * size(nodes[1])).traversal + 1
        case .lowerAscii, .upperAscii: return transform(id, text, text)
        case .trim: return transform(id, text, text.orLess)
        case .substring: return transform(id, text, substring(text, nodes))
        case .reverse: return reverse(id, nodes[0])
        case .replace: return replace(id, text, nodes)
        case .split:
            let pieces = (text + 1).orLess
            shapes[id] = .list(pieces, of: text.orLess)
            return (text + 1).traversal + pieces + 11
        case .join: return join(id, nodes)
        default: return .one
        }
    }

    private mutating func transform(_ id: NodeID, _ text: CostEstimate, _ result: CostEstimate) -> CostEstimate {
        shapes[id].size = result
        return text.traversal + result + 1
    }

    private func substring(_ text: CostEstimate, _ nodes: [NodeID]) -> CostEstimate {
        let start = position(nodes[1])
        let end = nodes.count == 3 ? position(nodes[2]) : nil
        let most = Swift.min(end ?? .max, text.max)
        let length = most - Swift.min(start ?? 0, most)
        let isFixed = start != nil && (nodes.count == 2 ? text.min == text.max : end != nil)
        return CostEstimate(isFixed ? length : 0, length)
    }

    private mutating func reverse(_ id: NodeID, _ node: NodeID) -> CostEstimate {
        let size = size(node)
        shapes[id] = known(node)
        let text = size.traversal + size + 1
        let list = size + 11
        return switch checked.types[node] {
        case .string, .wrapper: text
        case .list: list
        default: text.union(list)
        }
    }

    private mutating func replace(_ id: NodeID, _ text: CostEstimate, _ nodes: [NodeID]) -> CostEstimate {
        let needle = size(nodes[1])
        let replacement = size(nodes[2]) + 1
        let search = (text.atLeastOne * needle.atLeastOne).traversal
        let result = CostEstimate(
            Swift.min(text.atLeastOne.min, replacement.min),
            ((text.atLeastOne + 1) * replacement).max
        )
        shapes[id].size = result.orLess
        return search + result + 1
    }

    private mutating func join(_ id: NodeID, _ nodes: [NodeID]) -> CostEstimate {
        let count = size(nodes[0])
        let separator = nodes.count == 2 ? size(nodes[1]) : .zero
        let element = shapes[nodes[0]].parts?.value ?? .unknown
        let result = (count * (element + separator)).orLess
        shapes[id].size = result
        return (count + 1).traversal + result + 1
    }

    mutating func lists(_ id: NodeID, _ function: Function, _ nodes: [NodeID]) -> CostEstimate {
        let size = size(nodes[0])
        shapes[id] = known(nodes[0])
        switch function {
        case .slice:
            let most = Swift.min(position(nodes[2]) ?? .max, size.max)
            let length = most - Swift.min(position(nodes[1]) ?? 0, most)
            let isFixed = position(nodes[1]) != nil && position(nodes[2]) != nil
            let result = CostEstimate(isFixed ? length : 0, length)
            shapes[id].size = result
            return result + 11
        case .flatten:
            let depth = nodes.count == 2 ? position(nodes[1]).map { CostEstimate($0) } ?? .unknown : .one
            shapes[id] = Shape(size: nodes.count == 1 ? (size * innerElements(nodes[0])).orLess : nil)
            return size * depth + 11
        case .distinct:
            shapes[id].size = size.orLess
            guard case .list(let element) = checked.types[nodes[0]] else { return sorting(size, .dyn) }
            return sorting(size, element)
        case .sort:
            guard case .list(let element) = checked.types[nodes[0]] else { return sorting(size, .dyn) }
            return sorting(size, element)
        case .range:
            let count = position(nodes[0]).map { CostEstimate($0) } ?? .unknown
            shapes[id] = .list(count, of: .one)
            return count + 11
        case .first, .last:
            shapes[id] = Shape(size: shapes[nodes[0]].parts?.value)
            return .one
        default: return .one
        }
    }

    /// How many elements the lists in a list have.
    private func innerElements(_ node: NodeID) -> CostEstimate { shapes[node].parts?.value ?? .unknown }
}

extension CostEstimate {
    /// Text that is searched counts as one code point at least.
    fileprivate var atLeastOne: CostEstimate { CostEstimate(Swift.max(min, 1), Swift.max(max, 1)) }
}
