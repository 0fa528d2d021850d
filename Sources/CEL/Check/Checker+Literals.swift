// Lists, maps and well-known messages. Elements of different types make the element type `dyn`.

extension Checker {
    /// The type of elements so far, and one more.
    private mutating func widen(_ type: CELType?, _ next: CELType) -> CELType {
        guard let type else { return next }
        return substitution.unify(type, next) ? substitution.join(type, next) : .dyn
    }

    /// The type inside of the optional that an entry with `?` must be.
    private mutating func unwrapped(_ id: NodeID) -> CELType {
        let element = substitution.makeVariable()
        expect(id, .optional(element), "what follows '?'")
        return substitution.resolve(element, isFinal: false)
    }

    mutating func list(_ elements: [NodeID], optional: [Bool]) -> CELType {
        var type: CELType?
        for (place, element) in elements.enumerated() {
            var next = infer(element)
            if isTyped, optional.indices.contains(place), optional[place] { next = unwrapped(element) }
            if isTyped { type = widen(type, next) }
        }
        return .list(type ?? substitution.makeVariable())
    }

    mutating func map(_ entries: [Node.Entry]) -> CELType {
        var key: CELType?
        var value: CELType?
        for entry in entries {
            let entryKey = infer(entry.key)
            var entryValue = infer(entry.value)
            guard isTyped else { continue }
            if entry.isOptional { entryValue = unwrapped(entry.value) }
            key = widen(key, self.key(entry.key, entryKey))
            value = widen(value, entryValue)
        }
        return .map(key ?? substitution.makeVariable(), value ?? substitution.makeVariable())
    }

    /// The type of a key: nothing with parts, hence types do not double with every map around a map.
    private mutating func key(_ id: NodeID, _ type: CELType) -> CELType {
        let type = substitution.head(type)
        switch type {
        case .int, .uint, .bool, .string, .dyn, Substitution.poison: return type
        case .wrapper(let wrapped): return wrapped
        case .parameter: return substitution.unify(type, .dyn) ? .dyn : type
        default:
            return problem(at: ast[id].offset, "a map's key must be int, uint, bool or string, not \(text(type))")
        }
    }

    mutating func message(_ id: NodeID, _ name: String, _ fields: [Node.Field]) -> CELType {
        var values: [CELType] = []
        for field in fields { values.append(infer(field.value)) }
        guard let fullName = names.message(name), let message = TypeNames.messages[fullName] else {
            resolutions[id] = .unknown
            return problem(at: ast[id].offset, "undeclared message type '\(name)'")
        }
        resolutions[id] = .type(fullName)
        guard isTyped else { return .dyn }
        for (field, value) in zip(fields, values) {
            guard let expected = message.fields[field.name] else {
                let hint = hint(field.name, among: message.fields.keys.sorted())
                _ = problem(at: field.offset, "no field '\(field.name)' in '\(fullName)'\(hint)")
                continue
            }
            let given = field.isOptional ? unwrapped(field.value) : value
            if !substitution.unify(given, expected) {
                _ = problem(
                    at: ast[field.value].offset,
                    "field '\(field.name)' of '\(fullName)' must be \(text(expected)), not \(text(given))"
                )
            }
        }
        return message.type
    }
}
