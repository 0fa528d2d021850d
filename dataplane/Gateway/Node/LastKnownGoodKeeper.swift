// Writes snapshots to disk on a thread of its own: an fsync can take seconds on a bad day, and the node's thread has
// heartbeats to hear meanwhile.

import Limits
import Logging
import Reactor
import Secrets
import Snapshot
import Synchronization

/// Keeps the newest snapshot on disk for the next start.
final class LastKnownGoodKeeper: Sendable {
    private struct Copy {
        let manifest: [UInt8]
        let chunks: [Digest: [UInt8]]
    }

    private let store: LastKnownGood
    private let logger: Logger
    private let thread: ReactorHandle
    private let waiting = Mutex<Copy?>(nil)

    init(directory: String, logger: Logger) throws(ReactorError) {
        store = LastKnownGood(directory: directory)
        self.logger = logger
        thread = try ReactorHandle.start(name: "weir-lkg")
    }

    /// The valid copies, the newest first; reads on the caller's thread.
    func copies(verifyingKey: VerifyingKey) -> [StoredSnapshot] {
        store.copies(verifyingKey: verifyingKey)
    }

    /// Queues a copy; one that still waits is replaced, since only the newest counts.
    func save(manifest: [UInt8], chunks: [Digest: [UInt8]]) {
        let isFirst = waiting.withLock { waiting in
            defer { waiting = Copy(manifest: manifest, chunks: chunks) }
            return waiting == nil
        }
        guard isFirst else { return }
        thread.post { [self] _ in write() }
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
    func stop() { thread.stop() }

    private func write() {
        guard let copy = waiting.withLock({ $0.take() }) else { return }
        do throws(DiskError) {
            try store.save(EncodedSnapshot(manifest: copy.manifest, chunks: copy.chunks))
        } catch {
            logger.error("the last-known-good copy was not written", metadata: ["reason": "\(error)"])
        }
    }
}
