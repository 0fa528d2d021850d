// Which gateway nodes live and what each enforces. Reports go to memory, so that they are answered at once and on days
// without PostgreSQL; a loop writes them to PostgreSQL, so that several control planes know of each other's nodes.

import Logging
import Postgres
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
    let status: Status
    /// Why it refused the newer one.
    let reason: String?
    let source: String
    /// Milliseconds since the Unix epoch.
    let startedAt: Int64
    let seenAt: Int64

    func isLive(at now: Int64) -> Bool { now - seenAt < NodeRegistry.liveMilliseconds }

    func json(at now: Int64) -> JSON {
        [
            "id": .string(nodeID), "boot_id": .string(bootID), "url": .string(url), "live": .bool(isLive(at: now)),
            "lineage": .string(lineage), "version": .integer(version), "status": .string(status.rawValue),
            "reason": .optional(reason), "snapshot_source": .string(source),
            "started_at": .string(Timestamp.text(startedAt)), "seen_at": .string(Timestamp.text(seenAt)),
        ]
    }
}

/// All nodes; any thread.
final class NodeRegistry: Sendable {
    /// A node not heard of for so long is not waited for.
    static let liveMilliseconds: Int64 = 5000
    /// Bound of the table; more nodes than this are refused.
    static let maxNodes = 4096
    /// A node that has been silent for so long is forgotten.
    static let forgetMilliseconds: Int64 = 86_400_000

    private struct State {
        var nodes: [String: NodeReport] = [:]
        var unwritten: Set<String> = []
    }

    /// Rings when a node came, or enforces another version than before.
    let changed = Beacon()

    private let pool: PostgresPool
    private let logger: Logger
    private let state = Mutex(State())

    init(pool: PostgresPool, logger: Logger) {
        self.pool = pool
        self.logger = logger
    }

    /// Takes a report in.
    ///
    /// - Returns: how many nodes live, the reporting one included, and how many of them stand before it by id: with
    ///   both, nodes divide a limit among themselves so that the shares add up.
    /// - Throws: 503 when there are too many nodes.
    func take(_ report: NodeReport) throws(Problem) -> (live: Int, rank: Int) {
        let taken: (isChanged: Bool, live: Int, rank: Int)? = state.withLock { state in
            let previous = state.nodes[report.nodeID]
            if previous == nil, state.nodes.count >= Self.maxNodes { return nil }
            state.nodes[report.nodeID] = report
            state.unwritten.insert(report.nodeID)
            let isSame =
                previous?.version == report.version && previous?.lineage == report.lineage
                && previous?.status == report.status && previous?.bootID == report.bootID
            let live = state.nodes.values.lazy.filter { $0.isLive(at: report.seenAt) }
            return (!isSame, live.count { _ in true }, live.count { $0.nodeID < report.nodeID })
        }
        guard let taken else { throw .unavailable }
        if taken.isChanged { changed.notify() }
        return (taken.live, taken.rank)
    }

    /// All nodes of the last day, by id.
    var all: [NodeReport] {
        state.withLock { Array($0.nodes.values) }.sorted { $0.nodeID < $1.nodeID }
    }

    /// Nodes heard of within the last five seconds.
    func live(at now: Int64) -> [NodeReport] { all.filter { $0.isLive(at: now) } }

    /// Exchanges reports with PostgreSQL until cancelled: at once when a node changed, else each second.
    func run() async {
        while !Task.isCancelled {
            let rings = changed.rings
            do {
                try await write()
                try await refresh()
            } catch {
                logger.debug("nodes not exchanged with the database", metadata: ["error": "\(error)"])
            }
            await changed.wait(past: rings, atMost: .seconds(1))
        }
    }

    /// Takes in what other control planes heard, and forgets who has been silent for a day.
    func refresh() async throws {
        let rows = try await pool.query(
            """
            SELECT id, boot_id, url, lineage, version, status, reason, snapshot_source, started_at, seen_at
            FROM nodes WHERE seen_at > now() - interval '1 day' ORDER BY seen_at DESC LIMIT $1
            """,
            [.int(Int64(Self.maxNodes))]
        )
        let stored = try rows.map(Self.report)
        let now = Timestamp.now
        let isNews = state.withLock { state in
            var isNews = false
            for report in stored where report.seenAt > state.nodes[report.nodeID]?.seenAt ?? Int64.min {
                state.nodes[report.nodeID] = report
                isNews = true
            }
            state.nodes = state.nodes.filter { now - $0.value.seenAt < Self.forgetMilliseconds }
            return isNews
        }
        if isNews { changed.notify() }
    }

    private func write() async throws {
        let reports = state.withLock { state in
            let reports = state.unwritten.compactMap { state.nodes[$0] }
            state.unwritten.removeAll()
            return reports
        }
        guard !reports.isEmpty else { return }
        _ = try await pool.execute(
            """
            INSERT INTO nodes (id, boot_id, url, lineage, version, status, reason, snapshot_source, started_at, seen_at)
            SELECT id, boot_id, url, lineage, version, status, nullif(reason, ''), source,
                to_timestamp(started_at / 1000.0), to_timestamp(seen_at / 1000.0)
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                $8::text[], $9::bigint[], $10::bigint[])
                AS report (id, boot_id, url, lineage, version, status, reason, source, started_at, seen_at)
            ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id, url = excluded.url,
                lineage = excluded.lineage, version = excluded.version, status = excluded.status,
                reason = excluded.reason, snapshot_source = excluded.snapshot_source,
                started_at = excluded.started_at, seen_at = excluded.seen_at
            WHERE nodes.seen_at < excluded.seen_at
            """,
            [
                .textArray(reports.map(\.nodeID)), .textArray(reports.map(\.bootID)), .textArray(reports.map(\.url)),
                .textArray(reports.map(\.lineage)), .intArray(reports.map(\.version)),
                .textArray(reports.map(\.status.rawValue)), .textArray(reports.map { $0.reason ?? "" }),
                .textArray(reports.map(\.source)), .intArray(reports.map(\.startedAt)),
                .intArray(reports.map(\.seenAt)),
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
            status: try row.string("status") == "nack" ? .nack : .ack,
            reason: try row.optionalString("reason"),
            source: try row.string("snapshot_source"),
            startedAt: try row.milliseconds("started_at"),
            seenAt: try row.milliseconds("seen_at")
        )
    }
}
