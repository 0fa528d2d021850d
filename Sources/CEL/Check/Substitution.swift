// What the check has found out about type variables so far, and whether one type may stand where another is expected.
// A variable's type only ever gets wider, so that the order of a list's elements does not matter.

/// The type variables of one check.
///
/// Written after the language's rules for gradual typing (langdef "Gradual Type Checking"): `dyn` fits everything, null
/// fits wrappers, optionals, timestamps, durations and other named types.
struct Substitution {
    /// Type variables are parameters with such a name; no declared parameter has one.
    private static let marker = UInt8(ascii: "?")
    /// Steps that all of a check's comparisons of types may take.
    ///
    /// Types can double with each `cel.bind`; this many steps take about a second and are a thousand times what a rule
    /// needs.
    private static let maxSteps = 4_000_000
    /// How deep types may nest: more than expressions do, less than the stack holds.
    private static let maxDepth = 1_000

    private var bindings: [String: CELType] = [:]
    private var trail: [(name: String, previous: CELType?)] = []
    private var count = 0
    private var steps = 0

    /// Whether the types got too large to be told apart; what was answered since is not to be relied on.
    private(set) var isExhausted = false

    /// The type of what already has a problem; fits everything, so that one mistake is reported once.
    static let poison = CELType.parameter("?!")

    /// A variable that nothing is known of.
    mutating func makeVariable() -> CELType {
        count += 1
        return .parameter("?\(count)")
    }

    /// The type itself, or what its variable is bound to; elements are left as they are.
    func head(_ type: CELType) -> CELType {
        var type = type
        while case .parameter(let name) = type, let bound = bindings[name] { type = bound }
        return type
    }

    /// Whether a value of type `from` may stand where `to` is expected; binds variables of both if so.
    mutating func unify(_ from: CELType, _ to: CELType) -> Bool { unify([from], [to]) }

    /// The same for several types at once: all or nothing.
    mutating func unify(_ from: [CELType], _ to: [CELType]) -> Bool {
        guard from.count == to.count else { return false }
        trail.removeAll(keepingCapacity: true)
        for index in from.indices where !assign(from[index], to[index], depth: 0) {
            for change in trail.reversed() { bindings[change.name] = change.previous }
            return false
        }
        return true
    }

    /// The type of a variable that is declared with it: itself, unless it is nested too deep.
    ///
    /// Between two declarations an expression adds as many levels as it is deep itself, so that no type ever gets too
    /// deep to be dropped.
    mutating func declared(_ type: CELType) -> CELType {
        guard type.isDeeper(than: Self.maxDepth) else { return type }
        isExhausted = true
        return .dyn
    }

    /// The narrowest type that both fit, of types that `unify` has found to fit each other.
    mutating func join(_ first: CELType, _ second: CELType) -> CELType { join(first, second, depth: 0) }

    /// The type with its variables replaced; if `isFinal`, those that nothing is known of become `dyn`.
    mutating func resolve(_ type: CELType, isFinal: Bool) -> CELType { resolve(type, isFinal: isFinal, depth: 0) }

    /// An overload's types, its parameters replaced by new variables.
    mutating func instantiate(_ overload: Environment.Overload) -> (parameters: [CELType], result: CELType) {
        var variables: [String: CELType] = [:]
        let parameters = overload.parameters.map { instantiate($0, &variables) }
        return (parameters, instantiate(overload.result, &variables))
    }
}

extension Substitution {
    private static func isVariable(_ name: String) -> Bool { name.utf8.first == marker }

    private mutating func tick(_ depth: Int) -> Bool {
        steps += 1
        if steps > Self.maxSteps || depth > Self.maxDepth { isExhausted = true }
        return !isExhausted
    }

    private mutating func bind(_ name: String, _ type: CELType) {
        trail.append((name, bindings[name]))
        bindings[name] = type
    }

    /// The variable that a type is, past variables that are bound to variables.
    private func variable(_ type: CELType) -> (name: String, bound: CELType?)? {
        guard case .parameter(var name) = type, Self.isVariable(name), type != Self.poison else { return nil }
        while case .parameter(let next)? = bindings[name], Self.isVariable(next) { name = next }
        return (name, bindings[name])
    }

    private mutating func assign(_ from: CELType, _ to: CELType, depth: Int) -> Bool {
        guard tick(depth) else { return true }
        switch (variable(from), variable(to)) {
        case (nil, nil): return assignKnown(from, to, depth: depth)
        case (let left?, let right?) where left.name == right.name: return true
        case (_, let right?) where right.bound == nil: return bindNew(right.name, from, depth: depth)
        case (let left?, _) where left.bound == nil: return bindNew(left.name, to, depth: depth)
        case (let left, let right):
            let leftType = left?.bound ?? from
            let rightType = right?.bound ?? to
            guard assign(leftType, rightType, depth: depth + 1) else { return false }
            let wide = join(leftType, rightType, depth: depth + 1)
            if let left { bind(left.name, wide) }
            if let right { bind(right.name, wide) }
            return true
        }
    }

    private mutating func bindNew(_ name: String, _ type: CELType, depth: Int) -> Bool {
        guard !occurs(name, in: type, depth: depth) else { return false }
        bind(name, type)
        return true
    }

    private mutating func assignKnown(_ from: CELType, _ to: CELType, depth: Int) -> Bool {
        switch (from, to) {
        case (.dyn, _), (_, .dyn), (Self.poison, _), (_, Self.poison): true
        case (.null, let other), (let other, .null): other.isNullable
        case (.wrapper(let from), .wrapper(let to)): assign(from, to, depth: depth + 1)
        case (.wrapper(let from), _): assign(from, to, depth: depth + 1)
        case (_, .wrapper(let to)): assign(from, to, depth: depth + 1)
        case (.list(let from), .list(let to)): assign(from, to, depth: depth + 1)
        case (.map(let fromKey, let from), .map(let toKey, let to)):
            assign(fromKey, toKey, depth: depth + 1) && assign(from, to, depth: depth + 1)
        case (.abstract(let fromName, let from), .abstract(let toName, let to)):
            fromName == toName && from.count == to.count
                && from.indices.allSatisfy { assign(from[$0], to[$0], depth: depth + 1) }
        case (.type, .type): true
        case (.parameter(let from), .parameter(let to)): from == to
        default: from.isScalarAtom && to.isScalarAtom && from == to
        }
    }

    private mutating func occurs(_ name: String, in type: CELType, depth: Int) -> Bool {
        guard tick(depth) else { return false }
        switch type {
        case .parameter(let other):
            if other == name { return true }
            guard let bound = bindings[other] else { return false }
            return occurs(name, in: bound, depth: depth + 1)
        case .list(let element), .wrapper(let element), .type(let element?):
            return occurs(name, in: element, depth: depth + 1)
        case .map(let key, let value):
            return occurs(name, in: key, depth: depth + 1) || occurs(name, in: value, depth: depth + 1)
        case .abstract(_, let parameters):
            return parameters.contains { occurs(name, in: $0, depth: depth + 1) }
        default: return false
        }
    }

    private mutating func join(_ first: CELType, _ second: CELType, depth: Int) -> CELType {
        guard tick(depth) else { return .dyn }
        let (first, second) = (head(first), head(second))
        switch (first, second) {
        case (Self.poison, let other), (let other, Self.poison): return other
        case (.dyn, _), (_, .dyn): return .dyn
        case (.parameter, let other), (let other, .parameter), (.null, let other), (let other, .null): return other
        case (.wrapper, _): return first
        case (_, .wrapper): return second
        case (.list(let first), .list(let second)): return .list(join(first, second, depth: depth + 1))
        case (.map(let firstKey, let first), .map(let secondKey, let second)):
            return .map(join(firstKey, secondKey, depth: depth + 1), join(first, second, depth: depth + 1))
        case (.abstract(let name, let first), .abstract(_, let second)) where first.count == second.count:
            return .abstract(name, first.indices.map { join(first[$0], second[$0], depth: depth + 1) })
        case (.type(let one?), .type(let other?)):
            return one.isScalarAtom && other.isScalarAtom && one == other ? first : .type(nil)
        default: return first
        }
    }

    private mutating func resolve(_ type: CELType, isFinal: Bool, depth: Int) -> CELType {
        guard tick(depth) else { return .dyn }
        let type = head(type)
        switch type {
        case .parameter(let name): return isFinal && Self.isVariable(name) ? .dyn : type
        case .list(let element): return .list(resolve(element, isFinal: isFinal, depth: depth + 1))
        case .wrapper(let wrapped): return .wrapper(resolve(wrapped, isFinal: isFinal, depth: depth + 1))
        case .type(let of?): return .type(resolve(of, isFinal: isFinal, depth: depth + 1))
        case .map(let key, let value):
            return .map(
                resolve(key, isFinal: isFinal, depth: depth + 1),
                resolve(value, isFinal: isFinal, depth: depth + 1)
            )
        case .abstract(let name, let parameters) where !parameters.isEmpty:
            return .abstract(name, parameters.map { resolve($0, isFinal: isFinal, depth: depth + 1) })
        default: return type
        }
    }

    private mutating func instantiate(_ type: CELType, _ variables: inout [String: CELType]) -> CELType {
        switch type {
        case .parameter(let name):
            if let variable = variables[name] { return variable }
            let variable = makeVariable()
            variables[name] = variable
            return variable
        case .list(let element): return .list(instantiate(element, &variables))
        case .map(let key, let value): return .map(instantiate(key, &variables), instantiate(value, &variables))
        case .type(let of?): return .type(instantiate(of, &variables))
        case .abstract(let name, let parameters) where !parameters.isEmpty:
            var replaced: [CELType] = []
            for parameter in parameters { replaced.append(instantiate(parameter, &variables)) }
            return .abstract(name, replaced)
        default: return type
        }
    }
}

extension CELType {
    /// Whether it has no parts and no variables, so that comparing it takes one step.
    var isScalarAtom: Bool {
        switch self {
        case .null, .bool, .int, .uint, .double, .string, .bytes, .timestamp, .duration: true
        default: false
        }
    }

    /// Whether it has more levels than these; variables are not followed.
    fileprivate func isDeeper(than levels: Int) -> Bool {
        guard levels > 0 else { return true }
        return switch self {
        case .list(let element), .wrapper(let element), .type(let element?): element.isDeeper(than: levels - 1)
        case .map(let key, let value): key.isDeeper(than: levels - 1) || value.isDeeper(than: levels - 1)
        case .abstract(_, let parameters): parameters.contains { $0.isDeeper(than: levels - 1) }
        default: false
        }
    }

    /// Whether null is one of its values.
    fileprivate var isNullable: Bool {
        switch self {
        case .null, .wrapper, .abstract, .timestamp, .duration: true
        default: false
        }
    }
}
