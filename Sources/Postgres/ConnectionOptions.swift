// The caller's connection string with what this module relies on added to it.

private import CPostgres

/// The keywords and values that PQconnectStartParams gets.
struct ConnectionOptions: Sendable {
    /// In the order given to libpq.
    let parameters: [(keyword: String, value: String)]

    /// Reads the connection string as libpq does.
    ///
    /// - Throws: what libpq has to say about it, without the string itself.
    init(_ configuration: PostgresConfiguration, statementTimeout: Duration) throws(PostgresError) {
        var parameters = try Self.parse(configuration.conninfo)
        // Our rows are read in these forms, whatever the role or the database prefers; the server's own limits are
        // for a client that died, and for a statement whose answer would come too late.
        let settings = [
            "DateStyle=ISO", "TimeZone=UTC", "bytea_output=hex", "extra_float_digits=1", "IntervalStyle=postgres",
            "standard_conforming_strings=on", "statement_timeout=\(statementTimeout.wholeMilliseconds)",
            "idle_in_transaction_session_timeout=\(Self.idleInTransaction.wholeMilliseconds)",
        ]
        let added = settings.map { "-c \($0)" }.joined(separator: " ")
        parameters["options"] = parameters["options"].map { "\($0) \(added)" } ?? added
        parameters["client_encoding"] = "UTF8"
        // GSS asks a credential cache and a KDC without a deadline, before every connection.
        parameters["gssencmode", default: "disable"] += ""
        parameters["fallback_application_name", default: "weir"] += ""
        parameters["keepalives_idle", default: "10"] += ""
        parameters["keepalives_interval", default: "5"] += ""
        parameters["keepalives_count", default: "3"] += ""
        self.parameters = parameters.sorted { $0.key < $1.key }.map { (keyword: $0.key, value: $0.value) }
    }

    /// A transaction whose client says nothing for so long is ended by the server, and its locks with it.
    private static let idleInTransaction: Duration = .seconds(60)

    private static func parse(_ conninfo: String) throws(PostgresError) -> [String: String] {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = unsafe PQconninfoParse(try PostgresValue.withoutNUL(conninfo), &message) else {
            unsafe PQfreemem(message)  // it quotes the string, in which a password may be
            throw PostgresError(kind: .other, message: "libpq cannot read the connection string")
        }
        defer { unsafe PQconninfoFree(options) }
        var parameters: [String: String] = [:]
        var option = unsafe options
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val {
                unsafe parameters[String(cString: keyword)] = unsafe String(cString: value)
            }
            unsafe option += 1
        }
        return parameters
    }
}

extension Duration {
    /// Rounded up, at least 1: for a server to which 0 means no limit.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return seconds < 0 ? 1 : Int64(Int32.max) }
        let milliseconds = product + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return min(max(milliseconds, 1), Int64(Int32.max))
    }
}
