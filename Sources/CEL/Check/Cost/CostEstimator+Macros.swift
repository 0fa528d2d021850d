// What macros cost. They are charged as the loops that the language defines them as, although they run otherwise.

extension CostEstimator {
    /// A bind stands for a loop over an empty list.
    @inline(never)
    mutating func bind(_ id: NodeID, _ initialiser: NodeID, _ body: NodeID) -> CostEstimate {
        let initialiserCost = cost(initialiser)
        declare(id, [known(initialiser)])
        let sum = initialiserCost + cost(body) + Self.listCost
        shapes[id] = shapes[body]
        return sum
    }

    @inline(never)
    mutating func block(_ id: NodeID, _ slots: [NodeID], _ body: NodeID) -> CostEstimate {
        var sum = CostEstimate(Self.listCost + 1)
        var declared: [Shape] = []
        for slot in slots {
            sum = sum + cost(slot)
            declared.append(known(slot))
            declare(id, declared)
        }
        sum = sum + cost(body)
        shapes[id] = shapes[body]
        return sum
    }

    @inline(never)
    mutating func comprehension(_ id: NodeID, _ comprehension: Comprehension) -> CostEstimate {
        let range = cost(comprehension.range)
        if comprehension.kind == .optMap || comprehension.kind == .optFlatMap {
            return optional(id, comprehension, range)
        }
        let variables = variables(comprehension)
        declare(id, variables)
        let filter = comprehension.filter.map { cost($0) }
        let body = cost(comprehension.body)
        let element = element(comprehension.kind, body, filter)
        let size = size(comprehension.range)
        note(id, comprehension, size, variables)
        if comprehension.kind == .sortBy { return sortBy(comprehension, range, size * element) }
        return range + Self.start(comprehension.kind) + size * element + Self.end(comprehension.kind)
    }

    /// What the first value of the result costs.
    private static func start(_ kind: Comprehension.Kind) -> UInt64 {
        switch kind {
        case .all, .exists, .existsOne: 0
        case .transformMap, .transformMapEntry: mapCost
        default: listCost
        }
    }

    /// What it costs to give the result.
    private static func end(_ kind: Comprehension.Kind) -> UInt64 { kind == .existsOne ? 2 : 1 }

    /// What one element costs.
    private func element(_ kind: Comprehension.Kind, _ body: CostEstimate, _ filter: CostEstimate?) -> CostEstimate {
        let step: CostEstimate
        switch kind {
        case .all: return CostEstimate(3) + body.orLess
        case .exists: return CostEstimate(4) + body.orLess
        case .existsOne: return body + CostEstimate(1, 2)
        case .filter: return body + CostEstimate(1, 13)
        case .transformMap: step = body + 3
        case .transformMapEntry: step = body + 2
        default: step = body + 12
        }
        return filter.map { $0 + step.union(.one) } ?? step
    }

    /// The shapes of a comprehension's variables.
    private func variables(_ comprehension: Comprehension) -> [Shape] {
        guard let parts = shapes[comprehension.range].parts else { return [.unknown, .unknown] }
        let isList: Bool? =
            switch checked.types[comprehension.range] {
            case .list: true
            case .map: false
            default: parts.isList
            }
        if comprehension.secondVariable != nil {
            return [isList == nil ? .unknown : Shape(size: parts.key), Shape(size: parts.value)]
        }
        return isList.map { [Shape(size: $0 ? parts.value : parts.key)] } ?? [.unknown]
    }

    private mutating func note(
        _ id: NodeID,
        _ comprehension: Comprehension,
        _ size: CostEstimate,
        _ variables: [Shape]
    ) {
        switch comprehension.kind {
        case .map, .transformList: shapes[id] = .list(size, of: self.size(comprehension.body).union(.zero))
        case .filter:
            let element = elementType(checked.types[comprehension.range])
            let known = element.hasNoSize ? .one : variables.first?.size ?? .unknown
            shapes[id] = .list(size, of: known.union(.zero))
        case .transformMap:
            shapes[id] = Shape(
                size: size,
                parts: Shape.Parts(
                    isList: false,
                    key: variables.first?.size ?? .unknown,
                    value: self.size(comprehension.body).union(.zero)
                )
            )
        case .transformMapEntry: shapes[id].size = size * self.size(comprehension.body)
        case .sortBy: shapes[id] = known(comprehension.range)
        default: break
        }
    }

    private func elementType(_ type: CELType) -> CELType {
        switch type {
        case .list(let element): element
        case .map(let key, _): key
        default: .dyn
        }
    }

    /// `sortBy` stands for a bind of the list, a `map` to the keys, and a sort by these.
    private func sortBy(_ comprehension: Comprehension, _ range: CostEstimate, _ loop: CostEstimate) -> CostEstimate {
        let keys = CostEstimate(1 + Self.listCost) + loop + 1
        let sort = sorting(size(comprehension.range), checked.types[comprehension.body])
        return range + Self.listCost + 1 + keys + sort
    }

    /// What sorting that many keys of a type costs.
    func sorting(_ size: CostEstimate, _ type: CELType) -> CostEstimate {
        let factor: CostEstimate =
            switch type {
            case .string, .bytes: (size * size).scaled(2.1)
            case .dyn, .wrapper, .parameter: (size * size).scaled(2).union((size * size).scaled(2.1))
            default: (size * size).scaled(2)
            }
        return factor + 1 + Self.listCost
    }

    /// `optMap` stands for `range.hasValue() ? optional.of(cel.bind(v, range.value(), body)) : optional.none()`.
    @inline(never)
    private mutating func optional(_ id: NodeID, _ comprehension: Comprehension, _ range: CostEstimate) -> CostEstimate
    {
        declare(id, [known(comprehension.range)])
        let body = cost(comprehension.body)
        shapes[id] = known(comprehension.body)
        let bound = range + 1 + Self.listCost + body + (comprehension.kind == .optMap ? 1 : 0)
        return range + 1 + bound.union(.one)
    }
}
