// Compiles the configuration whenever its version is another than the current snapshot's. A commit here or elsewhere
// rings the bell; a burst of commits is compiled once. Without PostgreSQL the last snapshot is served on.

import Logging
import Postgres
import Secrets
import Synchronization

/// Keeps the holder's snapshot up to date.
final class SnapshotKeeper: Sendable {
    /// How often the version is looked at when no bell rings.
    static let lookInterval = Duration.seconds(1)

    private let compiler: SnapshotCompiler
    private let holder: SnapshotHolder
    private let store: Store
    private let logger: Logger
    private let reason = Mutex<String?>(nil)

    init(compiler: SnapshotCompiler, holder: SnapshotHolder, store: Store, logger: Logger) {
        self.compiler = compiler
        self.holder = holder
        self.store = store
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
            if try await isBehind() {
                let snapshot = try await compiler.compile(after: holder.current)
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

    private func isBehind() async throws -> Bool {
        guard let current = holder.current else { return true }
        let rows = try await store.pool.query("SELECT version, lineage FROM configuration")
        guard let row = rows.first else { return true }
        return try UInt64(row.int("version")) != current.version || hex(row.bytes("lineage")) != current.lineage
    }

    private static func describe(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: "database: \(error.message)"
        case let error as CompileError: "\(error.resource) \(error.id): \(error.reason)"
        default: "\(error)"
        }
    }
}
