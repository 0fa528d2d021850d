// What a statement's parameters may be. Values never become SQL: they travel beside the text.

/// A parameter of a statement or a field of a copied row.
///
/// A parameter has no type of its own: the server takes the one that the place of `$1` asks for, so that `.text` fits
/// a uuid or an enum column. Where the place does not tell, write `$1::bigint`.
public enum PostgresValue: Equatable, Sendable {
    /// NULL.
    case null
    /// A boolean.
    case bool(Bool)
    /// An integer of any width; also for numeric.
    case int(Int64)
    /// A double; also for numeric.
    case double(Double)
    /// Text without NUL characters, which PostgreSQL does not have; also for every type the server reads from text.
    case text(String)
    /// The bytes of a `bytea`.
    case bytes([UInt8])
    /// JSON text; for `json` and `jsonb`.
    case json(String)
    /// Milliseconds since the Unix epoch; for `timestamptz`, or `timestamp` in UTC.
    case timestamp(milliseconds: Int64)
    /// A one-dimensional array of texts, or of anything the server reads from them.
    case textArray([String])
    /// A one-dimensional array of integers.
    case intArray([Int64])

    /// The value, or NULL for nil.
    public static func optional<Wrapped>(_ value: Wrapped?, _ make: (Wrapped) -> PostgresValue) -> PostgresValue {
        value.map(make) ?? .null
    }
}

extension PostgresValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral
{
    /// Text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// An integer.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// A double.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// NULL.
    public init(nilLiteral: ()) { self = .null }
}

extension PostgresValue {
    /// The text that the server reads the value from; nil for NULL and for bytes.
    ///
    /// - Throws: for a NUL, at which libpq would cut the text off without a word.
    func serverText() throws(PostgresError) -> String? {
        switch self {
        case .null, .bytes: return nil
        case .bool(let value): return value ? "t" : "f"
        case .int(let value): return String(value)
        case .double(let value):
            guard !value.isNaN else { return "NaN" }
            return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : String(value)
        case .timestamp(let milliseconds): return TimestampText.format(milliseconds: milliseconds)
        case .text(let value), .json(let value): return try Self.withoutNUL(value)
        case .textArray(let values): return try Self.withoutNUL(ArrayText.format(values))
        case .intArray(let values): return "{\(values.map { String($0) }.joined(separator: ","))}"
        }
    }

    static func withoutNUL(_ text: String) throws(PostgresError) -> String {
        guard !text.utf8.contains(0) else {
            throw PostgresError(kind: .other, message: "PostgreSQL has no NUL character in text")
        }
        return text
    }
}
