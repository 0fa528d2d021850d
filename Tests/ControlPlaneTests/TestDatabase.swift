// Looks into the database behind the API's back: what must and what must never be there.

import Postgres

/// Runs one statement on a connection of its own.
func sql(_ statement: String, _ connectionString: String) async throws {
    let pool = try PostgresPool(PostgresConfiguration(conninfo: connectionString, maxConnections: 1))
    try await pool.runScript(statement)
    await pool.close()
}

extension TestPlane {
    /// Reads rows on a connection of its own.
    static func rows(_ statement: String, _ connectionString: String) async throws -> [PostgresRow] {
        let pool = try PostgresPool(PostgresConfiguration(conninfo: connectionString, maxConnections: 1))
        let rows = try await pool.query(statement)
        await pool.close()
        return rows
    }
}
