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
        let notice: [UInt8]?
        let digest: Digest
        let source: SnapshotSource
        var done: [(Outcome) -> Void]

        init(
            _ manifest: [UInt8],
            _ notice: [UInt8]?,
            _ source: SnapshotSource,
            _ done: @escaping (Outcome) -> Void
        ) {
            self.manifest = manifest
            self.notice = notice
            digest = SHA256.digest(manifest + (notice ?? []))
            self.source = source
            self.done = [done]
        }
    }

    /// An offer that was found worth taking, while its chunks come in.
    private final class Taking {
        let offer: Offer
        let manifest: Manifest
        /// nil when there is none for this node, or when it was given up.
        private(set) var canary: SnapshotCanary?
        var gathered: [Digest: [UInt8]]
        private(set) var trouble: SnapshotRefusal?
        /// It could not become good by another look.
        private(set) var isCanaryBad = false

        init(_ offer: Offer, _ manifest: Manifest, _ canary: SnapshotCanary?, _ gathered: [Digest: [UInt8]]) {
            self.offer = offer
            self.manifest = manifest
            self.canary = canary
            self.gathered = gathered
        }

        /// What all others enforce is better than what was enforced before: a canary that this node cannot enforce must
        /// not keep it from the changes that come meanwhile.
        func giveUpCanary(_ reason: String, isFinal: Bool) {
            trouble = SnapshotRefusal(.canary, "canary \(canary?.id ?? "notice"): \(reason)")
            isCanaryBad = isFinal
            self.canary = nil
        }
    }

    /// What is enforced, to be announced to the tracker and to the control plane.
    private(set) var enforced: SnapshotIdentity?
    /// The canary whose chunks are enforced with it.
    private(set) var enforcedCanary: String?

    private let configuration: NodeConfiguration
    private let registry: PolicyRegistry
    private let control: ControlClient
    private let shared: NodeShared
    private let store: LastKnownGoodKeeper
    private let logger: Logger
    private let onHeldKeys: @Sendable (Set<KeyID>) -> Void
    private let onSnapshot: @Sendable (EnforcedSnapshot) -> Void
    private var held = HeldRevocations(lineage: "", keys: [])
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
    private var lastRefused: (digest: Digest, refusal: SnapshotRefusal)?

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
    ///   - onHeldKeys: gets the keys to refuse although the snapshot admits them.
    ///   - onSnapshot: gets each snapshot that is to be enforced.
    init(
        configuration: NodeConfiguration,
        registry: PolicyRegistry,
        control: ControlClient,
        shared: NodeShared,
        store: LastKnownGoodKeeper,
        logger: Logger,
        onHeldKeys: @escaping @Sendable (Set<KeyID>) -> Void,
        onSnapshot: @escaping @Sendable (EnforcedSnapshot) -> Void
    ) {
        self.configuration = configuration
        self.registry = registry
        self.control = control
        self.shared = shared
        self.store = store
        self.logger = logger
        self.onHeldKeys = onHeldKeys
        self.onSnapshot = onSnapshot
    }

    /// Enforces the last-known-good copy: the newer of the two that this build can enforce.
    func takeFromDisk() {
        loadHeld()
        for copy in store.copies(verifyingKey: configuration.verifyingKey) {
            do throws(SnapshotError) {
                let chunks = copy.encoded.chunks
                let snapshot = try EnforcedSnapshot(manifest: copy.manifest, registry: registry) { chunks[$0] }
                return enforce(snapshot, nil, from: .disk)
            } catch {
                logger.error("a last-known-good copy cannot be enforced", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Takes a manifest over if it is newer and good.
    ///
    /// Joins the one in hand when it is the same; else it waits, and takes the place of one that waits already.
    ///
    /// - Parameters:
    ///   - manifest: bytes from anywhere.
    ///   - notice: the canary's that came with it, from anywhere too.
    ///   - source: who offers.
    ///   - done: called once.
    func offer(
        _ manifest: [UInt8],
        notice: [UInt8]?,
        from source: SnapshotSource,
        _ done: @escaping (Outcome) -> Void
    ) {
        let offer = Offer(manifest, notice, source, done)
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
        shared.confirm()
        shared.update { $0.refusal = nil }
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
            return refuse(SnapshotRefusal(error))
        }
        var canary: SnapshotCanary?
        var canaryTrouble: String?
        do throws(SnapshotError) {
            canary = try self.canary(of: offer, manifest)
        } catch {
            // It must not keep the node from what all others enforce.
            canaryTrouble = "\(error)"
        }
        switch gate.judge(manifest.identity, createdAt: manifest.createdAt) {
        case .refuse(let refusal): refuse(refusal)
        case .same:
            // A node that came from its disk has the version without the canary's chunks.
            if let canary, enforcedCanary == nil { return gather(Taking(offer, manifest, canary, spareChunks)) }
            confirm(manifest.identity)
            end(.same)
        case .take:
            let taking = Taking(offer, manifest, canary, spareChunks)
            if let canaryTrouble { taking.giveUpCanary(canaryTrouble, isFinal: true) }
            gather(taking)
        }
    }

    /// The canary that this node is in; nil when there is none, or none for this node or this manifest.
    private func canary(of offer: Offer, _ manifest: Manifest) throws(SnapshotError) -> SnapshotCanary? {
        guard let notice = offer.notice else { return nil }
        let canary = try SnapshotCanary(notice, verifyingKey: configuration.verifyingKey)
        guard canary.lineage == manifest.lineage, canary.version == manifest.version,
            canary.includes(nodeID: configuration.nodeID)
        else { return nil }
        return canary
    }

    /// Fetches what is known to be missing, then what its pages name, until all is there.
    private func gather(_ taking: Taking) {
        let gathered = taking.gathered
        var missing: [ChunkReference]
        do throws(SnapshotError) {
            missing = try SnapshotDecoder.missing(taking.manifest, enforced: current) { gathered[$0] }
        } catch {
            return condemn(taking.offer, SnapshotRefusal(error))
        }
        if let canary = taking.canary {
            do throws(SnapshotError) {
                let changed = taking.manifest.applying(canary)
                let named = Set(missing.map(\.digest))
                missing += try SnapshotDecoder.missing(changed, enforced: current) { gathered[$0] }
                    .filter { !named.contains($0.digest) }
            } catch {
                taking.giveUpCanary("\(error)", isFinal: true)
            }
        }
        guard !missing.isEmpty else { return finish(taking) }
        let wanted = missing.map { ChunkFetch.Wanted(digest: $0.digest, byteCount: $0.size) }
        let fetch = ChunkFetch(wanted, redis: redis(taking.offer.source), control: control) { [weak self] outcome in
            guard let self else { return }
            self.fetch = nil
            self.shared.update { status in
                status.chunksFromRedis += outcome.fromRedis
                status.chunksFromControl += outcome.fromControl
                status.redisHits += outcome.fromRedis
                status.redisMisses += outcome.redisMisses
                status.controlHits += outcome.fromControl
                status.controlMisses += outcome.controlMisses
            }
            taking.gathered.merge(outcome.chunks) { _, new in new }
            guard let trouble = outcome.trouble else { return self.gather(taking) }
            if taking.canary != nil {
                // Perhaps it is only the canary's that is missing.
                taking.giveUpCanary(trouble, isFinal: false)
                return self.gather(taking)
            }
            self.spare(taking, trouble)
        }
        self.fetch = fetch
        fetch.start()
    }

    /// Keeps what came of a snapshot that is not whole.
    private func spare(_ taking: Taking, _ trouble: String) {
        let gathered = taking.gathered
        do throws(SnapshotError) {
            // Of this manifest alone, so that a row of such attempts does not fill the memory.
            spareChunks = try SnapshotDecoder.present(taking.manifest, enforced: current) { gathered[$0] }
        } catch {
            return condemn(taking.offer, SnapshotRefusal(error))
        }
        refuse(SnapshotRefusal(.missingChunk, trouble))
    }

    private func finish(_ taking: Taking) {
        let gathered = taking.gathered
        let (manifest, source) = (taking.manifest, taking.offer.source)
        let isNew = manifest.identity != enforced
        var base = current
        if isNew {
            do throws(SnapshotError) {
                base = try EnforcedSnapshot(manifest: manifest, replacing: current, registry: registry) { gathered[$0] }
            } catch {
                return condemn(taking.offer, SnapshotRefusal(error))
            }
        }
        guard let base else { preconditionFailure("what is enforced is there") }
        var changed: EnforcedSnapshot?
        if let canary = taking.canary {
            do throws(SnapshotError) {
                changed = try EnforcedSnapshot(
                    manifest: manifest.applying(canary),
                    // Not the base: what the canary changes is held by the one before, if it was a canary's too.
                    replacing: current,
                    registry: registry
                ) { gathered[$0] }
            } catch {
                taking.giveUpCanary("\(error)", isFinal: true)
            }
        }
        if isNew || changed != nil {
            let reused = (changed ?? base).chunkCount - gathered.count
            shared.update { $0.chunksFromMemory += UInt64(max(0, reused)) }
            enforce(changed ?? base, taking.canary?.id, from: source)
        }
        // The copy on disk is the last one known to be good: without the canary, that is.
        if isNew { store.save(manifest: taking.offer.manifest, of: base) }
        guard let trouble = taking.trouble else { return end(.swapped) }
        if taking.isCanaryBad { condemned = taking.offer.digest }
        refuse(trouble, outcome: isNew ? .swapped : .refused)
    }

    /// Every chunk is what its digest says, so a second look would find the same.
    private func condemn(_ offer: Offer, _ refusal: SnapshotRefusal) {
        condemned = offer.digest
        spareChunks = [:]
        refuse(refusal)
    }

    private func enforce(_ snapshot: EnforcedSnapshot, _ canary: String?, from source: SnapshotSource) {
        let identity = SnapshotIdentity(lineage: snapshot.lineage, version: snapshot.version)
        holdRevocations(before: snapshot)
        current = snapshot
        spareChunks = [:]
        condemned = nil
        lastRefused = nil
        enforced = identity
        enforcedCanary = canary
        gate.enforced(identity, createdAt: snapshot.createdAt)
        onSnapshot(snapshot)
        let createdAt = snapshot.createdAt
        shared.update { status in
            status.version = identity.version
            status.lineage = identity.lineage
            status.canary = canary
            status.createdAt = createdAt
            status.source = source
            status.refusal = nil
            status.swaps += 1
        }
        if source != .disk { shared.confirm() }
        logger.info(
            "a snapshot is enforced",
            metadata: [
                "version": .stringConvertible(identity.version), "lineage": "\(identity.lineage)",
                "source": "\(source.rawValue)",
            ]
        )
        onChange(identity)
    }

    private func refuse(_ refusal: SnapshotRefusal, outcome: Outcome = .refused) {
        guard let offer = inHand else { return }
        if lastRefused?.digest != offer.digest || lastRefused?.refusal != refusal {
            lastRefused = (offer.digest, refusal)
            let index = RefusalClass.allCases.firstIndex(of: refusal.kind) ?? 0
            shared.update { status in
                status.refusal = refusal.reason
                status.nacksByClass[index] += 1
            }
            logger.error(
                "a snapshot was refused; the old one stays",
                metadata: ["reason": "\(refusal.reason)", "source": "\(offer.source.rawValue)"]
            )
            onChange(nil)
        }
        end(outcome)
    }

    // MARK: A restored database

    /// An admin has looked at the lineage: its revocations are all there are.
    func confirmLineage(_ lineage: String) {
        guard lineage == enforced?.lineage, !held.keys.isEmpty else { return }
        logger.info("the lineage is confirmed", metadata: ["released_keys": "\(held.keys.count)"])
        hold(HeldRevocations(lineage: lineage, keys: []))
    }

    private func loadHeld() {
        do {
            guard let stored = try HeldRevocations.load(directory: configuration.dataDirectory) else { return }
            held = stored
            onHeldKeys(held.keys)
            let count = held.keys.count
            shared.update { $0.heldRevocations = count }
        } catch {
            logger.error("the list of held revocations cannot be read", metadata: ["reason": "\(error)"])
        }
    }

    /// Before another lineage is enforced: what the old one revoked stays refused, on disk first.
    private func holdRevocations(before restored: EnforcedSnapshot) {
        guard let replaced = current, replaced.lineage != restored.lineage else { return }
        let keys = HeldRevocations.needed(
            replacing: replaced,
            by: restored,
            held: held.keys,
            now: WallClock.milliseconds
        )
        logger.warning(
            "another lineage: the database was restored",
            metadata: ["lineage": "\(restored.lineage)", "held_revocations": "\(keys.count)"]
        )
        hold(HeldRevocations(lineage: restored.lineage, keys: keys))
    }

    /// Rare, and it must be on disk before the new lineage is: so it is written here, on the node's own thread.
    private func hold(_ revocations: HeldRevocations) {
        held = revocations
        onHeldKeys(held.keys)
        do throws(DiskError) {
            try held.save(directory: configuration.dataDirectory)
        } catch {
            logger.error("held revocations will not outlive a restart", metadata: ["reason": "\(error)"])
        }
        let count = held.keys.count
        shared.update { $0.heldRevocations = count }
        onChange(nil)
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
