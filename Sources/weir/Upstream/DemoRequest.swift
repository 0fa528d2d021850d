// What the demo upstream reads of a request: the little it needs, leniently, since judging requests is Weir's part.

/// A request body of any of the endpoints.
struct DemoRequest: Decodable {
    struct StreamOptions: Decodable {
        var includeUsage: Bool?

        enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
    }

    struct Message: Decodable {
        var role: String?
        var content: DemoText?
    }

    /// `input` of /v1/responses and /v1/embeddings: text, texts, or messages.
    enum Input: Decodable {
        case texts([String])
        case messages([Message])

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let text = Self.attempt({ try value.decode(String.self) }) {
                self = .texts([text])
            } else if let texts = Self.attempt({ try value.decode([String].self) }) {
                self = .texts(texts)
            } else {
                self = .messages(try value.decode([Message].self))
            }
        }

        /// A decoder tells a value's shape only by failing; nothing else is lost.
        private static func attempt<Value>(_ decode: () throws -> Value) -> Value? {
            do { return try decode() } catch { return nil }
        }
    }

    var model: String
    var messages: [Message]?
    var system: DemoText?
    var prompt: DemoText?
    var input: Input?
    var instructions: String?
    var stream: Bool?
    var streamOptions: StreamOptions?
    var maxTokens: Int?
    var maxCompletionTokens: Int?
    var maxOutputTokens: Int?
    var encodingFormat: String?

    enum CodingKeys: String, CodingKey {
        case model, messages, system, prompt, input, instructions, stream
        case streamOptions = "stream_options"
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
        case maxOutputTokens = "max_output_tokens"
        case encodingFormat = "encoding_format"
    }

    /// The answer to whatever was asked.
    var reply: DemoReply {
        var conversation = messages ?? []
        var texts: [String] = [system?.text, instructions].compactMap(\.self)
        switch input {
        case .texts(let given): conversation += given.map { Message(role: "user", content: DemoText(text: $0)) }
        case .messages(let given): conversation += given
        case nil: break
        }
        if let prompt { conversation.append(Message(role: "user", content: prompt)) }
        texts += conversation.map { $0.content?.text ?? "" }
        let asked = conversation.last { $0.role == "user" }?.content?.text ?? ""
        let cap = maxCompletionTokens ?? maxOutputTokens ?? maxTokens
        return DemoReply(messages: texts, lastUserText: asked, cap: cap)
    }

    /// The texts to embed.
    var embedded: [String] {
        if case .texts(let texts) = input { texts } else { [] }
    }
}

/// Text, or a list of parts with text in them.
struct DemoText: Decodable {
    private struct Part: Decodable { var text: String? }

    var text: String

    init(text: String) { self.text = text }

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        do {
            text = try value.decode(String.self)
        } catch {
            text = try value.decode([Part].self).compactMap(\.text).joined(separator: "\n")
        }
    }
}
