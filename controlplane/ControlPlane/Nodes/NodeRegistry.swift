// Which gateway nodes live and what each enforces. Reports go to memory, so that they are answered at once and on days
// without PostgreSQL; a loop writes them to PostgreSQL, so that several control planes know of each other's nodes.

import Logging
import Postgres
import Secrets
import Synchronization

/// What a node said last.
struct NodeReport: Sendable, Equatable {
    enum Status: String, Sendable {
        /// It enforces the newest snapshot it was offered.
        case ack
        /// It refused a newer one and enforces the one it had.
        case nack
    }

    let nodeID: String
    let bootID: String
    let url: String
    /// The snapshot it enforces.
    let lineage: String
    let version: Int64
    /// The canary whose chunks it enforces; empty for none.
    let canary: String
    let status: Status
    /// Why it refused the newer one.
    let reason: String?
    let source: String
    /// Keys that it refuses although the snapshot admits them, until the lineage is confirmed.
    let heldRevocations: Int64
    /// Milliseconds since the Unix epoch, by the node's clock.
    let startedAt: Int64
    /// How busy it is, and what it does without.
    let load: NodeLoad
    /// Milliseconds since the Unix epoch, by the clock of the control plane that heard it.
    let seenAt: Int64

    /// A node's own words, for people: cut and made printable rather than refused, because they explain a fault.
    static func reason(_ value: JSON?) -> String? {
        guard let text = value?.stringValue, !text.isEmpty else { return nil }
        let scalars = text.unicodeScalars.prefix(1024).map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) }
        return String(scalars)
    }

    /// Whether both say the same of what is enforced, whenever they said it.
    func says(sameAs other: NodeReport) -> Bool {
        version == other.version && lineage == other.lineage && canary == other.canary && status == other.status
            && reason == other.reason && heldRevocations == other.heldRevocations
    }
}

/// A process that serves, or did.
struct KnownNode: Sendable {
    let report: NodeReport
    let isLive: Bool
    /// Another live process goes by the same id.
    let isDuplicate: Bool

    var json: JSON {
        let standing: JSON = [
            "id": .string(report.nodeID), "boot_id": .string(report.bootID), "url": .string(report.url),
            "live": .bool(isLive), "duplicate": .bool(isDuplicate), "lineage": .string(report.lineage),
            "version": .integer(report.version), "canary": .optional(report.canary.isEmpty ? nil : report.canary),
            "status": .string(report.status.rawValue), "reason": .optional(report.reason),
            "snapshot_source": .string(report.source), "held_revocations": .integer(report.heldRevocations),
            "started_at": .string(Timestamp.text(report.startedAt)),
            "seen_at": .string(Timestamp.text(report.seenAt)),
        ]
        return standing.replacingMembers(from: report.load.members)
    }
}

/// All nodes; any thread.
final class NodeRegistry: Sendable {
    /// A node not heard of for so long is not waited for.
    static let liveMilliseconds: Int64 = 5000
    /// A process that another one of its id has followed is taken for gone, unless it reports so long after the other
    /// began: control planes' clocks differ a little.
    static let overlapMilliseconds: Int64 = 2500
    /// Bound of the table; more nodes than this are refused.
    static let maxNodes = 4096
    /// A node that has been silent for so long is forgotten.
    static let forgetMilliseconds: Int64 = 86_400_000
    /// A process that another one has followed is forgotten sooner.
    static let forgetFollowedMilliseconds: Int64 = 60_000
    /// The channel on which a control plane tells the others that a node enforces something else.
    static let channel = "weir_nodes"

    private struct Identity: Hashable {
        let nodeID: String
        let bootID: String
    }

    private struct Entry {
        var report: NodeReport
        var firstSeenAt: Int64
    }

    private struct State {
        var nodes: [Identity: Entry] = [:]
        var unwritten: Set<Identity> = []
        /// Something changed since the others were told.
        var hasNews = false
        /// Ids that two live processes use, as last logged.
        var duplicates: Set<String> = []
    }

    /// Rings when a node came, or enforces another version than before.
    let changed = Beacon()

    private let pool: PostgresPool
    private let logger: Logger
    private let ownName = hex(SecureRandom.bytes(8))
    private let state = Mutex(State())

    init(pool: PostgresPool, logger: Logger) {
        self.pool = pool
        self.logger = logger
    }

    /// What a reporting node is told of the others.
    struct Standing: Sendable {
        /// Nodes that live, itself included.
        let live: Int
        /// How many of them stand before it by id: with both, nodes divide a limit so that the shares add up.
        let rank: Int
        /// Whether another live process uses its id.
        let isDuplicate: Bool
    }

    /// Takes a report in.
    ///
    /// - Throws: 503 when there are too many nodes.
    func take(_ report: NodeReport) throws(Problem) -> Standing {
        let identity = Identity(nodeID: report.nodeID, bootID: report.bootID)
        let taken: (isChanged: Bool, known: [KnownNode])? = state.withLock { state in
            let previous = state.nodes[identity]
            if previous == nil, state.nodes.count >= Self.maxNodes { return nil }
            state.nodes[identity] = Entry(report: report, firstSeenAt: previous?.firstSeenAt ?? report.seenAt)
            state.unwritten.insert(identity)
            let isChanged = previous.map { !$0.report.says(sameAs: report) } ?? true
            if isChanged { state.hasNews = true }
            return (isChanged, Self.known(state.nodes, at: report.seenAt))
        }
        guard let taken else { throw .unavailable }
        if taken.isChanged { changed.notify() }
        warnOfDuplicates(taken.known)
        return Standing(
            live: taken.known.count(where: \.isLive),
            rank: taken.known.count { $0.isLive && $0.report.nodeID < report.nodeID },
            isDuplicate: taken.known.contains { $0.isDuplicate && $0.report.nodeID == report.nodeID }
        )
    }

    /// All nodes of the last day, by id; of each id the processes that live, or the last one that did.
    func all(at now: Int64) -> [KnownNode] { state.withLock { Self.known($0.nodes, at: now) } }

    /// Nodes heard of within the last five seconds.
    func live(at now: Int64) -> [NodeReport] { all(at: now).filter(\.isLive).map(\.report) }

    private static func known(_ nodes: [Identity: Entry], at now: Int64) -> [KnownNode] {
        var known: [KnownNode] = []
        known.reserveCapacity(nodes.count)
        for (_, entries) in Dictionary(grouping: nodes.values, by: \.report.nodeID) {
            let live = entries.filter { entry in
                now - entry.report.seenAt < liveMilliseconds && !isFollowed(entry, among: entries)
            }
            if live.isEmpty {
                guard let last = entries.max(by: { $0.report.seenAt < $1.report.seenAt }) else { continue }
                known.append(KnownNode(report: last.report, isLive: false, isDuplicate: false))
            }
            for entry in live {
                known.append(KnownNode(report: entry.report, isLive: true, isDuplicate: live.count > 1))
            }
        }
        return known.sorted { ($0.report.nodeID, $0.report.bootID) < ($1.report.nodeID, $1.report.bootID) }
    }

    /// Whether a younger process of its id has taken its place: a restart, not a second one beside it.
    private static func isFollowed(_ entry: Entry, among entries: [Entry]) -> Bool {
        entries.contains { other in
            other.firstSeenAt > entry.firstSeenAt
                && entry.report.seenAt < other.firstSeenAt + overlapMilliseconds
        }
    }

    private func warnOfDuplicates(_ known: [KnownNode]) {
        let duplicates = Set(known.filter(\.isDuplicate).map(\.report.nodeID))
        let new = state.withLock { state in
            defer { state.duplicates = duplicates }
            return duplicates.subtracting(state.duplicates)
        }
        for id in new.sorted() {
            let boots = known.filter { $0.report.nodeID == id }.map(\.report.bootID).joined(separator: " ")
            logger.warning(
                "two processes use one node id; give each its own",
                metadata: ["node": "\(id)", "boots": "\(boots)"]
            )
        }
    }

    // MARK: With the other control planes

    /// Exchanges reports with PostgreSQL until cancelled: at once when a node changed, else each second.
    func run() async {
        let clock = ContinuousClock()
        var nextSweep = clock.now
        while !Task.isCancelled {
            let rings = changed.rings
            do {
                try await write()
                try await refresh()
                if clock.now >= nextSweep {
                    nextSweep = clock.now + .seconds(60)
                    try await sweep()
                }
            } catch {
                logger.debug("nodes not exchanged with the database", metadata: ["error": "\(error)"])
            }
            await changed.wait(past: rings, atMost: .seconds(1))
        }
    }

    /// Takes in what other control planes heard as soon as they say so, until cancelled.
    func listen() async {
        for await name in pool.listen(Self.channel) where name != ownName {
            do { try await refresh() } catch {
                logger.debug("nodes not read from the database", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Takes in what other control planes heard, and forgets who has been silent for a day.
    func refresh() async throws {
        let rows = try await pool.query(
            """
            SELECT id, boot_id, url, lineage, version, canary, status, reason, snapshot_source, held_revocations,
                started_at, seen_at, first_seen_at, load
            FROM nodes WHERE seen_at > now() - interval '1 day' ORDER BY seen_at DESC LIMIT $1
            """,
            [.int(Int64(Self.maxNodes))]
        )
        let stored = try rows.map {
            Entry(report: try Self.report($0), firstSeenAt: try $0.milliseconds("first_seen_at"))
        }
        let now = Timestamp.now
        let isNews = state.withLock { state in
            var isNews = false
            for entry in stored {
                let identity = Identity(nodeID: entry.report.nodeID, bootID: entry.report.bootID)
                guard let held = state.nodes[identity] else {
                    state.nodes[identity] = entry
                    isNews = true
                    continue
                }
                state.nodes[identity]?.firstSeenAt = min(held.firstSeenAt, entry.firstSeenAt)
                guard entry.report.seenAt > held.report.seenAt else { continue }
                state.nodes[identity]?.report = entry.report
                if !held.report.says(sameAs: entry.report) { isNews = true }
            }
            let all = Dictionary(grouping: state.nodes.values, by: \.report.nodeID)
            state.nodes = state.nodes.filter { identity, entry in
                let silence = now - entry.report.seenAt
                guard silence >= Self.forgetFollowedMilliseconds else { return true }
                return silence < Self.forgetMilliseconds && !Self.isFollowed(entry, among: all[identity.nodeID] ?? [])
            }
            return isNews
        }
        if isNews { changed.notify() }
    }

    private func sweep() async throws {
        _ = try await pool.execute(
            """
            DELETE FROM nodes gone WHERE seen_at < now() - interval '1 day'
                OR (seen_at < now() - interval '1 minute' AND EXISTS (
                    SELECT 1 FROM nodes WHERE id = gone.id AND first_seen_at > gone.seen_at))
            """,
            []
        )
    }

    private func write() async throws {
        let (entries, hasNews) = state.withLock { state in
            let entries = state.unwritten.compactMap { state.nodes[$0] }
            defer { state.hasNews = false }
            state.unwritten.removeAll()
            return (entries, state.hasNews)
        }
        guard !entries.isEmpty else { return }
        let reports = entries.map(\.report)
        _ = try await pool.query(
            """
            WITH written AS (
                INSERT INTO nodes (id, boot_id, url, lineage, version, canary, status, reason, snapshot_source,
                    held_revocations, started_at, seen_at, first_seen_at, load)
                SELECT id, boot_id, url, lineage, version, canary, status, nullif(reason, ''), source, held,
                    to_timestamp(started_at / 1000.0), to_timestamp(seen_at / 1000.0),
                    to_timestamp(first_seen_at / 1000.0), load::json
                FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                    $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                    $14::text[])
                    AS report (id, boot_id, url, lineage, version, canary, status, reason, source, held, started_at,
                        seen_at, first_seen_at, load)
                ON CONFLICT (id, boot_id) DO UPDATE SET url = excluded.url, lineage = excluded.lineage,
                    version = excluded.version, canary = excluded.canary, status = excluded.status,
                    reason = excluded.reason, snapshot_source = excluded.snapshot_source,
                    held_revocations = excluded.held_revocations, started_at = excluded.started_at,
                    seen_at = excluded.seen_at, load = excluded.load,
                    first_seen_at = least(nodes.first_seen_at, excluded.first_seen_at)
                WHERE nodes.seen_at < excluded.seen_at
            )
            SELECT CASE WHEN $15 THEN pg_notify($16, $17) END AS told
            """,
            [
                .textArray(reports.map(\.nodeID)), .textArray(reports.map(\.bootID)), .textArray(reports.map(\.url)),
                .textArray(reports.map(\.lineage)), .intArray(reports.map(\.version)),
                .textArray(reports.map(\.canary)), .textArray(reports.map(\.status.rawValue)),
                .textArray(reports.map { $0.reason ?? "" }), .textArray(reports.map(\.source)),
                .intArray(reports.map(\.heldRevocations)), .intArray(reports.map(\.startedAt)),
                .intArray(reports.map(\.seenAt)), .intArray(entries.map(\.firstSeenAt)),
                .textArray(reports.map { JSON.object($0.load.members).text }),
                .bool(hasNews), .text(Self.channel), .text(ownName),
            ]
        )
    }

    private static func report(_ row: PostgresRow) throws -> NodeReport {
        NodeReport(
            nodeID: try row.string("id"),
            bootID: try row.string("boot_id"),
            url: try row.string("url"),
            lineage: try row.string("lineage"),
            version: try row.int("version"),
            canary: try row.string("canary"),
            status: try row.string("status") == "nack" ? .nack : .ack,
            reason: try row.optionalString("reason"),
            source: try row.string("snapshot_source"),
            heldRevocations: try row.int("held_revocations"),
            startedAt: try row.milliseconds("started_at"),
            load: NodeLoad(stored: try JSONParser.parse(Array(try row.string("load").utf8))),
            seenAt: try row.milliseconds("seen_at")
        )
    }
}
