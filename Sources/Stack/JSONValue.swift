// JSON as the command line and the tests write and read it: literals in, subscripts out, no type per answer.

private import Foundation

/// A JSON value.
public enum JSONValue: Equatable, Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A whole number.
    case integer(Int64)
    /// Any other number.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object; the order of members is not kept.
    case object([String: JSONValue])

    /// Reads a JSON text.
    ///
    /// - Parameter bytes: the whole text.
    /// - Throws: `.other` when it is not JSON.
    public init(parsing bytes: [UInt8]) throws(StackError) {
        do {
            self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
        } catch {
            throw .other("not JSON: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
    }

    /// The JSON text, members sorted by name.
    public var bytes: [UInt8] { encoded([.sortedKeys, .withoutEscapingSlashes]) }

    /// The JSON text on indented lines.
    public var pretty: String {
        String(decoding: encoded([.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]), as: UTF8.self)
    }

    private func encoded(_ formatting: JSONEncoder.OutputFormatting) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = formatting
        do {
            return Array(try encoder.encode(self))
        } catch {
            preconditionFailure("only a number that is not finite cannot be written as JSON: \(error)")
        }
    }

    /// A member of an object; nil when it is absent or this is no object.
    public subscript(_ name: String) -> JSONValue? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    /// An element of an array; nil when there is none.
    public subscript(_ index: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    /// The string, when it is one.
    public var text: String? { if case .string(let text) = self { text } else { nil } }

    /// The whole number, when it is one.
    public var int: Int64? { if case .integer(let value) = self { value } else { nil } }

    /// The number, whole or not; nil for everything else.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The elements, when it is an array.
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// The members, when it is an object.
    public var members: [String: JSONValue]? { if case .object(let members) = self { members } else { nil } }
}

extension JSONValue: Codable {
    /// Decodes any JSON value.
    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        func attempt<Value: Decodable>(_ type: Value.Type) -> Value? {
            // A decoder tells a value's type only by failing; nothing else is lost.
            do { return try value.decode(type) } catch { return nil }
        }
        if value.decodeNil() {
            self = .null
        } else if let bool = attempt(Bool.self) {
            self = .bool(bool)
        } else if let integer = attempt(Int64.self) {
            self = .integer(integer)
        } else if let number = attempt(Double.self) {
            self = .number(number)
        } else if let text = attempt(String.self) {
            self = .string(text)
        } else if let elements = attempt([JSONValue].self) {
            self = .array(elements)
        } else {
            self = .object(try value.decode([String: JSONValue].self))
        }
    }

    /// Encodes the same JSON value.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let bool): try container.encode(bool)
        case .integer(let integer): try container.encode(integer)
        case .number(let number): try container.encode(number)
        case .string(let text): try container.encode(text)
        case .array(let elements): try container.encode(elements)
        case .object(let members): try container.encode(members)
        }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral,
    ExpressibleByStringInterpolation, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Null.
    public init(nilLiteral: ()) { self = .null }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A number with a fraction.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// An object; of a name given twice, the last counts.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
}
