// Responses and Anthropic's messages: no formula is published for either, so these are estimates built from what the
// chat formula knows. Settling corrects them.

internal import LLMWire

extension PromptReader {
    /// A string or items; counted like a chat of the same texts.
    mutating func responses(_ members: Members, _ body: Span<UInt8>) throws(ScanError) {
        isExact = false
        feed.add(model.framing.arrayOverheadTokens)
        if members.instructions > 0 {
            feed.add(model.framing.messageOverheadTokens + 1)  // its role is one token
            try content(at: members.instructions, body)
        }
        if let text = try Self.string(at: members.input, body) {
            feed.add(model.framing.messageOverheadTokens + 1)
            feed.count(text, in: body)
        } else {
            try items(at: members.input, body)
        }
        if try Self.hasElements(at: members.tools, body) {
            try tools(at: members.tools, hasSystem: members.instructions > 0, choice: members.choice, body)
        }
        try schemaFormat(at: try Self.member("format", at: members.text, body), body)
    }

    private mutating func items(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        guard start > 0 else { return }
        var reader = JSONReader(isStrict: true, at: start)
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        var isFirst = true
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            _ = reader.peek(body)
            let item = reader.index
            try reader.skip(body)
            feed.add(model.framing.messageOverheadTokens)
            if let role = try Self.string(at: try Self.member("role", at: item, body), body) {
                feed.count(role, in: body)
            }
            try content(at: try Self.member("content", at: item, body), body)
            try content(at: try Self.member("output", at: item, body), body)
            if try Self.member("arguments", at: item, body) > 0 {
                feed.add(ToolFraming.toolCallTokens)
                try calledFunction(at: item, body)
            }
        }
    }

    /// Anthropic's messages: texts, a fixed part for each message, tools as JSON and their system prompt.
    mutating func anthropic(_ members: Members, _ body: Span<UInt8>) throws(ScanError) {
        isExact = false
        feed.add(AnthropicFraming.messageOverheadTokens)
        try content(at: members.system, body)
        if try Self.hasElements(at: members.tools, body) {
            feed.add(AnthropicFraming.toolsTokens)
            try compact(at: members.tools, body)
            feed.finish()
        }
        guard members.messages > 0 else { return }
        var reader = JSONReader(isStrict: true, at: members.messages)
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        var isFirst = true
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            _ = reader.peek(body)
            let message = reader.index
            try reader.skip(body)
            feed.add(AnthropicFraming.messageOverheadTokens + 1)  // its role is one token
            try content(at: try Self.member("content", at: message, body), body)
        }
    }
}
