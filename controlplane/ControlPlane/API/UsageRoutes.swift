// What was used, by whom: sums from the hourly table when the range is whole hours, from the rows when it is not; and
// one request's record, found by its id.

import LLMWire
import Ledger
import Postgres

/// `GET /v1/usage` and `GET /v1/requests/{id}`.
struct UsageRoutes: Sendable {
    private static let hour: Int64 = 3_600_000

    /// What rows are grouped by, besides their app.
    private enum Group: String, CaseIterable {
        case app
        case key
        case model
        case hour

        var column: String? {
            switch self {
            case .app: nil
            case .key: "key_id"
            case .model: "model"
            case .hour: "hour"
            }
        }
    }

    let pool: PostgresPool

    var routes: [Route] {
        [
            Route("GET", "/v1/usage", usage), Route("GET", "/v1/requests/{id}", request),
            Route("GET", "/v1/requests/{id}/explain", explain),
        ]
    }

    private func usage(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(["group_by", "from", "to", "app", "limit", "cursor"])
        let names = (call.query["group_by"] ?? "app").split(separator: ",").map(String.init)
        let groups = names.compactMap { Group(rawValue: $0) }
        guard groups.count == names.count, !groups.isEmpty, Set(groups).count == groups.count else {
            throw Problem.badParameter("group_by", "must be of app, key, model, hour, separated by commas")
        }
        let from = try time("from", call) ?? 0
        let to = try time("to", call) ?? 253_402_300_799_999 / Self.hour * Self.hour
        let page = try Page(call.query)
        let isWholeHours = from % Self.hour == 0 && to % Self.hour == 0
        let columns = groups.compactMap(\.column)
        let order = (["app_id"] + columns).joined(separator: ", ")
        let rows = try await pool.query(
            """
            SELECT app_id\(columns.map { ", \($0)" }.joined()), sum(requests)::bigint AS requests,
                sum(refused)::bigint AS refused, sum(prompt_tokens)::bigint AS prompt_tokens,
                sum(completion_tokens)::bigint AS completion_tokens, sum(total_tokens)::bigint AS total_tokens,
                sum(cached_tokens)::bigint AS cached_tokens, sum(cache_write_tokens)::bigint AS cache_write_tokens,
                sum(reasoning_tokens)::bigint AS reasoning_tokens
            FROM \(isWholeHours ? Self.hourlySums : Self.rowSums)
            WHERE ($3 = '' OR app_id = $3)
            GROUP BY \(order) ORDER BY \(order) LIMIT $4 OFFSET $5
            """,
            [
                .timestamp(milliseconds: from), .timestamp(milliseconds: to), .text(call.query["app"] ?? ""),
                .int(Int64(page.limit) + 1), .int(page.after),
            ]
        )
        // Groups have no sequence of their own; the cursor counts rows.
        return page.answer(
            try rows.enumerated().map { (page.after + Int64($0.offset) + 1, try json($0.element, groups)) }
        )
    }

    private static let hourlySums = "(SELECT * FROM usage_hourly WHERE hour >= $1 AND hour < $2) AS sums"

    private static let rowSums = """
        (SELECT date_trunc('hour', started_at, 'UTC') AS hour, app_id, key_id, model,
            (outcome <> 1)::integer AS requests, (outcome = 1)::integer AS refused, prompt_tokens, completion_tokens,
            total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens
        FROM usage WHERE started_at >= $1 AND started_at < $2) AS sums
        """

    private func time(_ name: String, _ call: Call) throws(Problem) -> Int64? {
        guard let text = call.query[name] else { return nil }
        guard let time = Timestamp.milliseconds(text), time >= 0 else {
            throw .badParameter(name, "must be an RFC 3339 time such as 2026-11-24T00:00:00Z")
        }
        return time
    }

    private func json(_ row: PostgresRow, _ groups: [Group]) throws -> JSON {
        var members: [JSON.Member] = [.init(name: "app_id", value: .string(try row.string("app_id")))]
        for group in groups {
            switch group {
            case .app: continue
            case .key: members.append(.init(name: "key_id", value: .string(try row.string("key_id"))))
            case .model: members.append(.init(name: "model", value: .string(try row.string("model"))))
            case .hour:
                let text = Timestamp.text(try row.milliseconds("hour"))
                members.append(.init(name: "hour", value: .string(text)))
            }
        }
        let figures = [
            "requests", "refused", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
            "cache_write_tokens", "reasoning_tokens",
        ]
        for name in figures { members.append(.init(name: name, value: .integer(try row.int(name)))) }
        return .object(members)
    }

    private func request(_ call: Call) async throws -> Answer { .json(try record(try await row(call))) }

    /// Why a request was refused: what its node wrote down of every rule.
    private func explain(_ call: Call) async throws -> Answer {
        let row = try await row(call)
        let record = try record(row)
        let decision = record["outcome"] == "refused" ? "refuse" : "allow"
        var verdicts: (rules: JSON, limits: JSON) = (.array([]), .array([]))
        var leftOut: JSON = .integer(0)
        let text = try row.optionalString("explanation")
        if let text {
            let explanation = try JSONParser.parse(Array(text.utf8))
            verdicts = (explanation["rules"] ?? .array([]), explanation["limits"] ?? .array([]))
            leftOut = explanation["left_out"] ?? leftOut
        }
        return .json([
            "request_id": record["request_id"] ?? .null, "started_at": record["started_at"] ?? .null,
            "app_id": record["app_id"] ?? .null, "key_id": record["key_id"] ?? .null,
            "model": record["model"] ?? .null, "status": record["status"] ?? .null,
            "node_id": record["node_id"] ?? .null, "snapshot_version": record["snapshot_version"] ?? .null,
            "decision": .string(decision), "refused_by": record["refused_by"] ?? .null,
            "reason": record["reason"] ?? .null,
            // Of admitted requests nothing is written down, and nodes of an older build write nothing.
            "explained": .bool(text != nil), "rules": verdicts.rules, "limits": verdicts.limits, "left_out": leftOut,
        ])
    }

    private func row(_ call: Call) async throws -> PostgresRow {
        try call.query.allowOnly([])
        let id = call.parameter("id")
        guard !id.utf8.contains(0) else { throw Problem.notFound }
        // A client may use an id again; the newest is what it asks about.
        let rows = try await pool.query(
            """
            SELECT usage.*, node_id FROM usage JOIN usage_boots USING (boot)
            WHERE request_id = $1 ORDER BY started_at DESC, sequence DESC LIMIT 1
            """,
            [.text(id)]
        )
        guard let row = rows.first else { throw Problem.notFound }
        return row
    }

    private func record(_ row: PostgresRow) throws -> JSON {
        let endpoint = Endpoint(rawValue: UInt8(clamping: try row.int("endpoint")))
        let outcome = UsageRecord.Outcome(rawValue: UInt8(clamping: try row.int("outcome")))
        let source = UsageRecord.Source(rawValue: UInt8(clamping: try row.int("source")))
        return [
            "request_id": .string(try row.string("request_id")), "node_id": .string(try row.string("node_id")),
            "started_at": .string(Timestamp.text(try row.milliseconds("started_at"))),
            "finished_at": .string(Timestamp.text(try row.milliseconds("finished_at"))),
            "organisation": .string(try row.string("organisation_id")), "app_id": .string(try row.string("app_id")),
            "key_id": .string(try row.string("key_id")),
            "endpoint": .optional(endpoint?.path.description), "model": .string(try row.string("model")),
            "provider_id": .string(try row.string("provider_id")),
            "upstream_model": .string(try row.string("upstream_model")), "status": .integer(try row.int("status")),
            "outcome": .optional(outcome?.name), "refused_by": .optional(try row.optionalString("refused_by")),
            "reason": .optional(try row.optionalString("reason")), "stream": .bool(try row.bool("is_stream")),
            "prompt_tokens": .integer(try row.int("prompt_tokens")),
            "completion_tokens": .integer(try row.int("completion_tokens")),
            "total_tokens": .integer(try row.int("total_tokens")),
            "cached_tokens": .integer(try row.int("cached_tokens")),
            "cache_write_tokens": .integer(try row.int("cache_write_tokens")),
            "reasoning_tokens": .integer(try row.int("reasoning_tokens")),
            "usage_source": .optional(source.map(Self.name)),
            "request_bytes": .integer(try row.int("request_bytes")),
            "response_bytes": .integer(try row.int("response_bytes")),
            "latency_us": .integer(try row.int("latency_microseconds")),
            "first_byte_us": .integer(try row.int("first_byte_microseconds")),
            "snapshot_version": .integer(try row.int("snapshot_version")),
        ]
    }

    private static func name(_ source: UsageRecord.Source) -> String {
        switch source {
        case .provider: "provider"
        case .estimated: "estimated"
        case .partial: "partial"
        case .none: "none"
        }
    }
}
