// A policy's config as the admin sent it: one JSON value, kept so that what GET returns can be PUT back, and read
// by the kinds without Foundation.

/// A JSON value.
public enum ConfigValue: Equatable, Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number without a fraction that fits 64 bits.
    case integer(Int64)
    /// Any other number.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([ConfigValue])
    /// An object; the order of its members is not kept.
    case object([String: ConfigValue])

    /// Nesting beyond this is refused while decoding; no kind's config is deeper than 3.
    static let maxDepth = 16
}

extension ConfigValue: Codable {
    /// Decodes any JSON value of at most 16 levels.
    public init(from decoder: any Decoder) throws {
        guard decoder.codingPath.count <= Self.maxDepth else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "nested too deep")
            )
        }
        // An object or an array says so by giving its container; what refuses both is a single value.
        if let members = Self.attempt({ try decoder.container(keyedBy: MemberName.self) }) {
            var object: [String: ConfigValue] = [:]
            for name in members.allKeys {
                object[name.stringValue] = try members.decode(ConfigValue.self, forKey: name)
            }
            self = .object(object)
        } else if var elements = Self.attempt({ try decoder.unkeyedContainer() }) {
            var array: [ConfigValue] = []
            while !elements.isAtEnd { array.append(try elements.decode(ConfigValue.self)) }
            self = .array(array)
        } else {
            self = try Self.scalar(decoder.singleValueContainer())
        }
    }

    private static func scalar(_ value: any SingleValueDecodingContainer) throws -> ConfigValue {
        if value.decodeNil() { return .null }
        if let bool = attempt({ try value.decode(Bool.self) }) { return .bool(bool) }
        if let integer = attempt({ try value.decode(Int64.self) }) { return .integer(integer) }
        if let number = attempt({ try value.decode(Double.self) }) { return .number(number) }
        return .string(try value.decode(String.self))
    }

    /// Decoders tell a value's type only by failing; the failure says "not that type" and nothing else is lost.
    private static func attempt<Value>(_ decode: () throws -> Value) -> Value? {
        do { return try decode() } catch { return nil }
    }

    /// Encodes the same JSON value.
    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let object):
            var members = encoder.container(keyedBy: MemberName.self)
            for (name, value) in object { try members.encode(value, forKey: MemberName(name)) }
        case .array(let array):
            var elements = encoder.unkeyedContainer()
            for value in array { try elements.encode(value) }
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let bool):
            var container = encoder.singleValueContainer()
            try container.encode(bool)
        case .integer(let integer):
            var container = encoder.singleValueContainer()
            try container.encode(integer)
        case .number(let number):
            var container = encoder.singleValueContainer()
            try container.encode(number)
        case .string(let string):
            var container = encoder.singleValueContainer()
            try container.encode(string)
        }
    }

    /// The name of an object's member, whatever it is.
    private struct MemberName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

extension ConfigValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Writes `null` as `nil`.
    public init(nilLiteral: ()) { self = .null }

    /// Writes a boolean as a Swift literal.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// Writes an integer as a Swift literal.
    public init(integerLiteral value: Int64) { self = .integer(value) }

    /// Writes a number as a Swift literal.
    public init(floatLiteral value: Double) { self = .number(value) }

    /// Writes a string as a Swift literal.
    public init(stringLiteral value: String) { self = .string(value) }

    /// Writes an array as a Swift literal.
    public init(arrayLiteral elements: ConfigValue...) { self = .array(elements) }

    /// Writes an object as a Swift literal; of equal names the last wins.
    public init(dictionaryLiteral elements: (String, ConfigValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}
