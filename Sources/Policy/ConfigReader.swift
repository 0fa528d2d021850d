// Reads a policy's config for the kinds: every problem is collected with its JSON pointer, so that an admin mends
// a config in one round instead of one field at a time. Unknown fields are problems, never ignored.

/// What is wrong with one place of a config.
public struct ConfigProblem: Error, Equatable, Sendable {
    /// A JSON pointer (RFC 6901) from the config's root, `/per/0`; empty for the config itself.
    public let path: String
    /// What would be right, for the admin.
    public let reason: String
    /// Where in the text at `path` the problem is; nil when it is about all of it.
    public let place: Place?

    /// A place in a text of several lines.
    public struct Place: Equatable, Sendable {
        /// From 1.
        public let line: Int
        /// In code points, from 1.
        public let column: Int
        /// The problem with its line and a caret below the place, as a terminal shows it.
        public let excerpt: String

        /// Names a place.
        public init(line: Int, column: Int, excerpt: String) {
            self.line = line
            self.column = column
            self.excerpt = excerpt
        }
    }

    /// Makes a problem.
    public init(path: String, reason: String, place: Place? = nil) {
        self.path = path
        self.reason = reason
        self.place = place
    }
}

/// Everything that is wrong with a config, at least one problem, ordered by path.
public struct ConfigProblems: Error, Equatable, Sendable {
    /// Never empty.
    public let problems: [ConfigProblem]

    /// Makes the error; ordered, because an object's members have no order of their own.
    public init(_ problems: [ConfigProblem]) {
        precondition(!problems.isEmpty, "a refused config has a problem")
        self.problems = problems.sorted { one, other in
            (one.path, one.place?.line ?? 0, one.place?.column ?? 0, one.reason)
                < (other.path, other.place?.line ?? 0, other.place?.column ?? 0, other.reason)
        }
    }
}

/// Takes typed fields out of a config's object and remembers what was wrong.
struct ConfigReader {
    private let fields: [String: ConfigValue]
    private(set) var problems: [ConfigProblem] = []

    /// Opens the config, which must be an object with no other fields than these.
    init(_ config: ConfigValue, fields known: [String]) {
        guard case .object(let object) = config else {
            fields = [:]
            problems = [ConfigProblem(path: "", reason: "must be an object")]
            return
        }
        fields = object
        for name in object.keys where !known.contains(where: { $0.utf8.elementsEqual(name.utf8) }) {
            report(Self.pointer(name), "unknown field; known are \(known.joined(separator: ", "))")
        }
    }

    /// Whether the config has the field, of whatever type.
    func has(_ name: String) -> Bool { fields[name] != nil }

    /// Records a problem.
    mutating func report(_ path: String, _ reason: String, at place: ConfigProblem.Place? = nil) {
        problems.append(ConfigProblem(path: path, reason: reason, place: place))
    }

    /// Reports the field as missing when it is, unless the config is no object at all, which says it already.
    mutating func require(_ name: String) {
        guard !has(name), !problems.contains(where: { $0.path.isEmpty }) else { return }
        report(Self.pointer(name), "required")
    }

    /// The integer in the field; nil when absent or wrong (then reported).
    ///
    /// 3.0 is an integer, as in JSON Schema.
    mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let value = fields[name] else { return nil }
        let expected = "must be an integer, \(range.lowerBound) to \(range.upperBound)"
        let integer: Int64? =
            switch value {
            case .integer(let integer): integer
            case .number(let number): Int64(exactly: number)
            default: nil
            }
        guard let integer, range.contains(integer) else {
            report(Self.pointer(name), expected)
            return nil
        }
        return integer
    }

    /// The string in the field; nil when absent or wrong (then reported).
    mutating func string(_ name: String) -> String? {
        guard let value = fields[name] else { return nil }
        guard case .string(let string) = value else {
            report(Self.pointer(name), "must be a string")
            return nil
        }
        return string
    }

    /// The choice that the field names; nil when absent or none of them (then reported).
    mutating func choice<Choice>(
        _ name: String,
        of choices: [Choice],
        named choiceName: (Choice) -> StaticString
    ) -> Choice? {
        guard let text = string(name) else { return nil }
        let choice = choices.first { "\(choiceName($0))".utf8.elementsEqual(text.utf8) }
        if choice == nil {
            let names = choices.map { "\(choiceName($0))" }.joined(separator: ", ")
            report(Self.pointer(name), "must be one of \(names)")
        }
        return choice
    }

    /// The strings in the field, each with its pointer; nil when absent or no array of at most `maxCount`.
    ///
    /// A wrong element is reported and left out.
    mutating func strings(_ name: String, maxCount: Int) -> [(path: String, text: String)]? {
        guard let value = fields[name] else { return nil }
        guard case .array(let elements) = value else {
            report(Self.pointer(name), "must be an array of strings")
            return nil
        }
        guard elements.count <= maxCount else {
            report(Self.pointer(name), "must have at most \(maxCount) elements")
            return nil
        }
        var strings: [(path: String, text: String)] = []
        for (index, element) in elements.enumerated() {
            let path = "\(Self.pointer(name))/\(index)"
            if case .string(let text) = element {
                strings.append((path, text))
            } else {
                report(path, "must be a string")
            }
        }
        return strings
    }

    /// Throws what was found wrong, if anything.
    func finish() throws(ConfigProblems) {
        guard problems.isEmpty else { throw ConfigProblems(problems) }
    }

    /// One reference token of RFC 6901, with its slash.
    static func pointer(_ name: String) -> String {
        var escaped = "/"
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
