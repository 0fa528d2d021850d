// Compiles the configuration whenever its version is another than the current snapshot's. A commit here or elsewhere
// rings the bell; a burst of commits is compiled once. Without PostgreSQL the last snapshot is served on.

import Logging
import Postgres
import Secrets
import Synchronization
import Telemetry

/// Keeps the holder's snapshot up to date.
final class SnapshotKeeper: Sendable {
    /// How often the version is looked at when no bell rings.
    static let lookInterval = Duration.seconds(1)

    private let compiler: SnapshotCompiler
    private let holder: SnapshotHolder
    private let store: Store
    private let lineage: LineageKeeper
    private let measures: ControlMeasures
    private let logger: Logger
    private let reason = Mutex<String?>(nil)

    init(
        compiler: SnapshotCompiler,
        holder: SnapshotHolder,
        store: Store,
        lineage: LineageKeeper,
        measures: ControlMeasures,
        logger: Logger
    ) {
        self.compiler = compiler
        self.holder = holder
        self.store = store
        self.lineage = lineage
        self.measures = measures
        self.logger = logger
    }

    /// Why the newest version could not be compiled; nil when it could.
    var failure: String? { reason.withLock { $0 } }

    /// Follows the configuration until cancelled.
    func run() async {
        while !Task.isCancelled {
            let rings = store.committed.rings
            await look()
            await store.committed.wait(past: rings, atMost: Self.lookInterval)
        }
    }

    /// Rings the bell when any control plane commits, until cancelled.
    ///
    /// The stream also yields when its connection is new, because a notification may have been missed before.
    func listen() async {
        for await _ in store.pool.listen(Store.channel) { store.committed.notify() }
    }

    private func look() async {
        do {
            let database = try await look(at: holder.current)
            if database == .another, let current = holder.current {
                // Its next version would carry a number that nodes enforce already: nothing is compiled until it has
                // a lineage of its own.
                lineage.suspect(LineageKeeper.Evidence(current, witness: "what was compiled before"))
                return
            }
            if database == .ahead {
                let before = holder.current?.version ?? 0
                let (start, startedAt) = (ContinuousClock.now, UnixTime.nanoseconds)
                let snapshot = try await compiler.compile(after: holder.current)
                measures.compile.record(nanoseconds: Int64((ContinuousClock.now - start) / .nanoseconds(1)))
                measures.tracer.record(
                    "compile snapshot",
                    from: before,
                    to: snapshot.version,
                    start: startedAt,
                    attributes: [.init("weir.incremental", .bool(snapshot.isIncremental))]
                )
                holder.accept(snapshot)
                logger.debug(
                    "snapshot compiled",
                    metadata: [
                        "version": "\(snapshot.version)", "us": "\(snapshot.compileMicroseconds)",
                        "incremental": "\(snapshot.isIncremental)",
                    ]
                )
            }
            reason.withLock { $0 = nil }
        } catch is CancellationError {
            return
        } catch {
            let text = Self.describe(error)
            let isNew = reason.withLock { reason in
                defer { reason = text }
                return reason != text
            }
            if isNew, !Task.isCancelled {
                logger.error("no new snapshot; the last one stays", metadata: ["reason": "\(text)"])
            }
        }
    }

    /// Where the database is beside what was compiled.
    private enum Position {
        case same
        case ahead
        /// It lost versions that were compiled: set back, or failed over to a copy that lagged.
        case another
    }

    private func look(at current: CompiledSnapshot?) async throws -> Position {
        guard let current else { return .ahead }
        let rows = try await store.pool.query(
            """
            SELECT version, lineage, (SELECT at FROM audit_log WHERE audit_log.version = $1) AS compiled_at
            FROM configuration
            """,
            [.int(Int64(clamping: current.version))]
        )
        guard let row = rows.first else { return .ahead }
        let version = UInt64(try row.int("version"))
        guard try hex(row.bytes("lineage")) == current.lineage else { return .ahead }
        // A version's number may have been given out again: its time was not.
        let compiledAt = try row.optionalMilliseconds("compiled_at")
        if version < current.version || compiledAt.map({ $0 != current.createdAt }) == true { return .another }
        return version == current.version ? .same : .ahead
    }

    private static func describe(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: "database: \(error.message)"
        case let error as CompileError: "\(error.resource) \(error.id): \(error.reason)"
        default: "\(error)"
        }
    }
}
