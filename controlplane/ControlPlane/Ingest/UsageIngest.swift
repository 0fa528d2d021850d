// Takes usage batches in exactly once: COPY into a staging table of the connection's own, then one merge keyed on
// (node, boot, sequence) that also moves the hourly sums. A batch sent twice changes nothing the second time.

import Codec
import Ledger
import Postgres
import Telemetry

/// Writes usage.
struct UsageIngest: Sendable {
    private static let columns = [
        "sequence", "request_id", "started_at", "finished_at", "organisation_id", "app_id", "key_id", "model",
        "provider_id", "upstream_model", "endpoint", "status", "outcome", "source", "is_stream", "prompt_tokens",
        "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
        "request_bytes", "response_bytes", "latency_microseconds", "first_byte_microseconds", "refused_by", "reason",
        "snapshot_version", "explanation",
    ]
    private static let columnList = columns.joined(separator: ", ")

    let pool: PostgresPool
    let measures: ControlMeasures

    /// Decodes and merges a batch.
    ///
    /// - Returns: 200 with how many records were new and how many known.
    /// - Throws: 400 for bytes that are no batch.
    func take(_ bytes: [UInt8]) async throws -> Answer {
        let batch: UsageBatch
        do throws(CodecError) {
            batch = try UsageBatch.decode(bytes)
        } catch {
            measures.refusedBatches.add()
            throw Problem.badRequest("The body is no usage batch: \(error.reason) at byte \(error.offset).")
        }
        guard !batch.nodeID.utf8.contains(0), !batch.bootID.utf8.contains(0) else {
            throw Problem.badRequest("Node and boot ids must not contain NUL.")
        }
        let start = ContinuousClock.now
        let accepted = try await merge(batch)
        measures.ingest.record(nanoseconds: Int64((ContinuousClock.now - start) / .nanoseconds(1)))
        measures.records.add(UInt64(accepted))
        measures.duplicates.add(UInt64(batch.records.count) - UInt64(accepted))
        return .json([
            "accepted": .integer(accepted), "duplicates": .integer(Int64(batch.records.count) - accepted),
        ])
    }

    private func merge(_ batch: UsageBatch) async throws -> Int64 {
        guard !batch.records.isEmpty else { return 0 }
        let rows = batch.records.map(Self.row)
        return try await pool.transaction { session in
            let boot = try await Self.boot(of: batch, in: session)
            try await Self.makeStaging(in: session)
            _ = try await session.copyIn("COPY usage_staging (\(Self.columnList)) FROM STDIN", rows: rows)
            let merged = try await session.query(Self.mergeSQL, [.int(boot)])
            return try merged.first?.int("accepted") ?? 0
        }
    }

    private static func boot(of batch: UsageBatch, in session: PostgresConnection) async throws -> Int64 {
        let names: [PostgresValue] = [.text(batch.nodeID), .text(batch.bootID)]
        let find = "SELECT boot FROM usage_boots WHERE node_id = $1 AND boot_id = $2"
        if let row = try await session.query(find, names).first { return try row.int("boot") }
        let rows = try await session.query(
            """
            INSERT INTO usage_boots (node_id, boot_id) VALUES ($1, $2)
            ON CONFLICT (node_id, boot_id) DO UPDATE SET boot_id = excluded.boot_id RETURNING boot
            """,
            names
        )
        guard let row = rows.first else { throw Problem.internalFailure }
        return try row.int("boot")
    }

    /// The staging table is temporary: no write-ahead log, and emptied by each commit instead of vacuumed.
    private static func makeStaging(in session: PostgresConnection) async throws {
        let found = try await session.query("SELECT to_regclass('pg_temp.usage_staging') IS NOT NULL AS is_there", [])
        guard try found.first?.bool("is_there") != true else { return }
        _ = try await session.execute(
            "CREATE TEMPORARY TABLE usage_staging ON COMMIT DELETE ROWS AS SELECT \(columnList) FROM usage WITH NO DATA"
        )
    }

    /// Sums are moved in one order everywhere, so that concurrent merges do not deadlock.
    private static let mergeSQL = """
        WITH merged AS (
            INSERT INTO usage (boot, \(columnList))
            SELECT $1, \(columnList) FROM usage_staging
            ON CONFLICT (boot, sequence) DO NOTHING
            RETURNING started_at, app_id, key_id, model, outcome, prompt_tokens, completion_tokens, total_tokens,
                cached_tokens, cache_write_tokens, reasoning_tokens
        ), sums AS (
            SELECT date_trunc('hour', started_at, 'UTC') AS hour, app_id, key_id, model,
                count(*) FILTER (WHERE outcome <> 1) AS requests, count(*) FILTER (WHERE outcome = 1) AS refused,
                sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
                sum(total_tokens) AS total_tokens, sum(cached_tokens) AS cached_tokens,
                sum(cache_write_tokens) AS cache_write_tokens, sum(reasoning_tokens) AS reasoning_tokens
            FROM merged GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ), moved AS (
            INSERT INTO usage_hourly AS hourly (hour, app_id, key_id, model, requests, refused, prompt_tokens,
                completion_tokens, total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens)
            SELECT * FROM sums
            ON CONFLICT (hour, app_id, key_id, model) DO UPDATE SET
                requests = hourly.requests + excluded.requests,
                refused = hourly.refused + excluded.refused,
                prompt_tokens = hourly.prompt_tokens + excluded.prompt_tokens,
                completion_tokens = hourly.completion_tokens + excluded.completion_tokens,
                total_tokens = hourly.total_tokens + excluded.total_tokens,
                cached_tokens = hourly.cached_tokens + excluded.cached_tokens,
                cache_write_tokens = hourly.cache_write_tokens + excluded.cache_write_tokens,
                reasoning_tokens = hourly.reasoning_tokens + excluded.reasoning_tokens
        )
        SELECT count(*) AS accepted FROM merged
        """

    private static func row(_ record: UsageRecord) -> [PostgresValue] {
        [
            .int(Int64(clamping: record.sequence)), text(record.requestID),
            .timestamp(milliseconds: record.startedAt), .timestamp(milliseconds: record.finishedAt),
            text(record.organisation), text(record.appID), text(record.keyID), text(record.model),
            text(record.providerID), text(record.upstreamModel), .int(Int64(record.endpoint)),
            .int(Int64(record.status)), .int(Int64(record.outcome.rawValue)), .int(Int64(record.source.rawValue)),
            .bool(record.isStream), .int(record.promptTokens), .int(record.completionTokens),
            .int(record.totalTokens), .int(record.cachedTokens), .int(record.cacheWriteTokens),
            .int(record.reasoningTokens), .int(record.requestBytes), .int(record.responseBytes),
            .int(record.latencyMicroseconds), .int(record.firstByteMicroseconds),
            record.refusedBy.map(text) ?? .null, record.reason.map(text) ?? .null,
            .int(Int64(clamping: record.snapshotVersion)), record.explanation.map(text) ?? .null,
        ]
    }

    /// PostgreSQL's text has no NUL; a client's model name may.
    private static func text(_ text: String) -> PostgresValue {
        .text(text.utf8.contains(0) ? String(text.map { $0 == "\0" ? "\u{FFFD}" : $0 }) : text)
    }
}
