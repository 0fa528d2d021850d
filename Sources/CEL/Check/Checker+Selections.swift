// Names, fields and indices: `a.b.c` may be one variable, a field of one, or the start of a function's name.

extension Checker {
    /// The local that a name means; the innermost wins.
    private func local(_ name: String) -> Local? { locals.last { $0.name == name } }

    /// The dotted name that a chain of plain selections spells.
    ///
    /// - Returns: nil when it starts at a local or at anything else, or when it is longer than all names that there are.
    func path(_ id: NodeID) -> Names.Path? {
        var segments: [String] = []
        var id = id
        while segments.count < names.maxSegments {
            switch ast[id].kind {
            case .select(let operand, let field, .plain):
                segments.append(field)
                id = operand
            case .identifier(let name, let isRooted):
                guard isRooted || local(name) == nil else { return nil }
                segments.append(name)
                return Names.Path(text: segments.reversed().joined(separator: "."), isRooted: isRooted)
            default: return nil
            }
        }
        return nil
    }

    mutating func identifier(_ id: NodeID, _ name: String, isRooted: Bool) -> CELType {
        if !isRooted, let local = local(name) {
            resolutions[id] = .local(node: local.node, index: local.index)
            return local.type
        }
        let path = Names.Path(text: name, isRooted: isRooted)
        if let meaning = names.lookup(path) { return mean(id, meaning, form: .plain) }
        resolutions[id] = .unknown
        return unknownName(id, path)
    }

    private mutating func unknownName(_ id: NodeID, _ path: Names.Path) -> CELType {
        let offset = ast[id].offset
        if let namespace = names.namespace(path) { return bareNamespace(offset, path, namespace) }
        if names.function(path) != nil {
            return problem(at: offset, "'\(path.text)' is a function; it can only be called")
        }
        let hint = hint(path.text, among: names.roots + locals.map(\.name))
        return problem(at: offset, "undeclared name '\(path.text)'\(hint)")
    }

    private mutating func bareNamespace(_ offset: Int, _ path: Names.Path, _ namespace: String) -> CELType {
        let example = names.fields(of: namespace).first.map { ", as in '\(path.text).\($0)'" } ?? ""
        return problem(at: offset, "'\(path.text)' can only be used with a field\(example)")
    }

    /// Notes what a node's whole name means.
    private mutating func mean(_ id: NodeID, _ meaning: Names.Meaning, form: Node.SelectForm) -> CELType {
        switch meaning {
        case .variable(let number):
            resolutions[id] = .variable(number)
            let type = names.environment.variables[number].type
            switch form {
            case .plain: return type
            case .optional: return optional(type)
            case .presence: return .bool
            }
        case .type(let name):
            resolutions[id] = .type(name)
            return .type(TypeNames.values[name] ?? TypeNames.messages[name]?.type)
        case .nullConstant:
            ast.nodes[id].kind = .literal(.null)
            return .null
        }
    }

    /// An optional of the type; an optional stays one.
    private func optional(_ type: CELType) -> CELType {
        if case .abstract("optional_type", _) = type { type } else { .optional(type) }
    }

    mutating func select(_ id: NodeID, _ operand: NodeID, _ field: String, _ form: Node.SelectForm) -> CELType {
        if let container = path(operand) {
            let whole = Names.Path(text: "\(container.text).\(field)", isRooted: container.isRooted)
            switch names.lookup(whole) {
            case .variable(let number)?: return mean(id, .variable(number), form: form)
            case let meaning? where form == .plain: return mean(id, meaning, form: form)
            default:
                if isTyped, let problem = unknownField(id, container, field, whole) { return problem }
            }
        }
        return selectField(id, infer(operand), field, form)
    }

    /// A problem if the operand is only the beginning of variables' names.
    private mutating func unknownField(
        _ id: NodeID,
        _ container: Names.Path,
        _ field: String,
        _ whole: Names.Path
    ) -> CELType? {
        guard let namespace = names.namespace(container), !hasMeaning(container) else { return nil }
        let offset = ast[id].offset
        if let inner = names.namespace(whole) { return bareNamespace(offset, whole, inner) }
        let hint = hint(field, among: names.fields(of: namespace), prefix: "\(container.text).")
        return problem(at: offset, "no field '\(field)' in '\(container.text)'\(hint)")
    }

    /// Whether the path, or a beginning of it, is a name by itself.
    private func hasMeaning(_ path: Names.Path) -> Bool {
        var text = path.text[...]
        while true {
            if names.lookup(Names.Path(text: String(text), isRooted: path.isRooted)) != nil { return true }
            guard let dot = text.utf8.lastIndex(of: UInt8(ascii: ".")) else { return false }
            text = text[..<dot]
        }
    }

    private mutating func selectField(
        _ id: NodeID,
        _ operand: CELType,
        _ field: String,
        _ form: Node.SelectForm
    ) -> CELType {
        guard isTyped else { return .dyn }
        var type = substitution.head(operand)
        guard type != Substitution.poison else { return type }
        var isOptional = form == .optional
        if case .abstract("optional_type", let parameters) = type, let wrapped = parameters.first {
            type = substitution.head(wrapped)
            isOptional = true
        }
        let value: CELType
        switch type {
        case .dyn: value = .dyn
        case Substitution.poison: value = type
        case .parameter:
            guard substitution.unify(type, .dyn) else { return Substitution.poison }
            value = .dyn
        case .map(let key, let element):
            guard substitution.unify(.string, key) else {
                return problem(at: ast[id].offset, "no field '\(field)' in \(text(type)): its keys are not strings")
            }
            value = element
        default: return problem(at: ast[id].offset, "\(text(type)) has no fields; '\(field)' is selected from it")
        }
        if form == .presence { return .bool }
        return isOptional ? optional(substitution.head(value)) : value
    }

    mutating func index(_ id: NodeID, _ operand: NodeID, _ index: NodeID, isOptional: Bool) -> CELType {
        let operandType = infer(operand)
        let indexType = infer(index)
        guard isTyped else { return .dyn }
        if case .dyn = substitution.head(operandType) { return isOptional ? .optional(.dyn) : .dyn }
        return overload(
            at: ast[id].offset,
            isOptional ? "_[?_]" : "_[_]",
            isOptional ? StandardLibrary.optionalIndex : StandardLibrary.index,
            [operandType, indexType],
            isMember: false
        )
    }
}
