// What can be named: looks names up in the container and around it, and guesses what a misspelt one was meant to be.

/// The names of an environment, arranged for lookup.
struct Names {
    let environment: Environment
    /// What to try before a name: the container and those around it, innermost first, and nothing.
    private let prefixes: [String]
    private let variables: [String: Int]
    /// Beginnings of dotted variables: `request` where there is `request.model`.
    private let namespaces: Set<String>
    private let hostFunctions: [String: [Environment.Overload]]
    /// How many parts the longest name has.
    let maxSegments: Int

    init(_ environment: Environment) {
        self.environment = environment
        var prefixes = [""]
        var prefix = ""
        for segment in environment.container.split(separator: ".") {
            prefix += "\(segment)."
            prefixes.insert(prefix, at: 0)
        }
        self.prefixes = prefixes
        var variables: [String: Int] = [:]
        var namespaces: Set<String> = []
        for (number, variable) in environment.variables.enumerated() {
            variables[variable.name] = number
            var end = variable.name.utf8.startIndex
            while let dot = variable.name.utf8[end...].firstIndex(of: UInt8(ascii: ".")) {
                namespaces.insert(String(variable.name[..<dot]))
                end = variable.name.utf8.index(after: dot)
            }
        }
        self.variables = variables
        self.namespaces = namespaces
        hostFunctions = Dictionary(grouping: environment.overloads, by: \.name)
        let known = environment.variables.map(\.name) + environment.overloads.map(\.name) + [TypeNames.nullConstant]
        maxSegments = known.map { $0.utf8.count { $0 == UInt8(ascii: ".") } + 1 }.max() ?? 1
    }

    /// A dotted name as written.
    struct Path {
        let text: String
        let isRooted: Bool
    }

    enum Meaning {
        case variable(Int)
        case type(String)
        /// `google.protobuf.NullValue.NULL_VALUE`
        case nullConstant
    }

    private func candidates(_ path: Path) -> [String] {
        path.isRooted ? [path.text] : prefixes.map { $0 + path.text }
    }

    /// What a name stands for; the innermost container that knows it decides.
    func lookup(_ path: Path) -> Meaning? {
        for name in candidates(path) {
            if let number = variables[name] { return .variable(number) }
            if TypeNames.values[name] != nil || TypeNames.messages[name] != nil { return .type(name) }
            if name == TypeNames.nullConstant { return .nullConstant }
        }
        return nil
    }

    /// The full name of a message that literals can build.
    func message(_ name: String) -> String? {
        let isRooted = name.utf8.first == UInt8(ascii: ".")
        let path = Path(text: isRooted ? String(name.dropFirst()) : name, isRooted: isRooted)
        return candidates(path).first { TypeNames.messages[$0] != nil }
    }

    /// The full name under which variables are, if the name is the beginning of theirs.
    func namespace(_ path: Path) -> String? { candidates(path).first { namespaces.contains($0) } }

    /// The full name of a function that is called without a receiver.
    func function(_ path: Path) -> String? {
        candidates(path).first { name in
            StandardLibrary.extremes.contains(name) || overloads(name).contains { !$0.isMember }
        }
    }

    /// All overloads of that full name.
    func overloads(_ name: String) -> [Environment.Overload] {
        let builtIn = StandardLibrary.overloads[name] ?? []
        guard let host = hostFunctions[name] else { return builtIn }
        return builtIn + host
    }
}

extension Names {
    /// What follows directly on a name space, for suggestions and examples; in the order of declaration.
    func fields(of namespace: String) -> [String] {
        var fields: [String] = []
        for variable in environment.variables where variable.name.hasPrefix(namespace + ".") {
            let rest = variable.name.dropFirst(namespace.count + 1)
            let field = String(rest.prefix { $0 != "." })
            if !fields.contains(field) { fields.append(field) }
        }
        return fields
    }

    /// Names that can start an expression.
    var roots: [String] {
        environment.variables.map { String($0.name.prefix { $0 != "." }) } + TypeNames.values.keys.sorted()
    }

    /// Names of functions, of members or of others.
    func functions(isMember: Bool) -> [String] {
        let builtIn = StandardLibrary.overloads.values.joined().filter { $0.isMember == isMember }.map(\.name)
        let host = environment.overloads.filter { $0.isMember == isMember }.map(\.name)
        return Set(builtIn + host + (isMember ? [] : StandardLibrary.extremes)).sorted()
    }

    /// The nearest of some names that is at most two changes away, and not mostly changed.
    static func nearest(to name: String, among known: [String]) -> String? {
        let length = name.utf8.count
        guard length <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in known {
            let changes = distance(Array(name.utf8), Array(candidate.utf8))
            guard changes > 0, changes <= 2, changes * 2 <= length, changes < best?.distance ?? .max else { continue }
            best = (candidate, changes)
        }
        return best?.name
    }

    /// Insertions, deletions and replacements between two names (Levenshtein's distance); 3 when lengths say so.
    private static func distance(_ from: [UInt8], _ to: [UInt8]) -> Int {
        guard abs(from.count - to.count) <= 2 else { return 3 }
        var row = Array(0...to.count)
        for (index, letter) in from.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in to.enumerated() {
                let replaced = diagonal + (letter == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[to.count]
    }
}
