// Cursor pages: `limit` and `cursor` in, `data` and `next_cursor` out. A cursor is the last row's sort key; it stays
// valid while rows come and go.

/// Which part of a list is asked for.
struct Page: Sendable {
    static let parameters: Set<String> = ["limit", "cursor"]
    static let maxLimit = 200

    /// Rows wanted, 1...200.
    let limit: Int
    /// Rows after this sequence number; 0 for the first page.
    let after: Int64

    /// - Throws: 400 for a limit out of range or a cursor we did not make.
    init(_ query: Query) throws(Problem) {
        limit = try Self.limit(query)
        if let text = query["cursor"] {
            guard let bytes = Self.decode(text), let value = Int64(bytes) else {
                throw .badParameter("cursor", "is not one of ours")
            }
            after = value
        } else {
            after = 0
        }
    }

    private static func limit(_ query: Query) throws(Problem) -> Int {
        guard let text = query["limit"] else { return 50 }
        guard let limit = Int(text), (1...maxLimit).contains(limit) else {
            throw .badParameter("limit", "must be an integer from 1 to \(maxLimit)")
        }
        return limit
    }

    /// The answer to a list, from `limit + 1` rows read.
    ///
    /// - Parameter rows: each with its sequence number; one more than the limit when there is a next page.
    /// - Returns: 200 with at most `limit` elements.
    func answer(_ rows: [(sequence: Int64, json: JSON)]) -> Answer {
        let shown = rows.prefix(limit)
        let cursor = rows.count > limit ? shown.last.map { "c\($0.sequence)" } : nil
        return .json(["data": .array(shown.map(\.json)), "next_cursor": .optional(cursor)])
    }

    private static func decode(_ text: String) -> String? {
        guard text.hasPrefix("c"), text.utf8.count <= 20 else { return nil }
        return String(text.dropFirst())
    }
}
