// What the admin API reads and writes: a JSON value that keeps the order of members and the kind of its numbers,
// which JSONSerialization does not. One value type from the request's bytes to the database's column.

/// A JSON value; objects keep the order of their members.
indirect enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    /// One name and its value.
    struct Member: Equatable, Sendable {
        let name: String
        let value: JSON
    }

    /// The value of a member; nil when this is no object or has none of that name.
    subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var integerValue: Int64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    var arrayValue: [JSON]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// This object with each member of `patch` in place of its own; members are replaced whole, not merged deeper.
    func replacingMembers(from patch: [Member]) -> JSON {
        guard case .object(var members) = self else { return .object(patch) }
        for member in patch {
            if let index = members.firstIndex(where: { $0.name == member.name }) {
                members[index] = member
            } else {
                members.append(member)
            }
        }
        return .object(members)
    }

    /// Equal whatever the order of members in objects.
    func isSame(as other: JSON) -> Bool {
        switch (self, other) {
        case (.object(let left), .object(let right)):
            guard left.count == right.count else { return false }
            return left.allSatisfy { member in other[member.name].map { member.value.isSame(as: $0) } ?? false }
        case (.array(let left), .array(let right)):
            return left.count == right.count && zip(left, right).allSatisfy { $0.isSame(as: $1) }
        default: return self == other
        }
    }

    /// An optional text as a string or null.
    static func optional(_ text: String?) -> JSON { text.map { .string($0) } ?? .null }
    /// An optional number as an integer or null.
    static func optional(_ value: Int64?) -> JSON { value.map { .integer($0) } ?? .null }
    /// An optional number as a number or null.
    static func optional(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
    /// Texts as an array of strings.
    static func strings(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }
}

extension JSON: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
}
