// The demo model's answers in each provider's own words: whole JSON bodies and the events of streams, in the order and
// with the members that the official SDKs read. The texts are templates on purpose: this is what travels.

/// An answer as a whole body, and as the events of a stream.
struct DemoAnswer {
    let body: String
    let events: [String]
}

/// Writes answers.
struct DemoAnswers {
    /// A fixed time: the same request gets the same bytes, always.
    private static let created = 1_767_225_600

    let request: DemoRequest
    let reply: DemoReply

    init(_ request: DemoRequest) {
        self.request = request
        reply = request.reply
    }

    private var model: String { Self.quoted(request.model) }

    /// `/v1/chat/completions`.
    var chat: DemoAnswer {
        let head = "\"id\":\"chatcmpl-demo\",\"created\":\(Self.created),\"model\":\(model)"
        let usage = """
            {"prompt_tokens":\(reply.promptTokens),"completion_tokens":\(reply.completionTokens),\
            "total_tokens":\(reply.totalTokens)}
            """
        let finish = reply.isCut ? "length" : "stop"
        func chunk(_ delta: String, finish: String = "null", tail: String = "") -> String {
            """
            data: {\(head),"object":"chat.completion.chunk",\
            "choices":[{"index":0,"delta":\(delta),"finish_reason":\(finish)}]\(tail)}\n\n
            """
        }
        var events = [chunk("{\"role\":\"assistant\",\"content\":\"\"}")]
        events += reply.pieces.map { chunk("{\"content\":\(Self.quoted($0))}") }
        events.append(chunk("{}", finish: "\"\(finish)\""))
        if request.streamOptions?.includeUsage == true {
            events.append("data: {\(head),\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":\(usage)}\n\n")
        }
        events.append("data: [DONE]\n\n")
        let body = """
            {\(head),"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",\
            "content":\(Self.quoted(reply.text))},"finish_reason":"\(finish)"}],"usage":\(usage)}
            """
        return DemoAnswer(body: body, events: events)
    }

    /// `/v1/completions`.
    var completion: DemoAnswer {
        let head = "\"id\":\"cmpl-demo\",\"object\":\"text_completion\",\"created\":\(Self.created),\"model\":\(model)"
        let usage = """
            {"prompt_tokens":\(reply.promptTokens),"completion_tokens":\(reply.completionTokens),\
            "total_tokens":\(reply.totalTokens)}
            """
        let finish = reply.isCut ? "length" : "stop"
        func choice(_ text: String, _ finish: String) -> String {
            "[{\"index\":0,\"text\":\(Self.quoted(text)),\"logprobs\":null,\"finish_reason\":\(finish)}]"
        }
        var events = reply.pieces.map { "data: {\(head),\"choices\":\(choice($0, "null"))}\n\n" }
        events.append("data: {\(head),\"choices\":\(choice("", "\"\(finish)\""))}\n\n")
        if request.streamOptions?.includeUsage == true {
            events.append("data: {\(head),\"choices\":[],\"usage\":\(usage)}\n\n")
        }
        events.append("data: [DONE]\n\n")
        return DemoAnswer(
            body: "{\(head),\"choices\":\(choice(reply.text, "\"\(finish)\"")),\"usage\":\(usage)}",
            events: events
        )
    }

    /// `/v1/messages`.
    var message: DemoAnswer {
        let stop = reply.isCut ? "max_tokens" : "end_turn"
        func message(_ content: String, _ stop: String, output: Int) -> String {
            """
            {"id":"msg_demo","type":"message","role":"assistant","model":\(model),"content":\(content),\
            "stop_reason":\(stop),"stop_sequence":null,\
            "usage":{"input_tokens":\(reply.promptTokens),"output_tokens":\(output)}}
            """
        }
        func event(_ name: String, _ rest: String) -> String {
            "event: \(name)\ndata: {\"type\":\"\(name)\"\(rest)}\n\n"
        }
        var events = [
            event("message_start", ",\"message\":\(message("[]", "null", output: 1))"),
            event("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
            event("ping", ""),
        ]
        events += reply.pieces.map { piece in
            let delta = "{\"type\":\"text_delta\",\"text\":\(Self.quoted(piece))}"
            return event("content_block_delta", ",\"index\":0,\"delta\":\(delta)")
        }
        events += [
            event("content_block_stop", ",\"index\":0"),
            event(
                "message_delta",
                ",\"delta\":{\"stop_reason\":\"\(stop)\",\"stop_sequence\":null},"
                    + "\"usage\":{\"output_tokens\":\(reply.completionTokens)}"
            ),
            event("message_stop", ""),
        ]
        let content = "[{\"type\":\"text\",\"text\":\(Self.quoted(reply.text))}]"
        return DemoAnswer(
            body: message(content, "\"\(stop)\"", output: reply.completionTokens),
            events: events
        )
    }

    /// `/v1/responses`.
    var response: DemoAnswer {
        func item(_ status: String, _ content: String) -> String {
            """
            {"id":"msg_demo","type":"message","role":"assistant","status":"\(status)","content":\(content)}
            """
        }
        func part(_ text: String) -> String {
            "{\"type\":\"output_text\",\"text\":\(Self.quoted(text)),\"annotations\":[],\"logprobs\":[]}"
        }
        func response(_ status: String, output: String, usage: String, incomplete: String = "null") -> String {
            """
            {"id":"resp_demo","object":"response","created_at":\(Self.created),"status":"\(status)",\
            "model":\(model),"output":\(output),"parallel_tool_calls":true,"tool_choice":"auto","tools":[],\
            "error":null,"incomplete_details":\(incomplete),"usage":\(usage)}
            """
        }
        let incomplete = reply.isCut ? "{\"reason\":\"max_output_tokens\"}" : "null"
        let status = reply.isCut ? "incomplete" : "completed"
        let usage = """
            {"input_tokens":\(reply.promptTokens),"input_tokens_details":{"cached_tokens":0},\
            "output_tokens":\(reply.completionTokens),"output_tokens_details":{"reasoning_tokens":0},\
            "total_tokens":\(reply.totalTokens)}
            """
        let output = "[\(item(status, "[\(part(reply.text))]"))]"
        let whole = response(status, output: output, usage: usage, incomplete: incomplete)
        let begun = response("in_progress", output: "[]", usage: "null")
        let place = "\"item_id\":\"msg_demo\",\"output_index\":0,\"content_index\":0"
        var payloads: [(name: String, rest: String)] = [
            ("response.created", "\"response\":\(begun)"),
            ("response.in_progress", "\"response\":\(begun)"),
            ("response.output_item.added", "\"output_index\":0,\"item\":\(item("in_progress", "[]"))"),
            ("response.content_part.added", "\(place),\"part\":\(part(""))"),
        ]
        payloads += reply.pieces.map {
            ("response.output_text.delta", "\(place),\"delta\":\(Self.quoted($0)),\"logprobs\":[]")
        }
        payloads += [
            ("response.output_text.done", "\(place),\"text\":\(Self.quoted(reply.text)),\"logprobs\":[]"),
            ("response.content_part.done", "\(place),\"part\":\(part(reply.text))"),
            ("response.output_item.done", "\"output_index\":0,\"item\":\(item(status, "[\(part(reply.text))]"))"),
            ("response.\(status)", "\"response\":\(whole)"),
        ]
        let events = payloads.enumerated().map { number, payload in
            "event: \(payload.name)\ndata: {\"type\":\"\(payload.name)\",\"sequence_number\":\(number),\(payload.rest)}\n\n"
        }
        return DemoAnswer(body: whole, events: events)
    }

    /// `/v1/embeddings`: eight numbers per text, from a hash of it.
    var embeddings: String {
        let isBase64 = request.encodingFormat == "base64"
        let entries = request.embedded.enumerated().map { index, text in
            let vector = Self.vector(of: text)
            let written =
                isBase64
                ? "\"\(Self.base64(vector))\"" : "[\(vector.map { "\($0)" }.joined(separator: ","))]"
            return "{\"object\":\"embedding\",\"index\":\(index),\"embedding\":\(written)}"
        }
        let tokens = request.embedded.reduce(0) { $0 + DemoReply.wordCount($1) }
        return """
            {"object":"list","model":\(model),"data":[\(entries.joined(separator: ","))],\
            "usage":{"prompt_tokens":\(tokens),"total_tokens":\(tokens)}}
            """
    }

    private static func vector(of text: String) -> [Float] {
        // FNV-1a, then one byte per number: exact in Float and the same on every machine.
        let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return (0..<8).map { Float(Int8(truncatingIfNeeded: hash >> UInt64($0 * 8))) / 128 }
    }

    private static func base64(_ vector: [Float]) -> String {
        let bytes = vector.flatMap { number in
            (0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> UInt32($0 * 8)) }
        }
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32((3 - group.count) * 8)
            for place in 0..<4 {
                text.append(place <= group.count ? alphabet[Int(bits >> UInt32(18 - 6 * place)) & 63] : "=")
            }
        }
        return text
    }

    /// A JSON string.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
