// Chat completions: the messages by the Cookbook's formula, tools and calls by what others found out (`ToolFraming`).

internal import LLMWire

extension PromptReader {
    /// What a message holds; places are 0 for none.
    private struct Message {
        var role: JSONString?
        var content = 0
        var name: JSONString?
        var functionCall = 0
        var toolCalls = 0

        func isRole(_ name: StaticString, _ body: Span<UInt8>) -> Bool { role?.equals(name, in: body) ?? false }
    }

    /// What is known across messages.
    private struct Conversation {
        let hasTools: Bool
        var sawSystem = false
        /// Whether there are several tool messages: only then are JSON objects among them rendered.
        let rendersObjects: Bool
        var sawToolObject = false
    }

    mutating func chat(_ members: Members, _ body: Span<UInt8>) throws(ScanError) {
        let definitions = members.functions > 0 ? members.functions : members.tools
        let hasTools = try Self.hasElements(at: definitions, body)
        let toolMessages = try Self.toolMessageCount(at: members.messages, body)
        var conversation = Conversation(hasTools: hasTools, rendersObjects: toolMessages > 1)
        feed.add(model.framing.arrayOverheadTokens + ToolFraming.toolMessagesTokens(toolMessages))
        if members.messages > 0 {
            var reader = JSONReader(isStrict: true, at: members.messages)
            guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
            var isFirst = true
            while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
                guard try Self.enter(&reader, UInt8(ascii: "{"), body) else { continue }
                try message(try Self.message(&reader, body), &conversation, body)
            }
        }
        if hasTools {
            try tools(at: definitions, hasSystem: conversation.sawSystem, choice: members.choice, body)
        }
        try responseFormat(at: members.responseFormat, body)
    }

    private static func message(_ reader: inout JSONReader, _ body: Span<UInt8>) throws(ScanError) -> Message {
        var message = Message()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            let start = reader.peek(body) == UInt8(ascii: "n") ? 0 : reader.index
            switch key.decodedCount {
            case 4 where key.equals("role", in: body):
                message.role = try reader.stringOrSkip(body)
                continue
            case 4 where key.equals("name", in: body):
                message.name = try reader.stringOrSkip(body)
                continue
            case 7 where key.equals("content", in: body): message.content = start
            case 10 where key.equals("tool_calls", in: body): message.toolCalls = start
            case 13 where key.equals("function_call", in: body): message.functionCall = start
            default: break
            }
            try reader.skip(body)
        }
        return message
    }

    private static func toolMessageCount(at start: Int, _ body: Span<UInt8>) throws(ScanError) -> Int {
        guard start > 0 else { return 0 }
        var reader = JSONReader(isStrict: true, at: start)
        guard try enter(&reader, UInt8(ascii: "["), body) else { return 0 }
        var count = 0
        var isFirst = true
        while try reader.nextElement(body, isFirst: &isFirst) {
            guard try enter(&reader, UInt8(ascii: "{"), body) else { continue }
            count += try message(&reader, body).isRole("tool", body) ? 1 : 0
        }
        return count
    }

    private mutating func message(
        _ message: Message,
        _ conversation: inout Conversation,
        _ body: Span<UInt8>
    ) throws(ScanError) {
        if message.isRole("tool", body) { return try toolMessage(message, &conversation, body) }
        feed.add(model.framing.messageOverheadTokens)
        if message.isRole("function", body) {
            isExact = false
            feed.add(-ToolFraming.functionMessageSavingTokens)
        }
        if let name = message.name {
            feed.add(model.framing.nameOverheadTokens)
            feed.count(name, in: body)
        }
        if let role = message.role { feed.count(role, in: body) }
        let isSystem = message.isRole("system", body) || message.isRole("developer", body)
        if isSystem, !conversation.sawSystem {
            conversation.sawSystem = true
            if conversation.hasTools, let text = try Self.string(at: message.content, body) {
                // The definitions go into this message, after a line feed.
                feed.append(text, in: body)
                feed.append("\n")
                feed.finish()
            } else {
                try content(at: message.content, body)
            }
        } else {
            try content(at: message.content, body)
        }
        if message.functionCall > 0 { try functionCall(at: message.functionCall, body) }
        if message.toolCalls > 0 { try toolCalls(at: message.toolCalls, body) }
    }

    private mutating func functionCall(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        isExact = false
        feed.add(ToolFraming.functionCallTokens)
        for member in ["name", "arguments"] as [StaticString] {
            if let text = try Self.string(at: try Self.member(member, at: start, body), body) {
                feed.count(text, in: body)
            }
        }
    }

    private mutating func toolCalls(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        var reader = JSONReader(isStrict: true, at: start)
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        isExact = false
        feed.add(ToolFraming.callsTokens(try Self.elementCount(at: start, body)))
        var isFirst = true
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            let call = reader.index
            try reader.skip(body)
            feed.add(ToolFraming.toolCallTokens)
            if let type = try Self.string(at: try Self.member("type", at: call, body), body) {
                feed.count(type, in: body)
            }
            try calledFunction(at: try Self.member("function", at: call, body), body)
        }
    }

    /// A call's name, twice, and its arguments.
    mutating func calledFunction(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        if let name = try Self.string(at: try Self.member("name", at: start, body), body) {
            feed.count(name, in: body)
            feed.count(name, in: body)
        }
        guard let arguments = try Self.string(at: try Self.member("arguments", at: start, body), body) else { return }
        if let object = ArgumentText(arguments, in: body, quotesNumbers: true) {
            object.append(to: &feed)
            feed.finish()
        } else {
            feed.count(arguments, in: body)
        }
    }

    private mutating func toolMessage(
        _ message: Message,
        _ conversation: inout Conversation,
        _ body: Span<UInt8>
    ) throws(ScanError) {
        isExact = false
        feed.add(ToolFraming.toolMessageTokens)
        if let role = message.role { feed.count(role, in: body) }
        if conversation.rendersObjects, let text = try Self.string(at: message.content, body) {
            if let object = ArgumentText(text, in: body, quotesNumbers: false) {
                // What is taken off comes first, so that a count over the limit stays over it.
                feed.add(-object.memberCount - (conversation.sawToolObject ? 1 : 0))
                conversation.sawToolObject = true
                object.append(to: &feed)
                return feed.finish()
            }
        }
        try content(at: message.content, body)
    }

    /// `response_format` with a schema, modelled on the gpt-oss prompt format: an unverified assumption.
    private mutating func responseFormat(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        try schemaFormat(at: try Self.member("json_schema", at: start, body), body)
    }

    /// `# Response Formats`, the name, the description and the schema.
    mutating func schemaFormat(at format: Int, _ body: Span<UInt8>) throws(ScanError) {
        let schema = try Self.member("schema", at: format, body)
        guard schema > 0 else { return }
        isExact = false
        feed.append("# Response Formats\n\n## ")
        if let name = try Self.string(at: try Self.member("name", at: format, body), body) {
            feed.append(name, in: body)
        }
        feed.append("\n\n")
        if let text = try Self.string(at: try Self.member("description", at: format, body), body) {
            feed.append("// ")
            feed.append(text, in: body)
            feed.append("\n")
        }
        try compact(at: schema, body)
        feed.finish()
    }
}
