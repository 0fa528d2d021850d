// Rows with typed accessors: what is missing, NULL or of another type is an error that names the column.

/// A row of an answer.
///
/// It keeps the whole answer alive, which is one buffer for all its rows.
public struct PostgresRow: Sendable {
    let table: ResultTable
    let row: Int

    /// The names of the columns in order.
    public var columns: [String] { table.names }

    /// Whether the column is NULL.
    public func isNull(_ column: String) throws(PostgresError) -> Bool { try field(column) == nil }

    /// The column's text; of any type, as the server writes it.
    public func string(_ column: String) throws(PostgresError) -> String {
        try required(column, optionalString(column))
    }

    /// The integer of a column of any integer type, or of a numeric without a fraction.
    public func int(_ column: String) throws(PostgresError) -> Int64 {
        try required(column, optionalInt(column))
    }

    /// The number of a column of any numeric type.
    public func double(_ column: String) throws(PostgresError) -> Double {
        try required(column, optionalDouble(column))
    }

    /// The boolean.
    public func bool(_ column: String) throws(PostgresError) -> Bool {
        try required(column, optionalBool(column))
    }

    /// The bytes of a `bytea`.
    public func bytes(_ column: String) throws(PostgresError) -> [UInt8] {
        try required(column, optionalBytes(column))
    }

    /// Milliseconds since the Unix epoch, rounded down, of a `timestamptz`, a `timestamp` in UTC or a `date`.
    public func milliseconds(_ column: String) throws(PostgresError) -> Int64 {
        try required(column, optionalMilliseconds(column))
    }

    /// The texts of a one-dimensional array without NULLs, whatever its elements are.
    public func stringArray(_ column: String) throws(PostgresError) -> [String] {
        try required(column, optionalStringArray(column))
    }

    /// The integers of a one-dimensional array without NULLs.
    public func intArray(_ column: String) throws(PostgresError) -> [Int64] {
        var integers: [Int64] = []
        for text in try stringArray(column) {
            guard let integer = Int64(text) else { throw mismatch(column, "an array of integers") }
            integers.append(integer)
        }
        return integers
    }

    /// As ``string(_:)``, nil for NULL.
    public func optionalString(_ column: String) throws(PostgresError) -> String? {
        guard let field = try field(column) else { return nil }
        return String(decoding: field, as: UTF8.self)
    }

    /// As ``int(_:)``, nil for NULL.
    public func optionalInt(_ column: String) throws(PostgresError) -> Int64? {
        guard let text = try optionalString(column) else { return nil }
        guard let value = Int64(text) else { throw mismatch(column, "an integer") }
        return value
    }

    /// As ``double(_:)``, nil for NULL.
    public func optionalDouble(_ column: String) throws(PostgresError) -> Double? {
        guard let text = try optionalString(column) else { return nil }
        guard let value = Double(text) else { throw mismatch(column, "a number") }
        return value
    }

    /// As ``bool(_:)``, nil for NULL.
    public func optionalBool(_ column: String) throws(PostgresError) -> Bool? {
        guard let field = try field(column) else { return nil }
        guard try type(of: column) == ResultTable.boolType else { throw mismatch(column, "a boolean") }
        return field == [UInt8(ascii: "t")]
    }

    /// As ``bytes(_:)``, nil for NULL.
    public func optionalBytes(_ column: String) throws(PostgresError) -> [UInt8]? {
        guard let field = try field(column) else { return nil }
        guard try type(of: column) == ResultTable.bytesType, let bytes = Self.bytes(hexForm: field) else {
            throw mismatch(column, "bytea")
        }
        return bytes
    }

    /// As ``milliseconds(_:)``, nil for NULL.
    public func optionalMilliseconds(_ column: String) throws(PostgresError) -> Int64? {
        guard let field = try field(column) else { return nil }
        guard let milliseconds = TimestampText.parse(field) else { throw mismatch(column, "a finite timestamp") }
        return milliseconds
    }

    /// As ``stringArray(_:)``, nil for NULL.
    public func optionalStringArray(_ column: String) throws(PostgresError) -> [String]? {
        guard let field = try field(column) else { return nil }
        guard let elements = ArrayText.parse(field) else { throw mismatch(column, "a one-dimensional array") }
        var texts: [String] = []
        texts.reserveCapacity(elements.count)
        for element in elements {
            guard let element else { throw mismatch(column, "an array without NULLs") }
            texts.append(String(decoding: element, as: UTF8.self))
        }
        return texts
    }

    private func field(_ column: String) throws(PostgresError) -> [UInt8]? {
        table.field(row: row, column: try table.index(of: column))
    }

    private func type(of column: String) throws(PostgresError) -> UInt32 {
        table.types[try table.index(of: column)]
    }

    private func required<Value>(_ column: String, _ value: Value?) throws(PostgresError) -> Value {
        guard let value else {
            throw PostgresError(kind: .decoding, message: "column \"\(column)\" is NULL")
        }
        return value
    }

    private func mismatch(_ column: String, _ expected: String) -> PostgresError {
        PostgresError(kind: .decoding, message: "column \"\(column)\" is not \(expected)")
    }

    /// `\x0aff`: what bytea_output = hex writes.
    private static func bytes(hexForm text: [UInt8]) -> [UInt8]? {
        guard text.starts(with: "\\x".utf8), text.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2 - 1)
        for index in stride(from: 2, to: text.count, by: 2) {
            guard let high = hexValue(text[index]), let low = hexValue(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
