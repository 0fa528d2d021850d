// Puts the newest snapshot into Redis and says so. One control plane does it at a time, the one that holds the lease;
// the head moves by compare-and-set under the lease's fence, so one that was stopped and woke up later can do no harm.
// Without Redis it waits: nodes long-poll the control plane meanwhile.

import Logging
import Postgres
import Reactor
import Secrets
import Snapshot
import Synchronization
import Telemetry

/// Publishes snapshots.
final class Publisher: Sendable {
    static let heartbeat = Duration.seconds(1)
    /// How long head and chunks stay without being refreshed: older than this, nothing in Redis is believed.
    static let timeToLive = 300
    /// How often the chunks' time to live is set anew: nodes always find all of them.
    static let refreshInterval = Duration.seconds(60)
    /// Commands on their way to Redis at once.
    private static let pipelineDepth = 128

    private struct State {
        /// What Redis holds, as far as we know; nil when it has to be looked at.
        var published: CompiledSnapshot?
        var failure: String?
        /// nil while another control plane publishes.
        var fence: Int64?
        var leaseEnd: ContinuousClock.Instant?
    }

    private let pool: PostgresPool
    private let holder: SnapshotHolder
    private let redis: RedisClient
    private let lineage: LineageKeeper
    private let logger: Logger
    private let lease = PublisherLease()
    private let measures: ControlMeasures
    private let refusals: Counter
    private let state = Mutex(State())

    init(
        pool: PostgresPool,
        holder: SnapshotHolder,
        redis: RedisClient,
        lineage: LineageKeeper,
        measures: ControlMeasures,
        logger: Logger
    ) {
        self.pool = pool
        self.holder = holder
        self.redis = redis
        self.lineage = lineage
        self.measures = measures
        let metrics = measures.registry
        self.logger = logger
        refusals = metrics.counter("weir.head.refusals", help: "head writes that Redis refused as too old")
        metrics.observe("weir.publisher", help: "1 while this control plane publishes") { [weak self] in
            self?.isPublisher == true ? 1 : 0
        }
        metrics.observe("weir.published.version", help: "the version this control plane put into Redis; else 0") {
            [weak self] in Int64(clamping: self?.publishedVersion ?? 0)
        }
    }

    /// The version that this control plane put into Redis last; nil when it is not the publisher or Redis is out.
    var publishedVersion: UInt64? { state.withLock { $0.published?.version } }

    /// Whether this control plane holds the lease, as far as it can know.
    var isPublisher: Bool { state.withLock { $0.fence != nil && Self.holds($0) } }

    /// Competes for the lease and publishes while it has it, until cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await pool.withConnection { session in try await stand(session) }
            } catch is CancellationError {
                return
            } catch {
                logger.debug("not publishing", metadata: ["reason": "\(error)"])
            }
            do { try await Task.sleep(for: PublisherLease.attempt) } catch { return }
        }
    }

    /// One attempt; returns when the lease is another's or was lost.
    private func stand(_ session: PostgresConnection) async throws {
        guard try await renew(session) else { return }
        logger.info("this control plane publishes")
        defer {
            state.withLock { state in
                state.fence = nil
                state.published = nil
            }
        }
        await withTaskGroup { group in
            group.addTask { await self.keepLease(session) }
            group.addTask { await self.lead() }
            // Whichever ends first ends the other: no lease, no publishing.
            _ = await group.next()
            group.cancelAll()
        }
        guard !Task.isCancelled else { throw CancellationError() }
        logger.warning("this control plane no longer publishes")
    }

    // MARK: The lease

    /// - Returns: whether the lease is ours.
    private func renew(_ session: PostgresConnection) async throws -> Bool {
        // Counted from before it was asked for: the database's deadline is later than ours.
        let end = ContinuousClock.now + PublisherLease.term
        let fence = try await lease.take(session)
        return state.withLock { state in
            // A new fence for an old holder: the lease had run out meanwhile, and somebody else may have published.
            if state.fence != fence { state.published = nil }
            state.fence = fence
            state.leaseEnd = fence == nil ? nil : end
            return fence != nil
        }
    }

    /// Renews until the lease is lost or the task is cancelled, and then gives it up.
    private func keepLease(_ session: PostgresConnection) async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: PublisherLease.renewal) } catch { break }
            do {
                guard try await renew(session) else { return }
            } catch {
                guard !Task.isCancelled else { break }
                // The session is gone or the database is; another session competes again.
                logger.debug("the lease was not renewed", metadata: ["reason": "\(error)"])
                return
            }
        }
        await giveUp()
    }

    /// Lets the next publisher begin at once when this one stops well.
    private func giveUp() async {
        // The task is cancelled, and a cancelled task sends no statement.
        let task = Task { [lease, pool, logger] in
            do {
                try await lease.release(pool)
            } catch {
                logger.debug("the lease runs out by itself", metadata: ["reason": "\(error)"])
            }
        }
        await task.value
    }

    private static func holds(_ state: State) -> Bool { state.leaseEnd.map { ContinuousClock.now < $0 } ?? false }

    /// The fence, while the lease holds.
    private var fence: Int64? { state.withLock { Self.holds($0) ? $0.fence : nil } }

    // MARK: Publishing

    private func lead() async {
        let clock = ContinuousClock()
        var nextBeat = clock.now
        var nextRefresh = clock.now + Self.refreshInterval
        while !Task.isCancelled {
            let rings = holder.compiled.rings
            guard let fence else { return }
            if clock.now >= nextRefresh {
                nextRefresh = clock.now + Self.refreshInterval
                await refresh(fence)
            }
            if clock.now >= nextBeat {
                await beat(fence)
                nextBeat = clock.now + Self.heartbeat
            } else {
                await publishIfNew(fence)
            }
            await holder.compiled.wait(past: rings, atMost: max(.milliseconds(1), nextBeat - clock.now))
        }
    }

    private func publishIfNew(_ fence: Int64) async {
        guard let current = holder.current else { return }
        let isPublished = state.withLock { $0.published?.position == current.position }
        guard !isPublished else { return }
        do {
            let before = state.withLock { $0.published?.version } ?? 0
            let (start, startedAt) = (ContinuousClock.now, UnixTime.nanoseconds)
            try await publish(current, fence)
            measures.publish.record(nanoseconds: Int64((ContinuousClock.now - start) / .nanoseconds(1)))
            measures.tracer.record(
                "publish snapshot",
                from: before,
                to: current.version,
                start: startedAt,
                attributes: []
            )
            await tidy { try await settle(upTo: current.version) }
            tell(nil)
        } catch {
            state.withLock { $0.published = nil }
            switch error as? PublishError {
            case .headRefused:
                refusals.add()
                await lookAtHead(insteadOf: current)
            case .fenced:
                refusals.add()
                await raiseFence()
            case nil: break
            }
            tell("\(error)")
        }
    }

    private func beat(_ fence: Int64) async {
        guard let published = state.withLock({ $0.published }), published.position == holder.current?.position else {
            await publishIfNew(fence)
            return
        }
        do {
            let reply = try await redis.evaluate(
                RedisNames.announce,
                keys: [RedisNames.head, RedisNames.position, RedisNames.canary, RedisNames.fence],
                arguments: [
                    Array(published.position.utf8), RedisNames.channel, Self.text(fence), Self.text(Self.timeToLive),
                ]
            )
            guard reply == .integer(1) else {
                // FLUSHALL, a failover or another publisher: look again and put everything back.
                state.withLock { $0.published = nil }
                await publishIfNew(fence)
                return
            }
            tell(nil)
        } catch {
            state.withLock { $0.published = nil }
            tell("\(error)")
        }
    }

    /// Chunks first, then the head: a node that sees the head finds everything it names.
    private func publish(_ snapshot: CompiledSnapshot, _ fence: Int64) async throws {
        // Looked at first: a Redis that was emptied or restarted between two heartbeats lacks more than the new chunks.
        let seen = Self.bytes(try await redis.command([Array("GET".utf8), RedisNames.position]))
        if let published = state.withLock({ $0.published }), Array(published.position.utf8) == seen {
            let known = published.allChunks
            try await store(snapshot.allChunks.filter { known[$0.key] == nil })
        } else {
            if Array(snapshot.position.utf8) == seen { await lookAtHead(insteadOf: snapshot) }
            // Most chunks are likely there when only the publisher is a new one.
            try await store(try await missing(snapshot.allChunks))
        }
        let reply = try await redis.evaluate(
            RedisNames.publish,
            keys: [RedisNames.head, RedisNames.position, RedisNames.canary, RedisNames.fence],
            arguments: [
                snapshot.encoded.manifest, Array(snapshot.lineage.utf8), Self.text(snapshot.version),
                seen, RedisNames.channel, Self.text(fence), Self.text(Self.timeToLive),
                snapshot.canary?.encoded.notice ?? [],
            ]
        )
        switch reply {
        case .integer(1), .integer(2): break
        case .integer(-1): throw PublishError.fenced
        default: throw PublishError.headRefused
        }
        state.withLock { $0.published = snapshot }
        logger.debug("snapshot published", metadata: ["version": "\(snapshot.version)"])
    }

    /// Sets the chunks' time to live anew, and puts back what Redis has lost.
    ///
    /// Costs one small command per chunk; the chunks themselves are sent only when they are missing.
    private func refresh(_ fence: Int64) async {
        await tidy { try await IdempotencyRecord.purge(pool) }
        guard let published = state.withLock({ $0.published }) else { return }
        do {
            try await store(try await missing(published.allChunks))
        } catch {
            state.withLock { $0.published = nil }
            tell("\(error)")
        }
    }

    /// The chunks that Redis has not; the others live on for the whole time.
    private func missing(_ chunks: [Digest: [UInt8]]) async throws -> [Digest: [UInt8]] {
        let seconds = Self.text(Self.timeToLive)
        let expire = Array("EXPIRE".utf8)
        let digests = Array(chunks.keys)
        let replies = try await pipelined(digests) { [expire, RedisNames.chunk($0), seconds] }
        var missing: [Digest: [UInt8]] = [:]
        for (digest, reply) in zip(digests, replies) where reply != .integer(1) { missing[digest] = chunks[digest] }
        return missing
    }

    private func store(_ chunks: [Digest: [UInt8]]) async throws {
        let (set, expiry) = (Array("SET".utf8), Array("EX".utf8))
        let seconds = Self.text(Self.timeToLive)
        _ = try await pipelined(Array(chunks)) { [set, RedisNames.chunk($0.key), $0.value, expiry, seconds] }
    }

    /// Sends a command for each element, many at once, and gives the replies in the elements' order.
    private func pipelined<Element: Sendable>(
        _ elements: [Element],
        _ command: @escaping @Sendable (Element) -> [[UInt8]]
    ) async throws -> [RedisReply] {
        let redis = redis
        return try await withThrowingTaskGroup(of: (Int, RedisReply).self) { group in
            var replies = [RedisReply](repeating: .null, count: elements.count)
            for (index, element) in elements.enumerated() {
                if index >= Self.pipelineDepth, let (done, reply) = try await group.next() { replies[done] = reply }
                group.addTask { (index, try await redis.command(command(element))) }
            }
            for try await (done, reply) in group { replies[done] = reply }
            return replies
        }
    }

    /// A head of our own lineage and signature that is newer than ours, or not the same although its number is: another publisher's, or this database was set
    /// back to an older state.
    private func lookAtHead(insteadOf current: CompiledSnapshot) async {
        do {
            guard case .bulk(let bytes) = try await redis.command([Array("GET".utf8), RedisNames.head]) else { return }
            let head = try lineage.verified(bytes)
            guard head.lineage == current.lineage, head.version >= current.version,
                head.version > current.version || head.createdAt != current.createdAt
            else { return }
            lineage.suspect(LineageKeeper.Evidence(head, witness: "the head in Redis"))
        } catch {
            logger.debug("the head in Redis says nothing", metadata: ["reason": "\(error)"])
        }
    }

    /// A fence above ours although the lease is ours: the database's clock was set back, or somebody wrote nonsense.
    ///
    /// When the lease is not ours the fence is what it is for, and this changes nothing.
    private func raiseFence() async {
        do {
            let fence = Self.bytes(try await redis.command([Array("GET".utf8), RedisNames.fence]))
            let number = Int64(String(decoding: fence, as: UTF8.self)) ?? .max
            guard try await lease.raise(above: min(number, .max / 2), pool) else { return }
            if number > .max / 2 { _ = try await redis.command([Array("DEL".utf8), RedisNames.fence]) }
        } catch {
            logger.debug("the fence stays", metadata: ["reason": "\(error)"])
        }
    }

    private static func text(_ number: some FixedWidthInteger) -> [UInt8] { Array(String(number).utf8) }

    private static func bytes(_ reply: RedisReply) -> [UInt8] {
        if case .bulk(let bytes) = reply { return bytes }
        return []
    }

    /// What is published needs no publishing any more.
    private func settle(upTo version: UInt64) async throws {
        _ = try await pool.execute("DELETE FROM outbox WHERE version <= $1", [.int(Int64(version))])
    }

    /// Runs what may as well be done later: a database that only reads must not stop the publishing.
    private func tidy(_ work: () async throws -> Void) async {
        do { try await work() } catch { logger.debug("left for later", metadata: ["reason": "\(error)"]) }
    }

    private func tell(_ failure: String?) {
        let isNew = state.withLock { state in
            defer { state.failure = failure }
            return state.failure != failure
        }
        guard isNew else { return }
        if let failure {
            logger.warning("Redis has not the newest snapshot; nodes poll", metadata: ["reason": "\(failure)"])
        } else {
            logger.info("Redis has the newest snapshot")
        }
    }
}

/// Why a snapshot was not published.
enum PublishError: Error {
    /// The head in Redis is newer, or moved while we looked.
    case headRefused
    /// Another control plane has become the publisher.
    case fenced
}

/// Keys, channel and scripts of snapshots in Redis; schemas/snapshot.md names them for nodes.
enum RedisNames {
    static let head = Array("weir:{snapshot}:head".utf8)
    /// `<lineage> <version>` of the head, so that a script can compare without reading a manifest.
    static let position = Array("weir:{snapshot}:position".utf8)
    /// The notice of the canary that goes with the head; absent while there is none.
    static let canary = Array("weir:{snapshot}:canary".utf8)
    /// The fence of the newest publisher that wrote.
    static let fence = Array("weir:{snapshot}:fence".utf8)
    static let channel = Array("weir:head".utf8)
    static let publish = RedisScript(source: PackageResources.publish_lua)
    static let announce = RedisScript(source: PackageResources.announce_lua)

    static func chunk(_ digest: Digest) -> [UInt8] { Array("weir:{snapshot}:chunk:\(digest.hex)".utf8) }
}
