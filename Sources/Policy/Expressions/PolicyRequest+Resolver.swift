// A request as a `cel` rule reads it: each value is looked up or computed when the rule asks, and only then.

public import CEL
import LLMWire

extension PolicyRequest: Resolver {
    /// The value of a variable of `RequestEnvironment.standard`.
    ///
    /// Scalars and what an app or key says of itself allocate nothing.
    ///
    /// - Parameter variable: its number.
    /// - Returns: `.unset` for what the request does not have: `max_tokens`, `user`.
    public borrowing func value(of variable: Int) -> Value {
        switch RequestVariable(rawValue: variable) {
        case .method: Self.post
        case .path: .string(ByteString(Self.paths[Int(endpoint.rawValue)]))
        case .model: .string(ByteString(model))
        case .stream: .bool(parsed.stream)
        case .maxTokens: parsed.outputCap.map { .int(Int64($0)) } ?? .unset
        case .choices: .int(Int64(parsed.choices))
        case .messageCount: .int(Int64(parsed.messageCount))
        case .promptTokens: .int(Int64(prompt.tokens))
        case .bodyBytes: .int(Int64(bodyBytes))
        case .hasTools: .bool(parsed.hasTools)
        case .hasImages: .bool(parsed.hasImages)
        case .headers: headerMap()
        case .metadata: parsed.metadata.map { JSONValues.object(in: body, at: $0) } ?? .map(.empty)
        case .user: text(parsed.user)
        case .appID: app.idValue
        case .appName: app.name
        case .appTags: app.tags
        case .appTier: app.tier
        case .appOrganisation: app.organisation
        case .keyID: key.idValue
        case .keyName: key.name
        case .keyTags: key.tags
        case .keyCreatedAt: key.createdAt
        case .provider: .string(ByteString(provider))
        case .now: Self.instant(milliseconds: nowMilliseconds)
        case nil: .error(EvaluationError(.unavailable))
        }
    }

    /// One header field or one member of the metadata, without the others.
    ///
    /// - Parameters:
    ///   - key: a header's name in lower case, or a member's name.
    ///   - variable: the number of the variable that is asked for a key.
    /// - Returns: `.unset` when the request does not have it.
    public borrowing func member(_ key: ByteString, of variable: Int) -> Value {
        switch RequestVariable(rawValue: variable) {
        case .headers:
            guard !Self.isCredential(key) else { return .unset }
            return headers.value(of: key.bytes).map(Self.text) ?? .unset
        case .metadata:
            return parsed.metadata.map { JSONValues.member(key, in: body, at: $0) } ?? .unset
        default:
            return .error(EvaluationError(.noSuchOverload))
        }
    }

    private static let post = Value.text("POST")
    private static let paths: [[UInt8]] = Endpoint.allCases.map { endpoint in
        Array("\(endpoint.path)".utf8)
    }

    /// What says who the client is stays out of rules: they have `key` and `app` for that, and no rule can leak it.
    private static let credentials: [ByteString] = [
        "authorization", "proxy-authorization", "x-api-key", "api-key", "cookie",
    ].map { ByteString($0) }

    private static func isCredential(_ name: ByteString) -> Bool {
        for credential in credentials where credential == name { return true }
        return false
    }

    private borrowing func text(_ slice: JSONSlice?) -> Value {
        guard let slice else { return .unset }
        if slice.hasEscapes { return .string(ByteString(slice.decoded(in: body.span))) }
        return .string(ByteString(body, in: Int(slice.start)..<Int(slice.start) + Int(slice.count)))
    }

    /// Octets that a client sent where text is expected; what is no UTF-8 there becomes U+FFFD.
    private static func text(_ bytes: [UInt8]) -> Value {
        if bytes.allSatisfy({ $0 < 0x80 }) { return .string(ByteString(bytes)) }
        return .text(String(decoding: bytes, as: UTF8.self))
    }

    /// All header fields by their names in lower case; of a repeated field the first.
    private borrowing func headerMap() -> Value {
        var seen: Set<ByteString> = []
        var keys: [Value] = []
        var values: [Value] = []
        headers.visit { name, value in
            let name = ByteString(name)
            guard !Self.isCredential(name), seen.insert(name).inserted else { return }
            keys.append(Self.text(name.bytes))
            values.append(Self.text(value))
        }
        do throws(EvaluationError) {
            return .map(try MapValue(keys: keys, values: values))
        } catch {
            return .error(error)
        }
    }

    static func instant(milliseconds: Int64) -> Value {
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
        let isBefore = rest < 0
        do throws(EvaluationError) {
            return .timestamp(
                try CEL.Timestamp(
                    seconds: isBefore ? seconds - 1 : seconds,
                    nanoseconds: Int32(isBefore ? rest + 1_000 : rest) * 1_000_000
                )
            )
        } catch {
            return .error(error)
        }
    }
}
