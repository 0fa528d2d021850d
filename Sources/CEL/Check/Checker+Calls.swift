// Calls: which function a name means, and which of its overloads takes the arguments' types.

extension Checker {
    mutating func call(_ id: NodeID, _ name: String, receiver: NodeID?, _ arguments: [NodeID]) -> CELType {
        guard let receiver else {
            let function = names.function(Names.Path(rooted: name))
            return globalCall(id, function, written: name, arguments)
        }
        if let space = path(receiver) {
            let whole = Names.Path(text: "\(space.text).\(name)", isRooted: space.isRooted)
            if let function = names.function(whole) {
                return globalCall(id, function, written: function, arguments)
            }
        }
        return memberCall(id, name, receiver, arguments)
    }

    private mutating func globalCall(
        _ id: NodeID,
        _ function: String?,
        written: String,
        _ arguments: [NodeID]
    ) -> CELType {
        var types: [CELType] = []
        for argument in arguments { types.append(infer(argument)) }
        guard let function else {
            resolutions[id] = .unknown
            return unknownFunction(id, written)
        }
        resolutions[id] = .function(function, hasReceiver: false)
        if StandardLibrary.extremes.contains(function) { return extreme(id, function, types) }
        return resolve(id, function, types, isMember: false)
    }

    private mutating func memberCall(
        _ id: NodeID,
        _ name: String,
        _ receiver: NodeID,
        _ arguments: [NodeID]
    ) -> CELType {
        let overloads = names.overloads(name).filter(\.isMember)
        if overloads.isEmpty, isTyped, let problem = unknownNamespace(id, name, receiver) {
            for argument in arguments { _ = infer(argument) }
            return problem
        }
        var types = [infer(receiver)]
        for argument in arguments { types.append(infer(argument)) }
        guard !overloads.isEmpty else {
            resolutions[id] = .unknown
            return types.contains(Substitution.poison) ? Substitution.poison : unknownMember(id, name)
        }
        resolutions[id] = .function(name, hasReceiver: true)
        return resolve(id, name, types, isMember: true)
    }

    private mutating func resolve(_ id: NodeID, _ name: String, _ types: [CELType], isMember: Bool) -> CELType {
        let overloads = names.overloads(name).filter { $0.isMember == isMember }
        guard isTyped else {
            if !overloads.contains(where: { $0.parameters.count == types.count }) { resolutions[id] = .unknown }
            return .dyn
        }
        return overload(at: ast[id].offset, name, overloads, types, isMember: isMember)
    }

    /// The result of the overloads that take some types: `dyn` if several do and differ in it.
    mutating func overload(
        at offset: Int,
        _ name: String,
        _ overloads: [Environment.Overload],
        _ types: [CELType],
        isMember: Bool
    ) -> CELType {
        guard !types.contains(Substitution.poison) else { return Substitution.poison }
        var result: CELType?
        for overload in overloads where overload.parameters.count == types.count {
            let (parameters, fresh) = substitution.instantiate(overload)
            guard substitution.unify(types, parameters) else { continue }
            let found = substitution.resolve(fresh, isFinal: false)
            if let earlier = result { result = isSame(earlier, found) ? earlier : .dyn } else { result = found }
        }
        return result ?? noOverload(at: offset, name, overloads, types, isMember: isMember)
    }

    /// Whether two results are one type; those with variables are not.
    private func isSame(_ first: CELType, _ second: CELType) -> Bool {
        switch (first, second) {
        case (.list(let first), .list(let second)): isSame(first, second)
        case (.abstract(let first, let none), .abstract(let second, _)) where none.isEmpty: first == second
        default: first.isScalarAtom && second.isScalarAtom && first == second
        }
    }

    /// `math.greatest` and `math.least`.
    private mutating func extreme(_ id: NodeID, _ name: String, _ types: [CELType]) -> CELType {
        guard isTyped else {
            if types.isEmpty { resolutions[id] = .unknown }
            return .dyn
        }
        let most = FunctionSpelling.anyCount.upperBound
        guard types.count <= most else {
            return problem(at: ast[id].offset, "'\(name)' takes at most \(most) arguments, or one list of numbers")
        }
        var types = types.map { substitution.head($0) }
        guard !types.contains(Substitution.poison) else { return Substitution.poison }
        if types.count == 1, case .list(let element) = types[0] { types = [substitution.head(element)] }
        var result: CELType?
        for type in types {
            switch type {
            case .int, .uint, .double: result = result.map { $0 == type ? type : .dyn } ?? type
            case .dyn, .parameter: result = .dyn
            case .wrapper(.int), .wrapper(.uint), .wrapper(.double): result = .dyn
            default: return notNumbers(id, name, types)
            }
        }
        return result ?? notNumbers(id, name, types)
    }

    private mutating func notNumbers(_ id: NodeID, _ name: String, _ types: [CELType]) -> CELType {
        let given = signature(types, isMember: false)
        return problem(
            at: ast[id].offset,
            "no overload of '\(name)' takes \(given); it takes numbers, or one list of numbers"
        )
    }
}

extension Checker {
    /// More overloads than these are not named in a message.
    private static let maxNamed = 5

    private mutating func noOverload(
        at offset: Int,
        _ name: String,
        _ overloads: [Environment.Overload],
        _ types: [CELType],
        isMember: Bool
    ) -> CELType {
        var named: [String] = []
        for overload in overloads.prefix(Self.maxNamed) {
            named.append(signature(overload.parameters, isMember: isMember))
        }
        if overloads.count > Self.maxNamed { named.append("...") }
        if name == "_==_" || name == "_!=_" {
            let given = signature(types, isMember: false)
            return problem(
                at: offset,
                "no overload of '\(name)' takes \(given); both must have one type, or one be in dyn(...)"
            )
        }
        let verb = overloads.count == 1 ? "is" : "are"
        return problem(
            at: offset,
            "no overload of '\(name)' takes \(signature(types, isMember: isMember)); "
                + "there \(verb) \(named.joined(separator: ", "))"
        )
    }

    /// Parameters as messages write them: `(int, T)`, or `string.(int)` with a receiver.
    private mutating func signature(_ types: [CELType], isMember: Bool) -> String {
        var texts: [String] = []
        for type in types { texts.append(text(type)) }
        let receiver = isMember ? "\(texts.removeFirst())." : ""
        return "\(receiver)(\(texts.joined(separator: ", ")))"
    }

    private mutating func unknownFunction(_ id: NodeID, _ name: String) -> CELType {
        if names.overloads(name).contains(where: \.isMember) {
            return problem(at: ast[id].offset, "'\(name)' is called on a value, as in x.\(name)(...)")
        }
        let hint = hint(name, among: names.functions(isMember: false))
        return problem(at: ast[id].offset, "undeclared function '\(name)'\(hint)")
    }

    private mutating func unknownMember(_ id: NodeID, _ name: String) -> CELType {
        if names.function(Names.Path(rooted: name)) != nil {
            return problem(at: ast[id].offset, "'\(name)' is not called on a value, but as in \(name)(x)")
        }
        let hint = hint(name, among: names.functions(isMember: true))
        return problem(at: ast[id].offset, "undeclared function '\(name)'\(hint)")
    }

    /// A problem if a call's receiver is the name space of functions, and the function is not in it.
    private mutating func unknownNamespace(_ id: NodeID, _ name: String, _ receiver: NodeID) -> CELType? {
        guard problems.count < Self.maxProblems, let space = path(receiver), names.lookup(space) == nil,
            names.namespace(space) == nil
        else { return nil }
        let known = names.functions(isMember: false).filter { $0.hasPrefix("\(space.text).") }
        guard !known.isEmpty else { return nil }
        let whole = "\(space.text).\(name)"
        let hint = hint(whole, among: known)
        return problem(at: ast[id].offset, "undeclared function '\(whole)'\(hint)")
    }
}

extension Names.Path {
    /// A name that may start with a dot.
    fileprivate init(rooted name: String) {
        let isRooted = name.utf8.first == UInt8(ascii: ".")
        self.init(text: isRooted ? String(name.dropFirst()) : name, isRooted: isRooted)
    }
}
