// Writes snapshots to disk on a thread of its own: an fsync can take seconds on a bad day, and the node's thread has
// heartbeats to hear meanwhile. A small copy is written at once; a large one leaves the disk alone for a while, so that
// a burst of changes to 100,000 apps is one write of 45 MB and not one for each.

import Limits
import Logging
import Reactor
import Secrets
import Snapshot
import Synchronization

/// Keeps the newest snapshot on disk for the next start.
final class LastKnownGoodKeeper: Sendable {
    /// Copies of so many bytes are written whenever there is a new one.
    private static let smallBytes = 1 << 20
    /// The least time from the end of a large write to the next one.
    private static let leastPause: Duration = .seconds(1)
    /// A copy that was not written is tried again then.
    private let retryPause: Duration
    /// The disk rests so many times as long as a large write took.
    private static let pauseFactor = 10

    private struct Copy {
        let manifest: [UInt8]
        let snapshot: EnforcedSnapshot
    }

    private struct State {
        var waiting: Copy?
        /// A write is under way or scheduled: it takes what waits by then.
        var isScheduled = false
        /// No large write before this.
        var restsUntil: ContinuousClock.Instant?
    }

    private let store: LastKnownGood
    private let logger: Logger
    private let thread: ReactorHandle
    private let state = Mutex(State())

    init(directory: String, retryPause: Duration = .seconds(5), logger: Logger) throws(ReactorError) {
        self.retryPause = retryPause
        store = LastKnownGood(directory: directory)
        self.logger = logger
        thread = try ReactorHandle.start(name: "weir-lkg")
    }

    /// The valid copies, the newest first, each read on the caller's thread when it is asked for.
    func copies(verifyingKey: VerifyingKey) -> some Sequence<StoredSnapshot> {
        store.newestFirst(verifyingKey: verifyingKey)
    }

    /// Queues a copy; one that still waits is replaced, since only the newest counts.
    func save(manifest: [UInt8], of snapshot: EnforcedSnapshot) {
        let mustPost = state.withLock { state in
            state.waiting = Copy(manifest: manifest, snapshot: snapshot)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard mustPost else { return }
        thread.post { [self] reactor in writeOrRest(reactor) }
    }

    /// The place in the fleet that was last saved; reads on the caller's thread.
    func place() -> FleetPlace? {
        do throws(DiskError) {
            return try store.loadPlace().map { FleetPlace(nodes: $0.nodes, rank: $0.rank) }
        } catch {
            logger.warning("the place in the fleet was not read", metadata: ["reason": "\(error)"])
            return nil
        }
    }

    /// Queues the place in the fleet; it changes when nodes come and go.
    func save(_ place: FleetPlace) {
        thread.post { [store, logger] _ in
            do throws(DiskError) {
                try store.savePlace(nodes: place.nodes, rank: place.rank)
            } catch {
                logger.warning("the place in the fleet was not written", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Ends the thread after what is queued is written.
    func stop() {
        thread.post { [self] reactor in write(reactor) }
        thread.stop()
    }

    private func writeOrRest(_ reactor: Reactor) {
        let rest = state.withLock { $0.restsUntil }.map { $0 - .now } ?? .zero
        guard rest > .zero else { return write(reactor) }
        _ = reactor.schedule(after: rest) { [self, unowned reactor] in write(reactor) }
    }

    private func write(_ reactor: Reactor) {
        let taken = state.withLock { state in
            state.isScheduled = false
            return state.waiting.take()
        }
        guard let copy = taken else { return }
        let start = ContinuousClock.now
        do throws(DiskError) {
            let bytes = try store.save(EncodedSnapshot(manifest: copy.manifest, chunks: copy.snapshot.chunks()))
            guard bytes > Self.smallBytes else { return }
            let end = ContinuousClock.now
            state.withLock { $0.restsUntil = end + max(Self.leastPause, (end - start) * Self.pauseFactor) }
        } catch {
            logger.error("the last-known-good copy was not written", metadata: ["reason": "\(error)"])
            // The next change may be days away, and a restart would begin with an old copy until then.
            let isNext = state.withLock { state in
                guard state.waiting == nil else { return false }
                state.waiting = copy
                defer { state.isScheduled = true }
                return !state.isScheduled
            }
            if isNext { _ = reactor.schedule(after: retryPause) { [self, unowned reactor] in write(reactor) } }
        }
    }
}
