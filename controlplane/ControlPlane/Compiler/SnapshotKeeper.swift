// Holds the snapshot of the newest version, compiled here, for nodes that ask over HTTP and for the publisher. A
// commit rings the bell; a burst of commits is compiled once. Without PostgreSQL the last one is served on.

import Logging
import Postgres
import Secrets
import Synchronization

/// Compiles on change and gives out the current snapshot; any thread.
final class SnapshotKeeper: Sendable {
    /// How often the version is looked at when no bell rings.
    static let lookInterval = Duration.seconds(1)
    /// Older snapshots whose chunks are still given out: a node may be reading one.
    static let keptSnapshots = 8

    /// Rings when a new snapshot is current.
    let compiled = Beacon()

    private struct State {
        var current: CompiledSnapshot?
        var older: [CompiledSnapshot] = []
        var failure: String?
    }

    private let compiler: SnapshotCompiler
    private let store: Store
    private let logger: Logger
    private let state = Mutex(State())

    init(compiler: SnapshotCompiler, store: Store, logger: Logger) {
        self.compiler = compiler
        self.store = store
        self.logger = logger
    }

    /// The newest compiled snapshot; nil before the first.
    var current: CompiledSnapshot? { state.withLock { $0.current } }

    /// Why the newest version could not be compiled; nil when it could.
    var failure: String? { state.withLock { $0.failure } }

    /// A chunk of the current snapshot or a recent one.
    func chunk(_ digest: Digest) -> [UInt8]? {
        let snapshots = state.withLock { ($0.current.map { [$0] } ?? []) + $0.older }
        for snapshot in snapshots {
            if let chunk = snapshot.encoded.chunks[digest] { return chunk }
        }
        return nil
    }

    /// Follows the configuration until cancelled.
    func run() async {
        while !Task.isCancelled {
            let rings = store.committed.rings
            await look()
            await store.committed.wait(past: rings, atMost: Self.lookInterval)
        }
    }

    private func look() async {
        do {
            guard try await isBehind() else { return }
            let snapshot = try await compiler.compile()
            if accept(snapshot) {
                compiled.notify()
                logger.debug(
                    "snapshot compiled",
                    metadata: ["version": "\(snapshot.version)", "us": "\(snapshot.compileMicroseconds)"]
                )
            }
        } catch is CancellationError {
            return
        } catch {
            let text = Self.describe(error)
            let isNew = state.withLock { state in
                defer { state.failure = text }
                return state.failure != text
            }
            if isNew { logger.error("no new snapshot; the last one stays", metadata: ["reason": "\(text)"]) }
        }
    }

    private func isBehind() async throws -> Bool {
        guard let current else { return true }
        let rows = try await store.pool.query("SELECT version, lineage FROM configuration", [])
        guard let row = rows.first else { return true }
        let isSame = try UInt64(row.int("version")) == current.version && hex(row.bytes("lineage")) == current.lineage
        if isSame { state.withLock { $0.failure = nil } }
        return !isSame
    }

    private func accept(_ snapshot: CompiledSnapshot) -> Bool {
        state.withLock { state in
            state.failure = nil
            if let current = state.current {
                if current.position == snapshot.position { return false }
                state.older.insert(current, at: 0)
                if state.older.count > Self.keptSnapshots { state.older.removeLast() }
            }
            state.current = snapshot
            return true
        }
    }

    private static func describe(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: "database: \(error.message)"
        case let error as CompileError: "\(error.resource) \(error.id): \(error.reason)"
        default: "\(error)"
        }
    }
}
