// One connection lent to a body: transactions, session locks and COPY need the same one for several statements.

private import Synchronization

/// How much a transaction sees of the others.
public enum PostgresIsolation: Sendable {
    /// Each statement sees what was committed before it.
    case readCommitted
    /// The transaction sees what was committed before its first statement.
    case repeatableRead
    /// As if transactions ran one after another; the others fail with `.serialization`.
    case serializable

    var begin: String {
        switch self {
        case .readCommitted: "BEGIN ISOLATION LEVEL READ COMMITTED"
        case .repeatableRead: "BEGIN ISOLATION LEVEL REPEATABLE READ"
        case .serializable: "BEGIN ISOLATION LEVEL SERIALIZABLE"
        }
    }
}

/// A connection on loan from its pool; any thread.
///
/// Statements sent at the same time run one after another. Of no use after the body it was given to returned.
public final class PostgresConnection: Sendable {
    let lease: UInt64
    private let pool: PostgresPool
    private let sawSerializationFailure = Atomic<Bool>(false)
    private let openFailure = Mutex<PostgresError?>(nil)

    init(pool: PostgresPool, lease: UInt64) {
        self.pool = pool
        self.lease = lease
    }

    /// Runs one statement and returns its rows.
    ///
    /// - Parameters:
    ///   - sql: one statement; `$1`, `$2`, … stand for the parameters. Not to be made from input.
    ///   - parameters: sent beside the statement, never as part of it.
    /// - Returns: the rows; none for a statement that returns none.
    /// - Throws: what went wrong, sorted by what can be done.
    public func query(_ sql: String, _ parameters: [PostgresValue] = []) async throws(PostgresError) -> [PostgresRow] {
        try await run(statement: sql, parameters).table?.rows ?? []
    }

    /// Runs one statement and returns how many rows it changed.
    ///
    /// - Parameters:
    ///   - sql: one statement; `$1`, `$2`, … stand for the parameters. Not to be made from input.
    ///   - parameters: sent beside the statement, never as part of it.
    /// - Returns: the count the server reports.
    /// - Throws: what went wrong, sorted by what can be done.
    @discardableResult
    public func execute(_ sql: String, _ parameters: [PostgresValue] = []) async throws(PostgresError) -> Int {
        try await run(statement: sql, parameters).affected
    }

    /// Runs many statements as one simple query, without parameters; the connection is closed after its body.
    public func runScript(_ sql: String) async throws(PostgresError) {
        let text = try PostgresValue.withoutNUL(sql)
        try await run(.script(text))
    }

    /// Copies rows into a table.
    ///
    /// - Parameters:
    ///   - sql: `COPY table (columns) FROM STDIN`, in its default text format.
    ///   - rows: a value for each column; encoded on the caller's thread, the whole in memory once more.
    /// - Returns: how many rows were copied.
    /// - Throws: what went wrong; then no row is there.
    public func copyIn(_ sql: String, rows: [[PostgresValue]]) async throws(PostgresError) -> Int {
        let text = try PostgresValue.withoutNUL(sql)
        return try await run(.copy(text, try CopyText.encode(rows))).affected
    }

    // MARK: Transactions

    /// Whether a statement failed in a way that the whole transaction may survive if it is run again.
    var hasSerializationFailure: Bool { sawSerializationFailure.load(ordering: .relaxed) }

    func begin(_ isolation: PostgresIsolation) async throws(PostgresError) {
        try await run(.command(isolation.begin))
    }

    func commit() async throws(PostgresError) {
        let answer = try record(await pool.run(leased: lease, .command("COMMIT")))
        guard answer.tag == "COMMIT" else {
            // The body went on after a statement had failed: nothing was committed, and the failure says why.
            let failure = openFailure.withLock { $0 }
            throw failure ?? PostgresError(kind: .other, message: "COMMIT was answered by \(answer.tag)")
        }
    }

    /// Rolls back without asking whether the task is cancelled.
    ///
    /// A failure needs no handling: the pool sees that the transaction is open or the connection gone.
    func rollBack() async {
        _ = await pool.run(leased: lease, .command("ROLLBACK"))
    }

    // MARK: Crossing over

    private func run(statement sql: String, _ parameters: [PostgresValue]) async throws(PostgresError) -> Answer {
        let text = try PostgresValue.withoutNUL(sql)
        return try await run(.statement(text, try EncodedParameters(parameters)))
    }

    @discardableResult
    private func run(_ work: Operation.Work) async throws(PostgresError) -> Answer {
        guard !Task.isCancelled else { throw PostgresPool.cancelledError }
        return try record(await pool.run(leased: lease, work))
    }

    private func record(_ outcome: Result<Answer, PostgresError>) throws(PostgresError) -> Answer {
        if case .failure(let error) = outcome {
            if error.kind == .serialization { sawSerializationFailure.store(true, ordering: .relaxed) }
            openFailure.withLock { $0 = error }
        }
        return try outcome.get()
    }
}
