// The rest of the admin API: what the machine itself knows (nodes, the snapshot, the audit log, the kinds of policy,
// this API's own description) and the checks that deploy nothing.

import Policy
import Postgres
import Snapshot
import Telemetry

/// Operations that are not a resource's.
struct AdminRoutes: Sendable {
    let store: Store
    let nodes: NodeRegistry
    let keeper: SnapshotKeeper
    let holder: SnapshotHolder
    let publisher: Publisher
    let metrics: MetricRegistry
    let isReady: @Sendable () -> Bool

    var routes: [Route] {
        [
            Route("GET", "/healthz", access: .open) { _ in .json(["status": "ok"]) },
            Route("GET", "/readyz", access: .open, readiness),
            Route("GET", "/metrics", access: .open) { call in
                let format = ExpositionFormat.negotiated(accept: call.headers["accept"])
                return Answer(contentType: format.contentType, body: metrics.render(format))
            },
            Route("GET", "/v1/openapi.yaml") { _ in
                Answer(contentType: "application/yaml", body: PackageResources.openapi_yaml)
            },
            Route("GET", "/v1/nodes", listNodes),
            Route("GET", "/v1/snapshots/current", currentSnapshot),
            Route("GET", "/v1/audit", audit),
            Route("GET", "/v1/policy-kinds", policyKinds),
            Route("POST", "/v1/policies/validate", body: .json, validate),
        ]
    }

    /// Ready means able to answer writes: migrated, and a snapshot compiled.
    ///
    /// A database that goes away later shows as 503 on writes, not here, so that an outage does not take every control
    /// plane out of rotation at once.
    private func readiness(_ call: Call) async throws -> Answer {
        isReady() ? .json(["status": "ready"]) : .json(["status": "starting"], status: 503)
    }

    private func listNodes(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(Page.parameters)
        let page = try Page(call.query)
        let all = nodes.all(at: Timestamp.now).enumerated().map {
            (sequence: Int64($0.offset) + 1, json: $0.element.json)
        }
        return page.answer(Array(all.drop { $0.sequence <= page.after }.prefix(page.limit + 1)))
    }

    private func currentSnapshot(_ call: Call) async throws -> Answer {
        try call.query.allowOnly([])
        guard let current = holder.current else { throw Problem.unavailable }
        let counts = current.counts
        let live = nodes.live(at: Timestamp.now)
        let applied = live.filter { $0.lineage == current.lineage && $0.version >= Int64(current.version) }
        let bytes = current.encoded.chunks.values.reduce(current.encoded.manifest.count) { $0 + $1.count }
        return .json([
            "version": .integer(Int64(current.version)), "lineage": .string(current.lineage),
            "created_at": .string(Timestamp.text(current.createdAt)),
            "chunks": .integer(Int64(current.encoded.chunks.count)), "bytes": .integer(Int64(bytes)),
            "compile_us": .integer(current.compileMicroseconds),
            "counts": [
                "apps": .integer(Int64(counts.apps)), "keys": .integer(Int64(counts.keys)),
                "policies": .integer(Int64(counts.policies)), "providers": .integer(Int64(counts.providers)),
                "models": .integer(Int64(counts.models)),
            ],
            "lineage_confirmed": .bool(current.isLineageConfirmed), "canary": .optional(current.canary?.id),
            "publisher": .bool(publisher.isPublisher),
            "published_version": .optional(publisher.publishedVersion.map { Int64($0) }),
            "live_nodes": .integer(Int64(live.count)), "applied_nodes": .integer(Int64(applied.count)),
            "failure": .optional(keeper.failure),
        ])
    }

    private func audit(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(Page.parameters.union(["resource_kind", "resource_id"]))
        let page = try Page(call.query)
        let rows = try await store.pool.query(
            """
            SELECT sequence, at, version, actor, request_id, action, resource_kind, resource_id, before, after
            FROM audit_log
            WHERE ($1 = 0 OR sequence < $1) AND ($2 = '' OR resource_kind = $2) AND ($3 = '' OR resource_id = $3)
            ORDER BY sequence DESC LIMIT $4
            """,
            [
                .int(page.after), .text(call.query["resource_kind"] ?? ""), .text(call.query["resource_id"] ?? ""),
                .int(Int64(page.limit) + 1),
            ]
        )
        return page.answer(try rows.map { (try $0.int("sequence"), try Self.entry($0)) })
    }

    private static func entry(_ row: PostgresRow) throws -> JSON {
        [
            "version": .integer(try row.int("version")), "at": .string(Timestamp.text(try row.milliseconds("at"))),
            "actor": .string(try row.string("actor")), "request_id": .string(try row.string("request_id")),
            "action": .string(try row.string("action")), "resource_kind": .string(try row.string("resource_kind")),
            "resource_id": .string(try row.string("resource_id")),
            "before": try row.optionalString("before").map { try JSONParser.parse(Array($0.utf8)) } ?? .null,
            "after": try row.optionalString("after").map { try JSONParser.parse(Array($0.utf8)) } ?? .null,
        ]
    }

    private func policyKinds(_ call: Call) async throws -> Answer {
        try call.query.allowOnly([])
        let kinds = try store.registry.names.sorted().compactMap { store.registry.kind(named: $0) }.map { kind in
            JSON.object([
                .init(name: "name", value: .string(kind.name)),
                .init(name: "config_schema", value: try JSONParser.parse(kind.schema)),
            ])
        }
        return .json(["data": .array(kinds), "next_cursor": .null])
    }

    private func validate(_ call: Call) async throws -> Answer {
        try call.query.allowOnly([])
        let draft: PolicyRow.Draft
        do throws(Problem) {
            draft = try PolicyRow.draft(try call.object(), current: nil, registry: store.registry)
        } catch {
            guard error.status == 422 else { throw error }
            return .json(["valid": .bool(false), "errors": .array(error.errors.map(\.json))])
        }
        let facts = try store.registry.kind(named: draft.kind)?.facts(ConfigValue(draft.config))
        return .json(["valid": .bool(true), "errors": .array([]), "facts": facts.map { JSON($0) } ?? .object([])])
    }
}

extension JSON: ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self = .string(value) }
}
