// Macros that declare variables. Each keeps its own rule for the body's type, rather than the loop that it stands for.

extension Checker {
    mutating func bind(_ id: NodeID, _ name: String, _ initialiser: NodeID, _ body: NodeID) -> CELType {
        let type = infer(initialiser)
        declare(name, id, 0, type)
        defer { locals.removeLast() }
        return infer(body)
    }

    private mutating func declare(_ name: String, _ node: NodeID, _ index: Int, _ type: CELType) {
        locals.append(Local(name: name, node: node, index: index, type: substitution.declared(type)))
    }

    mutating func block(_ id: NodeID, _ slots: [NodeID], _ body: NodeID) -> CELType {
        for (index, slot) in slots.enumerated() {
            let type = infer(slot)
            declare("@index\(index)", id, index, type)
        }
        defer { locals.removeLast(slots.count) }
        return infer(body)
    }

    mutating func comprehension(_ id: NodeID, _ comprehension: Comprehension) -> CELType {
        let range = infer(comprehension.range)
        let elements = elementTypes(comprehension, range)
        declare(comprehension.variable, id, 0, elements.first)
        if let second = comprehension.secondVariable {
            declare(second, id, 1, elements.second)
        }
        defer { locals.removeLast(comprehension.secondVariable == nil ? 1 : 2) }
        if let filter = comprehension.filter {
            _ = infer(filter)
            expect(filter, .bool, "the filter of '\(comprehension.kind.name)'")
        }
        let body = infer(comprehension.body)
        return isTyped ? result(comprehension, elements, body) : .dyn
    }

    /// What a comprehension goes over: the types of its variables, and the range's own type if it is one that
    /// `filter` and `sortBy` give back.
    private struct Elements {
        var first = CELType.dyn
        var second = CELType.dyn
        /// What a list has, or a map's keys.
        var element = CELType.dyn
    }

    private mutating func elementTypes(_ comprehension: Comprehension, _ range: CELType) -> Elements {
        guard isTyped else { return Elements() }
        switch comprehension.kind {
        case .optMap, .optFlatMap: return wrappedType(comprehension, range)
        default: break
        }
        let type = substitution.head(range)
        let hasTwo = comprehension.secondVariable != nil
        switch (type, comprehension.kind) {
        case (.list(let element), _):
            return Elements(first: hasTwo ? .int : element, second: element, element: hasTwo ? .int : element)
        case (_, .sortBy): break
        case (.map(let key, let value), _): return Elements(first: key, second: value, element: key)
        default: break
        }
        switch type {
        case .dyn: return Elements()
        case Substitution.poison: return Elements(first: type, second: type, element: type)
        case .parameter:
            _ = substitution.unify(type, .dyn)
            return Elements()
        default:
            let takes = comprehension.kind == .sortBy ? "a list" : "a list or a map"
            let poison = problem(
                at: ast[comprehension.range].offset,
                "'\(comprehension.kind.name)' goes over \(takes), not \(text(type))"
            )
            return Elements(first: poison, second: poison, element: poison)
        }
    }

    private mutating func wrappedType(_ comprehension: Comprehension, _ range: CELType) -> Elements {
        let wrapped = substitution.makeVariable()
        if case .dyn = substitution.head(range) { return Elements() }
        guard substitution.unify(range, .optional(wrapped)) else {
            let poison = problem(
                at: ast[comprehension.range].offset,
                "'\(comprehension.kind.name)' is called on an optional, not on \(text(range))"
            )
            return Elements(first: poison)
        }
        return Elements(first: wrapped)
    }

    private mutating func result(_ comprehension: Comprehension, _ elements: Elements, _ body: CELType) -> CELType {
        let name = comprehension.kind.name
        switch comprehension.kind {
        case .all, .exists, .existsOne:
            expect(comprehension.body, .bool, "the condition of '\(name)'")
            return .bool
        case .filter:
            expect(comprehension.body, .bool, "the condition of '\(name)'")
            return .list(elements.element)
        case .map, .transformList: return .list(body)
        case .transformMap: return .map(elements.first, body)
        case .transformMapEntry:
            let entry = CELType.map(substitution.makeVariable(), substitution.makeVariable())
            expect(comprehension.body, entry, "the entry of '\(name)'")
            return entry
        case .sortBy:
            expectComparable(comprehension.body, body)
            return .list(elements.element)
        case .optMap: return .optional(body)
        case .optFlatMap:
            let optional = CELType.optional(substitution.makeVariable())
            expect(comprehension.body, optional, "the result of '\(name)'")
            return optional
        }
    }

    private mutating func expectComparable(_ id: NodeID, _ type: CELType) {
        switch substitution.head(type) {
        case .dyn, .parameter, .wrapper: return
        case let known where StandardLibrary.comparable.contains(known): return
        default:
            _ = problem(at: ast[id].offset, "the key of 'sortBy' must have an order, which \(text(type)) has not")
        }
    }
}

extension Comprehension.Kind {
    /// The macro as it is written.
    var name: String {
        switch self {
        case .all: "all"
        case .exists: "exists"
        case .existsOne: "exists_one"
        case .map: "map"
        case .filter: "filter"
        case .transformList: "transformList"
        case .transformMap: "transformMap"
        case .transformMapEntry: "transformMapEntry"
        case .sortBy: "sortBy"
        case .optMap: "optMap"
        case .optFlatMap: "optFlatMap"
        }
    }
}
