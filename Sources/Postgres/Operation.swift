// What a session can be asked to do, and what it answers.

/// One statement, script or copy, with its bound and the place its answer goes to.
struct Operation {
    enum Work: Sendable {
        /// The extended protocol: one statement, its parameters beside it.
        case statement(String, EncodedParameters)
        /// The simple protocol, for what ends or begins a transaction: no parameters, not prepared.
        case command(String)
        /// The same for any number of statements that may leave settings behind.
        case script(String)
        /// `COPY … FROM STDIN` and the encoded rows.
        case copy(String, [[UInt8]])
    }

    let work: Work
    let timeout: Duration
    /// Called once, on the Reactor's thread.
    let done: (Result<Answer, PostgresError>) -> Void
}

/// What a statement gave.
struct Answer: Sendable {
    /// The rows; nil for a statement that returns none.
    var table: ResultTable?
    /// The rows it changed, or returned.
    var affected = 0
    /// The command as the server names it: COMMIT of a failed transaction answers `ROLLBACK`.
    var tag = ""
}
