// An answer's rows, copied out of libpq's memory into one buffer before the PGresult is freed.

private import CPostgres

/// The rows of one answer, in text format.
final class ResultTable: Sendable {
    /// pg_type.dat: bool and bytea.
    static let boolType: UInt32 = 16
    static let bytesType: UInt32 = 17

    private static let ambiguous = -1
    private static let null = -1

    let names: [String]
    let types: [UInt32]
    let rowCount: Int
    private let indexes: [String: Int]
    private let bytes: [UInt8]
    /// Where each field starts in `bytes`, row by row, and how long it is; NULL has no count.
    private let fields: [(start: Int, count: Int)]

    /// Copies a PGRES_TUPLES_OK; the caller clears the result.
    init(copying result: OpaquePointer) {
        let columnCount = unsafe PQnfields(result)
        let rowCount = unsafe PQntuples(result)
        var names: [String] = []
        var types: [UInt32] = []
        var indexes: [String: Int] = [:]
        for column in 0..<columnCount {
            let name = unsafe PQfname(result, column).map { unsafe String(cString: $0) } ?? ""
            names.append(name)
            types.append(unsafe PQftype(result, column))
            indexes[name] = indexes[name] == nil ? Int(column) : Self.ambiguous
        }
        var bytes: [UInt8] = []
        var fields: [(start: Int, count: Int)] = []
        fields.reserveCapacity(Int(rowCount) * Int(columnCount))
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                guard unsafe PQgetisnull(result, row, column) == 0, let value = unsafe PQgetvalue(result, row, column)
                else {
                    fields.append((0, Self.null))
                    continue
                }
                let count = unsafe Int(PQgetlength(result, row, column))
                fields.append((bytes.count, count))
                unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: value, count: count))
            }
        }
        self.names = names
        self.types = types
        self.indexes = indexes
        self.bytes = bytes
        self.fields = fields
        self.rowCount = Int(rowCount)
    }

    var rows: [PostgresRow] { (0..<rowCount).map { PostgresRow(table: self, row: $0) } }

    func index(of column: String) throws(PostgresError) -> Int {
        guard let index = indexes[column] else {
            throw PostgresError(kind: .decoding, message: "the answer has no column \"\(column)\"")
        }
        guard index != Self.ambiguous else {
            throw PostgresError(kind: .decoding, message: "the answer has several columns \"\(column)\"")
        }
        return index
    }

    func field(row: Int, column: Int) -> [UInt8]? {
        let field = fields[row * names.count + column]
        guard field.count != Self.null else { return nil }
        return Array(bytes[field.start..<field.start + field.count])
    }
}
