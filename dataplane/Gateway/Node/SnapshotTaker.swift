// Turns a manifest that somebody offered into the snapshot that is enforced, or into a refusal with its reason. The
// one it replaces stays until the whole new one has been fetched, checked and built: a swap is never half done.

import Logging
import Policy
import Reactor
import Secrets
import Snapshot

/// Verifies, fetches, builds and swaps; one manifest at a time.
///
/// Confined to the node's Reactor, off the workers' threads.
final class SnapshotTaker {
    /// What an offered manifest led to.
    enum Outcome: Equatable {
        case swapped
        /// It is what is enforced already.
        case same
        case refused
    }

    private final class Offer {
        let manifest: [UInt8]
        let digest: Digest
        let source: SnapshotSource
        var done: [(Outcome) -> Void]

        init(_ manifest: [UInt8], _ source: SnapshotSource, _ done: @escaping (Outcome) -> Void) {
            self.manifest = manifest
            digest = SHA256.digest(manifest)
            self.source = source
            self.done = [done]
        }
    }

    /// What is enforced, to be announced to the tracker and to the control plane.
    private(set) var enforced: SnapshotIdentity?

    private let configuration: NodeConfiguration
    private let registry: PolicyRegistry
    private let control: ControlClient
    private let shared: NodeShared
    private let store: LastKnownGoodKeeper
    private let logger: Logger
    private let onSnapshot: @Sendable (EnforcedSnapshot) -> Void
    private var gate = SnapshotGate()
    /// What is enforced; the next one takes over from it what is equal.
    private var current: EnforcedSnapshot?
    /// Good chunks of a snapshot that was not whole; the next attempt need not fetch them again.
    private var spareChunks: [Digest: [UInt8]] = [:]
    private var inHand: Offer?
    private var next: Offer?
    private var fetch: ChunkFetch?
    /// A manifest whose content was whole and bad: it can never become good.
    private var condemned: Digest?
    private var lastRefused: (digest: Digest, reason: String)?

    /// Where the chunks of a manifest from that source are looked for first; nil while Redis is known to be out.
    var redis: (SnapshotSource) -> RedisConnection? = { _ in nil }
    /// Called after a swap with its identity, after a new refusal or the end of one with nil.
    var onChange: (SnapshotIdentity?) -> Void = { _ in }

    /// Makes a taker with nothing enforced.
    ///
    /// - Parameters:
    ///   - configuration: the key that manifests must be signed with.
    ///   - registry: the policy kinds this node can enforce.
    ///   - control: where chunks come from that Redis lacks.
    ///   - shared: the status that this writes.
    ///   - store: keeps what is enforced for the next start.
    ///   - logger: for swaps and refusals.
    ///   - onSnapshot: gets each snapshot that is to be enforced.
    init(
        configuration: NodeConfiguration,
        registry: PolicyRegistry,
        control: ControlClient,
        shared: NodeShared,
        store: LastKnownGoodKeeper,
        logger: Logger,
        onSnapshot: @escaping @Sendable (EnforcedSnapshot) -> Void
    ) {
        self.configuration = configuration
        self.registry = registry
        self.control = control
        self.shared = shared
        self.store = store
        self.logger = logger
        self.onSnapshot = onSnapshot
    }

    /// Enforces the last-known-good copy: the newer of the two that this build can enforce.
    func takeFromDisk() {
        for copy in store.copies(verifyingKey: configuration.verifyingKey) {
            do throws(SnapshotError) {
                _ = try build(copy.manifest, copy.encoded.chunks, from: .disk)
                return
            } catch {
                logger.error("a last-known-good copy cannot be enforced", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Takes a manifest over if it is newer and good.
    ///
    /// Joins the one in hand when it is the same; else it waits, and takes the place of one that waits already.
    func offer(_ manifest: [UInt8], from source: SnapshotSource, _ done: @escaping (Outcome) -> Void) {
        let offer = Offer(manifest, source, done)
        guard let inHand else { return begin(offer) }
        if inHand.digest == offer.digest {
            inHand.done.append(done)
            return
        }
        let replaced = next
        next = offer
        if let replaced { for done in replaced.done { done(.refused) } }
    }

    /// Whether the last head that was looked at was refused.
    var hasRefusal: Bool { lastRefused != nil }

    /// The control plane or a signed head says that this is the newest: a refusal before it is history.
    func confirm(_ identity: SnapshotIdentity) {
        guard identity == enforced else { return }
        shared.update { status in
            status.refusal = nil
            status.confirmedAt = .now
        }
        guard lastRefused != nil else { return }
        lastRefused = nil
        onChange(nil)
    }

    /// Drops what is in hand; nobody is answered any more.
    func stop() {
        fetch?.cancel()
        fetch = nil
        inHand = nil
        next = nil
    }

    private func begin(_ offer: Offer) {
        inHand = offer
        guard offer.digest != condemned else { return end(.refused) }
        let manifest: Manifest
        do throws(SnapshotError) {
            manifest = try SnapshotDecoder.manifest(offer.manifest, verifyingKey: configuration.verifyingKey)
        } catch {
            return refuse("\(error)")
        }
        switch gate.judge(manifest.identity, createdAt: manifest.createdAt) {
        case .refuse(let reason): refuse(reason)
        case .same:
            confirm(manifest.identity)
            end(.same)
        case .take: gather(manifest, offer, spareChunks)
        }
    }

    /// Fetches what is known to be missing, then what its pages name, until all is there.
    private func gather(_ manifest: Manifest, _ offer: Offer, _ gathered: [Digest: [UInt8]]) {
        let missing: [ChunkReference]
        do throws(SnapshotError) {
            missing = try SnapshotDecoder.missing(manifest, enforced: current) { gathered[$0] }
        } catch {
            return condemn(offer, error)
        }
        guard !missing.isEmpty else { return finish(manifest, offer, gathered) }
        let wanted = missing.map { ChunkFetch.Wanted(digest: $0.digest, byteCount: $0.size) }
        let fetch = ChunkFetch(wanted, redis: redis(offer.source), control: control) { [weak self] outcome in
            guard let self else { return }
            self.fetch = nil
            self.shared.update { status in
                status.chunksFromRedis += outcome.fromRedis
                status.chunksFromControl += outcome.fromControl
            }
            let gathered = gathered.merging(outcome.chunks) { _, new in new }
            guard let trouble = outcome.trouble else { return self.gather(manifest, offer, gathered) }
            do throws(SnapshotError) {
                // Of this manifest alone, so that a row of such attempts does not fill the memory.
                self.spareChunks = try SnapshotDecoder.present(manifest, enforced: self.current) { gathered[$0] }
            } catch {
                return self.condemn(offer, error)
            }
            self.refuse(trouble)
        }
        self.fetch = fetch
        fetch.start()
    }

    private func finish(_ manifest: Manifest, _ offer: Offer, _ gathered: [Digest: [UInt8]]) {
        let snapshot: EnforcedSnapshot
        do throws(SnapshotError) {
            snapshot = try build(manifest, gathered, from: offer.source)
        } catch {
            return condemn(offer, error)
        }
        store.save(manifest: offer.manifest, of: snapshot)
        end(.swapped)
    }

    /// Every chunk is what its digest says, so a second look would find the same.
    private func condemn(_ offer: Offer, _ error: SnapshotError) {
        condemned = offer.digest
        spareChunks = [:]
        refuse("\(error)")
    }

    private func build(
        _ manifest: Manifest,
        _ gathered: [Digest: [UInt8]],
        from source: SnapshotSource
    ) throws(SnapshotError) -> EnforcedSnapshot {
        let snapshot = try EnforcedSnapshot(manifest: manifest, replacing: current, registry: registry) { gathered[$0] }
        let identity = manifest.identity
        current = snapshot
        spareChunks = [:]
        condemned = nil
        lastRefused = nil
        enforced = identity
        gate.enforced(identity, createdAt: manifest.createdAt)
        onSnapshot(snapshot)
        let createdAt = manifest.createdAt
        shared.update { status in
            status.version = identity.version
            status.lineage = identity.lineage
            status.createdAt = createdAt
            status.source = source
            status.confirmedAt = source == .disk ? nil : .now
            status.refusal = nil
            status.swaps += 1
            status.chunksFromMemory += UInt64(max(0, snapshot.chunkCount - gathered.count))
        }
        logger.info(
            "a snapshot is enforced",
            metadata: [
                "version": .stringConvertible(identity.version), "lineage": "\(identity.lineage)",
                "source": "\(source.rawValue)",
            ]
        )
        onChange(identity)
        return snapshot
    }

    private func refuse(_ reason: String) {
        guard let offer = inHand else { return }
        if lastRefused?.digest != offer.digest || lastRefused?.reason != reason {
            lastRefused = (offer.digest, reason)
            shared.update { status in
                status.refusal = reason
                status.nacks += 1
            }
            logger.error(
                "a snapshot was refused; the old one stays",
                metadata: ["reason": "\(reason)", "source": "\(offer.source.rawValue)"]
            )
            onChange(nil)
        }
        end(.refused)
    }

    private func end(_ outcome: Outcome) {
        let ended = inHand
        inHand = next
        next = nil
        // The next one is begun first: whoever is answered may offer again.
        if let waiting = inHand { begin(waiting) }
        for done in ended?.done ?? [] { done(outcome) }
    }
}

extension Manifest {
    fileprivate var identity: SnapshotIdentity { SnapshotIdentity(lineage: lineage, version: version) }
}
