// One libpq connection, driven without blocking by its Reactor. The PGconn lives and dies in this file.
//
//   connecting ──▶ idle ◀──▶ busy: preparing ▶ executing | scripting | copyStarting ▶ copying ▶ copyEnding
//        └──────────┴──────────┴──▶ closed (for good: a broken connection is replaced, never reset)

private import CPostgres
private import Glibc
import Reactor

/// A session with the server; one operation at a time, the others wait in order.
///
/// Confined to its Reactor. `@safe`: the PGconn is touched on the Reactor's thread only, never after ``close(_:)``,
/// and what libpq lends (results, messages, notifications) is copied and freed where it is received.
@safe final class Session {
    private enum Step {
        case connecting
        case idle
        case preparing
        case executing
        case scripting
        case copyStarting
        case copying(nextChunk: Int)
        case copyEnding
        case closed
    }

    /// Texts that are prepared at most, per connection; others are parsed each time.
    private static let maxStatements = 512
    private static let maxWaiting = 256
    /// Chunks of a COPY per turn of the loop, so that other sessions get theirs.
    private static let chunksPerTurn = 8

    private unowned let reactor: Reactor
    private var connection: OpaquePointer?
    /// Our duplicate of libpq's socket: libpq closes its own without a word when the connection breaks, and what
    /// epoll watches must stay open until it is unwatched.
    private var descriptor: Int32 = -1
    private var step = Step.connecting
    private var connected: ((Result<Void, PostgresError>) -> Void)?
    private var timer: ReactorTimer?

    private var operation: Operation?
    private var waiting: [Operation] = []
    private var answer = Answer()
    private var failure: PostgresError?
    private var statementNames: [String: String] = [:]
    private var statementCount = 0
    /// Set while the statement under way was prepared for an earlier one: such a plan may have gone stale.
    private var usesEarlierPlan = false

    /// Called once, when a session that was connected is closed for whatever reason.
    var onClose: (() -> Void)?
    /// Called with channel and payload.
    var onNotification: ((String, String) -> Void)?
    /// Set when the session must not go back to the pool.
    var isSpent = false

    init(reactor: Reactor) {
        self.reactor = reactor
    }

    deinit {
        // Only without an orderly close: the Reactor is being torn down, its epoll set and watches with it.
        if let connection = unsafe connection { unsafe PQfinish(connection) }
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Whether nothing is under way or waits, so that the session may be lent to somebody else.
    var isIdle: Bool {
        if case .idle = step { return true }
        return false
    }

    var isClosed: Bool {
        if case .closed = step { return true }
        return false
    }

    /// Whether no transaction is open.
    var isOutsideTransaction: Bool { unsafe connection != nil && PQtransactionStatus(connection) == PQTRANS_IDLE }

    // MARK: Connecting

    /// Opens the connection; `done` is called once.
    func connect(
        _ options: ConnectionOptions,
        timeout: Duration,
        done: @escaping (Result<Void, PostgresError>) -> Void
    ) {
        reactor.preconditionOnReactor()
        connected = done
        timer = reactor.schedule(after: timeout) { [unowned self] in
            close(PostgresError(kind: .timeout, message: "not connected within \(timeout)"))
        }
        unsafe connection = Self.start(options)
        guard let connection = unsafe connection else {
            return close(PostgresError(kind: .connection, message: "libpq has no memory for a connection"))
        }
        // The message of a refused login is all there is; verbose, it holds the SQLSTATE.
        unsafe PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        unsafe weir_pq_ignore_notices(connection)
        guard unsafe PQstatus(connection) != CONNECTION_BAD else { return close(connectionError()) }
        watch(for: .write)  // as if PQconnectPoll had said PGRES_POLLING_WRITING (manual, §34.2)
    }

    /// libpq copies the texts before it returns.
    private static func start(_ options: ConnectionOptions) -> OpaquePointer? {
        var texts: [UInt8] = []
        var keywordOffsets: [Int] = []
        var valueOffsets: [Int] = []
        for parameter in options.parameters {
            keywordOffsets.append(texts.count)
            texts += parameter.keyword.utf8
            texts.append(0)
            valueOffsets.append(texts.count)
            texts += parameter.value.utf8
            texts.append(0)
        }
        return unsafe texts.withUnsafeBytes { texts in
            let start = unsafe texts.baseAddress?.assumingMemoryBound(to: CChar.self)
            var keywords = unsafe keywordOffsets.map { offset in unsafe start?.advanced(by: offset) }
            var values = unsafe valueOffsets.map { offset in unsafe start?.advanced(by: offset) }
            unsafe keywords.append(nil)
            unsafe values.append(nil)
            return unsafe PQconnectStartParams(keywords, values, 0)
        }
    }

    private func pollConnect() {
        // libpq may close this socket and try the next address, whose socket may get the same number.
        unwatch()
        switch unsafe PQconnectPoll(connection) {
        case PGRES_POLLING_READING: watch(for: .read)
        case PGRES_POLLING_WRITING: watch(for: .write)
        case PGRES_POLLING_OK: didConnect()
        default: close(connectionError())
        }
    }

    private func didConnect() {
        guard unsafe PQsetnonblocking(connection, 1) == 0 else { return close(connectionError()) }
        unsafe PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
        watch(for: .read)
        guard !isClosed else { return }
        stopTimer()
        step = .idle
        let done = connected.take()
        done?(.success(()))
    }

    // MARK: Operations

    /// Runs the operation after those before it.
    func run(_ operation: Operation) {
        reactor.preconditionOnReactor()
        if isClosed {
            return operation.done(.failure(PostgresError(kind: .connection, message: "the connection is closed")))
        }
        guard waiting.count < Self.maxWaiting else {
            let message = "\(Self.maxWaiting) statements wait for one connection"
            return operation.done(.failure(PostgresError(kind: .poolExhausted, message: message)))
        }
        waiting.append(operation)
        startNext()
    }

    private func startNext() {
        guard isIdle, !waiting.isEmpty else { return }
        let next = waiting.removeFirst()
        operation = next
        answer = Answer()
        failure = nil
        timer = reactor.schedule(after: next.timeout) { [unowned self] in
            close(PostgresError(kind: .timeout, message: "no answer within \(next.timeout)"))
        }
        let isSent: Bool
        switch next.work {
        case .statement(let sql, let parameters): isSent = send(sql, parameters)
        case .command(let sql), .script(let sql):
            step = .scripting
            isSent = unsafe PQsendQuery(connection, sql) == 1
        case .copy(let sql, _):
            step = .copyStarting
            isSent = unsafe PQsendQuery(connection, sql) == 1
        }
        guard isSent else { return close(connectionError()) }
        proceed()
    }

    private func send(_ sql: String, _ parameters: EncodedParameters) -> Bool {
        if let name = statementNames[sql] {
            usesEarlierPlan = true
            step = .executing
            return execute(name, parameters)
        }
        usesEarlierPlan = false
        guard statementCount < Self.maxStatements else {
            step = .executing
            return execute(sql: sql, parameters)
        }
        step = .preparing
        return unsafe PQsendPrepare(connection, "weir_\(statementCount)", sql, 0, nil) == 1
    }

    private func execute(_ name: String, _ parameters: EncodedParameters) -> Bool {
        unsafe withPointers(to: parameters) { values, counts, formats in
            unsafe PQsendQueryPrepared(connection, name, Int32(counts.count), values, counts, formats, 0) == 1
        }
    }

    private func execute(sql: String, _ parameters: EncodedParameters) -> Bool {
        unsafe withPointers(to: parameters) { values, counts, formats in
            unsafe PQsendQueryParams(connection, sql, Int32(counts.count), nil, values, counts, formats, 0) == 1
        }
    }

    /// The pointers are libpq's for the call, which copies what they point to.
    private func withPointers(
        to parameters: EncodedParameters,
        _ body: ([UnsafePointer<CChar>?], [Int32], [Int32]) -> Bool
    ) -> Bool {
        unsafe parameters.bytes.withUnsafeBytes { bytes in
            let values = unsafe parameters.fields.map { field -> UnsafePointer<CChar>? in
                guard let offset = field.offset else { return nil }
                return unsafe bytes.baseAddress?.advanced(by: offset).assumingMemoryBound(to: CChar.self)
            }
            return unsafe body(values, parameters.fields.map(\.count), parameters.fields.map(\.format))
        }
    }

    // MARK: Events

    private func watch(for interest: Reactor.Readiness) {
        // The description is shared with libpq's descriptor, so that readiness is the same.
        descriptor = unsafe fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else {
            return close(PostgresError(kind: .connection, message: "no descriptor left: errno \(errno)"))
        }
        reactor.watch(descriptor, for: interest) { [unowned self] readiness in ready(readiness) }
    }

    private func unwatch() {
        guard descriptor >= 0 else { return }
        reactor.unwatch(descriptor)
        Glibc.close(descriptor)
        descriptor = -1
    }

    private func ready(_ readiness: Reactor.Readiness) {
        if case .connecting = step { return pollConnect() }
        if readiness.contains(.read) { receive() }
        if readiness.contains(.write), !isClosed { proceed() }
    }

    private func receive() {
        let isOpen = unsafe PQconsumeInput(connection) == 1
        // What arrived before the end still counts: it says why the server went.
        proceed()
        if !isOpen, !isClosed { close(failure ?? connectionError()) }
    }

    /// Goes as far as it can without blocking.
    private func proceed() {
        if case .copying = step { feedCopy() }
        if !isClosed { collect() }
        guard !isClosed else { return }
        let unsent = unsafe PQflush(connection)
        guard unsent >= 0 else { return close(failure ?? connectionError()) }
        var wantsWrite = unsent == 1
        if case .copying = step { wantsWrite = true }
        reactor.setInterest(descriptor, wantsWrite ? [.read, .write] : .read)
    }

    /// Takes every result that is complete.
    private func collect() {
        while !isClosed, unsafe PQisBusy(connection) == 0 {
            deliverNotifications()
            switch step {
            case .connecting, .closed, .copying: return
            case .idle:
                if unsafe PQstatus(connection) == CONNECTION_BAD { close(connectionError()) }
                return
            case .preparing, .executing, .scripting, .copyStarting, .copyEnding: break
            }
            guard let result = unsafe PQgetResult(connection) else {
                finishStep()
                continue
            }
            unsafe take(result)
            unsafe PQclear(result)
        }
    }

    private func deliverNotifications() {
        while !isClosed, let notification = unsafe PQnotifies(connection) {
            let channel = unsafe String(cString: notification.pointee.relname)
            let payload = unsafe String(cString: notification.pointee.extra)
            unsafe PQfreemem(notification)
            onNotification?(channel, payload)
        }
    }

    private func take(_ result: OpaquePointer) {
        switch unsafe PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY, PGRES_TUPLES_OK:
            answer.table = unsafe PQresultStatus(result) == PGRES_TUPLES_OK ? ResultTable(copying: result) : nil
            answer.affected = unsafe Int(String(cString: PQcmdTuples(result))) ?? 0
            answer.tag = unsafe String(cString: PQcmdStatus(result))
        case PGRES_COPY_IN:
            guard case .copyStarting = step, failure == nil else { return refuseCopy() }
            step = .copying(nextChunk: 0)
        case PGRES_COPY_OUT, PGRES_COPY_BOTH:
            refuseCopy()
        default:
            // The first error is the cause; that the connection is gone may follow it.
            if failure == nil { failure = unsafe Self.error(of: result) }
        }
        if unsafe PQstatus(connection) == CONNECTION_BAD { close(failure ?? connectionError()) }
    }

    /// The protocol has no quick way out of a COPY that nobody feeds or reads.
    private func refuseCopy() {
        close(PostgresError(kind: .other, message: "COPY is for copyIn(_:rows:), with one COPY … FROM STDIN"))
    }

    private func finishStep() {
        guard case .preparing = step, failure == nil, case .statement(let sql, let parameters)? = operation?.work
        else { return finishOperation() }
        let name = "weir_\(statementCount)"
        statementCount += 1
        statementNames[sql] = name
        step = .executing
        if !execute(name, parameters) { close(connectionError()) }
    }

    private func finishOperation() {
        guard let finished = operation else { preconditionFailure("a result without an operation") }
        if let failure, isStalePlan(failure), case .statement(let sql, let parameters) = finished.work {
            statementNames[sql] = nil
            if isOutsideTransaction {
                // It failed before it did anything, and alone: with a new plan it is as if sent for the first time.
                self.failure = nil
                if !send(sql, parameters) { close(connectionError()) }
                return
            }
        }
        operation = nil
        stopTimer()
        step = .idle
        let outcome: Result<Answer, PostgresError> = failure.map { .failure($0) } ?? .success(answer)
        answer = Answer()
        failure = nil
        // The owner hears of the answer first: it may lend the session on or close it.
        let hasMore = !waiting.isEmpty
        if hasMore { startNext() }
        finished.done(outcome)
    }

    /// 0A000 "cached plan must not change result type" after a migration; 26000 after a DISCARD or DEALLOCATE.
    private func isStalePlan(_ error: PostgresError) -> Bool {
        usesEarlierPlan && (error.sqlState == "0A000" || error.sqlState == "26000")
    }

    // MARK: COPY

    private func feedCopy() {
        guard case .copying(var next) = step, case .copy(_, let chunks)? = operation?.work else { return }
        for _ in 0..<Self.chunksPerTurn {
            guard next < chunks.count else {
                let outcome = unsafe PQputCopyEnd(connection, nil)
                if outcome == 1 { step = .copyEnding }
                if outcome < 0 { close(connectionError()) }
                return
            }
            let outcome = unsafe chunks[next].withUnsafeBytes { chunk in
                unsafe PQputCopyData(
                    connection,
                    chunk.baseAddress?.assumingMemoryBound(to: CChar.self),
                    Int32(chunk.count)
                )
            }
            guard outcome >= 0 else { return close(connectionError()) }
            if outcome == 1 { next += 1 }
            step = .copying(nextChunk: next)
            let unsent = unsafe PQflush(connection)
            guard unsent >= 0 else { return close(connectionError()) }
            // Bytes wait for the server: more would only pile up in memory.
            if unsent == 1 || outcome == 0 { return }
        }
    }

    // MARK: The end

    /// Closes the connection for good; whatever is under way or waits fails with the error.
    func close(_ error: PostgresError) {
        guard !isClosed else { return }
        reactor.preconditionOnReactor()
        step = .closed
        stopTimer()
        unwatch()
        // In non-blocking mode PQfinish tries to say goodbye, but does not wait for it.
        if let connection = unsafe connection { unsafe PQfinish(connection) }
        unsafe connection = nil
        let connected = connected.take()
        let failed = [operation.take()].compactMap(\.self) + waiting
        waiting = []
        onNotification = nil
        let onClose = onClose.take()
        if let connected { connected(.failure(error)) } else { onClose?() }
        for operation in failed { operation.done(.failure(error)) }
    }

    private func stopTimer() {
        if let timer { reactor.cancel(timer) }
        timer = nil
    }

    // MARK: Errors

    /// libpq's own view of the connection, for what no result tells.
    private func connectionError() -> PostgresError {
        guard let connection = unsafe connection, let text = unsafe PQerrorMessage(connection) else {
            return PostgresError(kind: .connection, message: "the connection is gone")
        }
        var message = unsafe String(cString: text)
        while message.last?.isNewline == true { message.removeLast() }
        guard let sqlState = Self.sqlState(inVerbose: message) else {
            return PostgresError(kind: .connection, message: message)
        }
        let error = PostgresError(sqlState: sqlState, message: message)
        // A login refused for another reason is trouble with the connection all the same.
        return error.kind == .other ? PostgresError(kind: .connection, message: message) : error
    }

    /// `FATAL:  53300: sorry, too many clients already`, in whatever language FATAL is.
    private static func sqlState(inVerbose message: String) -> String? {
        let bytes = Array(message.utf8)
        guard bytes.count >= 10 else { return nil }
        for start in 0...bytes.count - 10 where bytes[start..<start + 3].elementsEqual(":  ".utf8) {
            let code = bytes[start + 3..<start + 8]
            let isCode = code.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
            }
            if isCode, bytes[start + 8] == UInt8(ascii: ":") { return String(decoding: code, as: UTF8.self) }
        }
        return nil
    }

    private static func error(of result: OpaquePointer) -> PostgresError {
        func field(_ field: Int32) -> String? {
            guard let text = unsafe PQresultErrorField(result, field) else { return nil }
            return unsafe String(cString: text)
        }
        guard let sqlState = field(Int32(UInt8(ascii: "C"))) else {
            // Made by libpq itself, when the connection broke.
            var message = unsafe String(cString: PQresultErrorMessage(result))
            while message.last?.isNewline == true { message.removeLast() }
            return PostgresError(kind: .connection, message: message)
        }
        // PG_DIAG_* of postgres_ext.h, which are letters.
        var error = PostgresError(sqlState: sqlState, message: field(Int32(UInt8(ascii: "M"))) ?? "")
        error.detail = field(Int32(UInt8(ascii: "D")))
        error.constraint = field(Int32(UInt8(ascii: "n")))
        error.table = field(Int32(UInt8(ascii: "t")))
        error.column = field(Int32(UInt8(ascii: "c")))
        return error
    }
}
