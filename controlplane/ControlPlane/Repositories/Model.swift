// Public model names and where each is served: the names that apps send and GET /v1/models of a gateway lists.

import Postgres

/// A row of `models` with its routes.
struct Model: WritableResource {
    /// One place that serves the model.
    struct RouteDraft: Sendable {
        let provider: String
        let upstreamModel: String
        let weight: Int64
    }

    /// What an admin may say of a model.
    struct Draft: Sendable {
        let name: String
        let routes: [RouteDraft]
        let maxOutputTokens: Int64?
        let encoding: String?
    }

    static let kind = "model"
    static let table = "models"
    static let idPrefix = "mdl"
    static let maxRoutes = 32
    static let maxWeight: Int64 = 1_000_000
    /// No model's answers are near it.
    static let outputRange: ClosedRange<Int64> = 1...2_147_483_648
    /// The vocabularies that a gateway can count with.
    static let encodings = ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"]
    static let select = """
        SELECT id, sequence, name, max_output_tokens, encoding, created_at, updated_at, version,
            (SELECT coalesce(json_agg(json_build_object(
                        'provider', providers.name, 'upstream_model', upstream_model, 'weight', weight)
                    ORDER BY position), '[]')
             FROM routes JOIN providers ON providers.id = provider_id WHERE model_id = models.id) AS routes
        FROM models
        """

    let id: String
    let sequence: Int64
    let version: Int64
    let name: String
    let routes: JSON
    let maxOutputTokens: Int64?
    let encoding: String?
    let createdAt: Int64
    let updatedAt: Int64

    init(_ row: PostgresRow) throws {
        id = try row.string("id")
        sequence = try row.int("sequence")
        version = try row.int("version")
        name = try row.string("name")
        routes = try JSONParser.parse(Array(try row.string("routes").utf8))
        maxOutputTokens = try row.optionalInt("max_output_tokens")
        encoding = try row.optionalString("encoding")
        createdAt = try row.milliseconds("created_at")
        updatedAt = try row.milliseconds("updated_at")
    }

    var json: JSON {
        [
            "id": .string(id), "name": .string(name), "routes": routes,
            "max_output_tokens": .optional(maxOutputTokens), "encoding": .optional(encoding),
            "created_at": .string(Timestamp.text(createdAt)), "updated_at": .string(Timestamp.text(updatedAt)),
        ]
    }

    static func draft(_ members: [JSON.Member], current: Model?, store: Store) throws(Problem) -> Draft {
        var reader = ObjectReader(members)
        for name in ["id", "created_at", "updated_at"] { reader.readOnly(name, is: current?.json[name]) }
        let name = reader.text("name", required: true)
        let routes = routes(&reader)
        let maxOutputTokens = reader.optionalInteger("max_output_tokens", in: outputRange)
        let encoding = reader.optionalWord("encoding", of: encodings)
        try reader.finish()
        return Draft(name: name ?? "", routes: routes, maxOutputTokens: maxOutputTokens, encoding: encoding)
    }

    private static func routes(_ reader: inout ObjectReader) -> [RouteDraft] {
        guard let elements = reader.take("routes")?.arrayValue, (1...maxRoutes).contains(elements.count) else {
            reader.refuse("routes", "must be an array of 1 to \(maxRoutes) routes")
            return []
        }
        var routes: [RouteDraft] = []
        for (index, element) in elements.enumerated() {
            guard case .object(let members) = element else {
                reader.refuse("routes/\(index)", "must be an object")
                continue
            }
            var route = ObjectReader(members, path: "/routes/\(index)")
            let provider = route.text("provider", required: true) ?? ""
            let upstreamModel = route.text("upstream_model", required: true) ?? ""
            let weight = route.optionalInteger("weight", in: 0...maxWeight) ?? 1
            do throws(Problem) { try route.finish() } catch { reader.add(error.errors) }
            routes.append(RouteDraft(provider: provider, upstreamModel: upstreamModel, weight: weight))
        }
        if !routes.isEmpty, routes.allSatisfy({ $0.weight == 0 }) {
            reader.refuse("routes", "one route at least must have a weight above 0")
        }
        return routes
    }

    static func insert(_ draft: Draft, id: String, change: Change, store: Store) async throws {
        try await Capacity.check(table, limit: Capacity.maxModels, in: change.session)
        _ = try await change.session.execute(
            """
            INSERT INTO models (id, name, max_output_tokens, encoding, created_at, updated_at, version)
            VALUES ($1, $2, $3, $4, $5, $5, $6)
            """,
            [
                .text(id), .text(draft.name), draft.maxOutputTokens.map { .int($0) } ?? .null,
                draft.encoding.map { .text($0) } ?? .null, .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
        try await write(draft.routes, of: id, change: change)
    }

    static func update(_ current: Model, to draft: Draft, change: Change, store: Store) async throws {
        _ = try await change.session.execute(
            """
            UPDATE models SET name = $2, max_output_tokens = $3, encoding = $4, updated_at = $5, version = $6
            WHERE id = $1
            """,
            [
                .text(current.id), .text(draft.name), draft.maxOutputTokens.map { .int($0) } ?? .null,
                draft.encoding.map { .text($0) } ?? .null, .timestamp(milliseconds: change.at), .int(change.version),
            ]
        )
        _ = try await change.session.execute("DELETE FROM routes WHERE model_id = $1", [.text(current.id)])
        try await write(draft.routes, of: current.id, change: change)
    }

    private static func write(_ routes: [RouteDraft], of id: String, change: Change) async throws {
        var problems: [FieldProblem] = []
        for (position, route) in routes.enumerated() {
            // A name wins over an id: ids are ours and no one names a provider like one by accident.
            let written = try await change.session.execute(
                """
                INSERT INTO routes (model_id, position, provider_id, upstream_model, weight)
                SELECT $1, $2, id, $4, $5 FROM providers WHERE name = $3 OR id = $3
                ORDER BY name = $3 DESC LIMIT 1
                """,
                [
                    .text(id), .int(Int64(position)), .text(route.provider), .text(route.upstreamModel),
                    .int(route.weight),
                ]
            )
            if written == 0 {
                problems.append(FieldProblem(path: "/routes/\(position)/provider", reason: "there is no such provider"))
            }
        }
        guard problems.isEmpty else { throw Problem.invalid(problems) }
    }
}
