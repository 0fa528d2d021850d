// Puts the newest snapshot into Redis and says so. One control plane does it at a time, the one that holds a
// PostgreSQL advisory lock; the head moves by compare-and-set, so one that was stopped and woke up later can do no
// harm. Without Redis it waits: nodes long-poll the control plane meanwhile.

import Logging
import Postgres
import Reactor
import Secrets
import Snapshot
import Synchronization

/// Publishes snapshots.
final class Publisher: Sendable {
    /// Any number no other user of the database picks: "weir" in ASCII and a number.
    static let lockID: Int64 = 0x7765_6972_0000_0001
    static let heartbeat = Duration.seconds(1)
    /// How long a chunk stays without being refreshed.
    static let chunkSeconds = 300
    /// How often chunks are written again: nodes always find all of them.
    static let refreshInterval = Duration.seconds(60)

    private struct State {
        var published: CompiledSnapshot?
        var failure: String?
    }

    private let pool: PostgresPool
    private let holder: SnapshotHolder
    private let redis: RedisClient
    private let logger: Logger
    private let state = Mutex(State())

    init(pool: PostgresPool, holder: SnapshotHolder, redis: RedisClient, logger: Logger) {
        self.pool = pool
        self.holder = holder
        self.redis = redis
        self.logger = logger
    }

    /// The version that this control plane put into Redis last; nil when it is not the publisher or Redis is out.
    var publishedVersion: UInt64? { state.withLock { $0.published?.version } }

    /// Competes for the lock and publishes while it has it, until cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await pool.withConnection { session in try await lead(session) }
            } catch is CancellationError {
                return
            } catch {
                logger.debug("not publishing", metadata: ["reason": "\(error)"])
            }
            state.withLock { $0.published = nil }
            do { try await Task.sleep(for: Self.heartbeat) } catch { return }
        }
    }

    private func lead(_ session: PostgresConnection) async throws {
        let rows = try await session.query("SELECT pg_try_advisory_lock($1) AS is_ours", [.int(Self.lockID)])
        guard try rows.first?.bool("is_ours") == true else { return }
        logger.info("this control plane publishes")
        let clock = ContinuousClock()
        var nextBeat = clock.now
        var nextRefresh = clock.now
        while !Task.isCancelled {
            let rings = holder.compiled.rings
            if clock.now >= nextBeat {
                // Proves that the session, and with it the lock, is still there.
                _ = try await session.query("SELECT 1", [])
                if clock.now >= nextRefresh {
                    nextRefresh = clock.now + Self.refreshInterval
                    state.withLock { $0.published = nil }
                    await tidy { try await IdempotencyRecord.purge(pool) }
                }
                await beat()
                nextBeat = clock.now + Self.heartbeat
            } else {
                await publishIfNew()
            }
            await holder.compiled.wait(past: rings, atMost: max(.milliseconds(1), nextBeat - clock.now))
        }
        _ = try await session.query("SELECT pg_advisory_unlock($1)", [.int(Self.lockID)])
    }

    private func publishIfNew() async {
        guard let current = holder.current else { return }
        let isPublished = state.withLock { $0.published?.position == current.position }
        guard !isPublished else { return }
        do {
            try await publish(current)
            await tidy { try await settle(upTo: current.version) }
            tell(nil)
        } catch {
            state.withLock { $0.published = nil }
            tell("\(error)")
        }
    }

    private func beat() async {
        guard let published = state.withLock({ $0.published }), published.position == holder.current?.position else {
            await publishIfNew()
            return
        }
        do {
            let reply = try await redis.evaluate(
                RedisNames.announce,
                keys: [RedisNames.head, RedisNames.position],
                arguments: [Array(published.position.utf8), RedisNames.channel]
            )
            guard reply == .integer(1) else {
                // FLUSHALL, a failover or another publisher: look again and put everything back.
                state.withLock { $0.published = nil }
                await publishIfNew()
                return
            }
            tell(nil)
        } catch {
            state.withLock { $0.published = nil }
            tell("\(error)")
        }
    }

    /// Chunks first, then the head: a node that sees the head finds everything it names.
    private func publish(_ snapshot: CompiledSnapshot) async throws {
        let known = state.withLock { $0.published?.encoded.chunks ?? [:] }
        for (digest, chunk) in snapshot.encoded.chunks where known[digest] == nil {
            let ttl = Array(String(Self.chunkSeconds).utf8)
            _ = try await redis.command([Array("SET".utf8), RedisNames.chunk(digest), chunk, Array("EX".utf8), ttl])
        }
        let seen = try await redis.command([Array("GET".utf8), RedisNames.position])
        let reply = try await redis.evaluate(
            RedisNames.publish,
            keys: [RedisNames.head, RedisNames.position],
            arguments: [
                snapshot.encoded.manifest, Array(snapshot.lineage.utf8), Array(String(snapshot.version).utf8),
                Self.bytes(seen), RedisNames.channel,
            ]
        )
        guard reply == .integer(1) || reply == .integer(2) else { throw PublishError.headRefused }
        state.withLock { $0.published = snapshot }
        logger.debug("snapshot published", metadata: ["version": "\(snapshot.version)"])
    }

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
    /// The head in Redis is newer, or moved while we looked: another publisher is at work.
    case headRefused
}

/// Keys, channel and scripts of snapshots in Redis; schemas/snapshot.md names them for nodes.
enum RedisNames {
    static let head = Array("weir:{snapshot}:head".utf8)
    /// `<lineage> <version>` of the head, so that a script can compare without reading a manifest.
    static let position = Array("weir:{snapshot}:position".utf8)
    static let channel = Array("weir:head".utf8)
    static let publish = RedisScript(source: PackageResources.publish_lua)
    static let announce = RedisScript(source: PackageResources.announce_lua)

    static func chunk(_ digest: Digest) -> [UInt8] { Array("weir:{snapshot}:chunk:\(digest.hex)".utf8) }
}
