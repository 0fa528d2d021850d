// What a `cel` rule may name. The order is part of the fingerprint that ties compiled programs to a build: new names go
// at the end; docs/cel.md describes each.

public import CEL

/// The variables of rules, by their numbers in `RequestEnvironment.standard`.
enum RequestVariable: Int, CaseIterable {
    case method, path, model, stream, maxTokens, choices, messageCount, promptTokens, bodyBytes, hasTools, hasImages
    case headers, metadata, user
    case appID, appName, appTags, appTier, appOrganisation
    case keyID, keyName, keyTags, keyCreatedAt
    case provider, now

    /// The variable as the check and the cost estimate know it; sizes are the bounds of the scan and of the admin API.
    fileprivate var declaration: Environment.Variable {
        switch self {
        case .method: Environment.Variable("request.method", .string, maxSize: 16)
        case .path: Environment.Variable("request.path", .string, maxSize: 64)
        case .model: Environment.Variable("request.model", .string, maxSize: 256)
        case .stream: Environment.Variable("request.stream", .bool)
        case .maxTokens: Environment.Variable("request.max_tokens", .int)
        case .choices: Environment.Variable("request.n", .int)
        case .messageCount: Environment.Variable("request.message_count", .int)
        case .promptTokens: Environment.Variable("request.prompt_tokens", .int)
        case .bodyBytes: Environment.Variable("request.body_bytes", .int)
        case .hasTools: Environment.Variable("request.has_tools", .bool)
        case .hasImages: Environment.Variable("request.has_images", .bool)
        case .headers:
            Environment.Variable("request.headers", .map(.string, .string), maxSize: 100, maxElementSize: 1_024)
        case .metadata: Environment.Variable("request.metadata", .map(.string, .dyn), maxSize: 64, maxElementSize: 512)
        case .user: Environment.Variable("request.user", .string, maxSize: 512)
        case .appID: Environment.Variable("app.id", .string, maxSize: 64)
        case .appName: Environment.Variable("app.name", .string, maxSize: 256)
        case .appTags: Environment.Variable("app.tags", .list(.string), maxSize: 64, maxElementSize: 64)
        case .appTier: Environment.Variable("app.tier", .string, maxSize: 64)
        case .appOrganisation: Environment.Variable("app.org", .string, maxSize: 64)
        case .keyID: Environment.Variable("key.id", .string, maxSize: 16)
        case .keyName: Environment.Variable("key.name", .string, maxSize: 256)
        case .keyTags: Environment.Variable("key.tags", .list(.string), maxSize: 64, maxElementSize: 64)
        case .keyCreatedAt: Environment.Variable("key.created_at", .timestamp)
        case .provider: Environment.Variable("provider", .string, maxSize: 256)
        case .now: Environment.Variable("now", .timestamp)
        }
    }
}

/// The environment of `cel` rules.
public enum RequestEnvironment {
    /// What they may name.
    public static let standard = Environment(variables: RequestVariable.allCases.map(\.declaration))
}
