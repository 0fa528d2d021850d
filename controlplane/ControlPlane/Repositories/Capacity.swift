// A snapshot holds only so much of anything (SnapshotBounds). A row over that would stop every later change from
// reaching the nodes, so it is refused when it is written.

import Postgres
import Snapshot

/// Refuses the row that would be one too many.
enum Capacity {
    /// Most keys of one app, revoked ones included.
    static let maxKeysPerApp = Int64(SnapshotBounds.maxKeysPerApp)
    static let maxProviders = Int64(SnapshotBounds.maxProviders)
    static let maxModels = Int64(SnapshotBounds.maxModels)

    /// Counts the rows of a table, all or those of one app.
    ///
    /// - Throws: 409 when there are `limit` of them.
    static func check(_ table: String, limit: Int64, app: String? = nil, in session: PostgresConnection) async throws {
        let condition = app == nil ? "" : " WHERE app_id = $1"
        let rows = try await session.query(
            "SELECT count(*) AS n FROM \(table)\(condition)",
            app.map { [.text($0)] } ?? []
        )
        guard let count = try rows.first?.int("n"), count < limit else {
            throw Problem.conflict("There are \(limit) already, which is the most there can be.")
        }
    }
}
