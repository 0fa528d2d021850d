// Reads the members of a body and collects everything that is wrong with them, so that an admin sees all faults at
// once, each with its path. A member nobody asked for is a fault too.

/// Takes members out of one JSON object.
struct ObjectReader {
    private let path: String
    private var members: [String: JSON]
    private(set) var problems: [FieldProblem] = []

    /// - Parameters:
    ///   - members: the object's members.
    ///   - path: JSON pointer of the object itself; empty for the whole body.
    init(_ members: [JSON.Member], path: String = "") {
        self.path = path
        self.members = Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// Notes a fault of a member.
    mutating func refuse(_ name: String, _ reason: String) {
        problems.append(FieldProblem(path: "\(path)/\(name)", reason: reason))
    }

    /// Adds faults found elsewhere, with their full paths.
    mutating func add(_ found: [FieldProblem]) {
        problems += found
    }

    /// Removes a member and gives its value; nil when absent.
    mutating func take(_ name: String) -> JSON? {
        members.removeValue(forKey: name)
    }

    /// A text of 1 to `maxBytes` bytes without control characters.
    ///
    /// - Returns: nil, with a fault noted, when it is something else; nil without one when absent and not required.
    mutating func text(_ name: String, maxBytes: Int = 256, required: Bool = false, allowsEmpty: Bool = false)
        -> String?
    {
        guard let value = take(name) else {
            if required { refuse(name, "is required") }
            return nil
        }
        guard let text = value.stringValue else {
            refuse(name, "must be a string")
            return nil
        }
        if text.isEmpty, !allowsEmpty { refuse(name, "must not be empty") }
        if text.utf8.count > maxBytes { refuse(name, "must be at most \(maxBytes) bytes") }
        if text.unicodeScalars.contains(where: { $0.value < 0x20 || ($0.value >= 0x7F && $0.value < 0xA0) }) {
            refuse(name, "must not contain control characters")
        }
        return text
    }

    /// A text or null; nil in both cases and when absent.
    mutating func optionalText(_ name: String, maxBytes: Int = 256) -> String? {
        if case .null = members[name] {
            members[name] = nil
            return nil
        }
        return text(name, maxBytes: maxBytes)
    }

    /// One of a few words.
    mutating func word(_ name: String, of allowed: [String], default fallback: String?) -> String {
        guard let value = take(name) else {
            if let fallback { return fallback }
            refuse(name, "is required")
            return ""
        }
        guard let text = value.stringValue, allowed.contains(text) else {
            refuse(name, "must be one of \(allowed.joined(separator: ", "))")
            return ""
        }
        return text
    }

    /// True or false.
    mutating func flag(_ name: String, default fallback: Bool) -> Bool {
        guard let value = take(name) else { return fallback }
        guard let flag = value.boolValue else {
            refuse(name, "must be true or false")
            return fallback
        }
        return flag
    }

    /// An integer in a range, or null.
    mutating func optionalInteger(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        switch take(name) {
        case nil, .null: return nil
        case .integer(let value) where range.contains(value): return value
        default:
            refuse(name, "must be an integer from \(range.lowerBound) to \(range.upperBound), or null")
            return nil
        }
    }

    /// A number in a range, or null.
    mutating func optionalNumber(_ name: String, in range: ClosedRange<Double>) -> Double? {
        switch take(name) {
        case nil, .null: return nil
        case .integer(let value) where range.contains(Double(value)): return Double(value)
        case .number(let value) where range.contains(value): return value
        default:
            refuse(name, "must be a number from \(range.lowerBound) to \(range.upperBound), or null")
            return nil
        }
    }

    /// One of some words, or null.
    mutating func optionalWord(_ name: String, of allowed: [String]) -> String? {
        switch take(name) {
        case nil, .null: return nil
        case .string(let text) where allowed.contains(text): return text
        default:
            refuse(name, "must be one of \(allowed.joined(separator: ", ")), or null")
            return nil
        }
    }

    /// A time in RFC 3339, or null.
    mutating func optionalTime(_ name: String) -> Int64? {
        switch take(name) {
        case nil, .null: return nil
        case .string(let text):
            if let time = Timestamp.milliseconds(text) { return time }
            refuse(name, "must be an RFC 3339 time such as 2030-01-31T00:00:00Z")
            return nil
        default:
            refuse(name, "must be an RFC 3339 time or null")
            return nil
        }
    }

    /// Up to 32 labels of at most 64 bytes.
    mutating func tags(_ name: String = "tags") -> [String] {
        guard let value = take(name) else { return [] }
        guard let elements = value.arrayValue, elements.count <= 32 else {
            refuse(name, "must be an array of at most 32 strings")
            return []
        }
        var tags: [String] = []
        for (index, element) in elements.enumerated() {
            guard let tag = element.stringValue, (1...64).contains(tag.utf8.count),
                !tag.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
            else {
                refuse("\(name)/\(index)", "must be a string of 1 to 64 bytes without control characters")
                continue
            }
            tags.append(tag)
        }
        return tags
    }

    /// Takes a member that only the server sets: what it says now is accepted, so that what GET gave can be PUT back.
    mutating func readOnly(_ name: String, is current: JSON?) {
        guard let value = take(name) else { return }
        guard let current else { return refuse(name, "is set by the server") }
        if !value.isSame(as: current) { refuse(name, "is read-only") }
    }

    /// Ends the reading.
    ///
    /// - Throws: 422 with every fault, members left over included.
    mutating func finish() throws(Problem) {
        for name in members.keys.sorted() { refuse(escaped(name), "unknown field") }
        try finishPassingOver()
    }

    /// Ends the reading of what another of our programs says: a newer build's has members that this one does not know.
    ///
    /// - Throws: 422 with every fault of the members that were read.
    mutating func finishPassingOver() throws(Problem) {
        members.removeAll()
        guard problems.isEmpty else { throw .invalid(problems) }
    }

    private func escaped(_ name: String) -> String {
        var text = ""
        for character in name.prefix(128) {
            switch character {
            case "~": text += "~0"
            case "/": text += "~1"
            default: text.append(character)
            }
        }
        return text
    }
}
