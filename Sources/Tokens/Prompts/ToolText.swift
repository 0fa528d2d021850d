// Functions and tools as the model sees them: TypeScript declarations in a namespace. The rendering is OpenAI's, found
// out by others; every line break in it costs or saves a token.
//
//   namespace functions {
//
//   // DESCRIPTION
//   type NAME = (_: {
//   // DESCRIPTION
//   key?: TYPE,
//   }) => any;
//
//   } // namespace functions

internal import LLMWire

extension PromptReader {
    /// Definitions of any of OpenAI's shapes: `functions`, `tools`, or the flat tools of Responses.
    ///
    /// - Source: hmarr/openai-chat-tokens, by what it counts; pinned by Tests/Fixtures/tokens/chat.jsonl.
    mutating func tools(
        at start: Int,
        hasSystem: Bool,
        choice: Int,
        _ body: Span<UInt8>
    ) throws(ScanError) {
        isExact = false
        feed.add(ToolFraming.definitionsTokens - (hasSystem ? ToolFraming.systemMessageSavingTokens : 0))
        var reader = JSONReader(isStrict: true, at: start)
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        feed.append("namespace functions {\n\n")
        var isFirst = true
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            var definition = reader.index
            try reader.skip(body)
            let nested = try Self.member("function", at: definition, body)
            if nested > 0 { definition = nested }
            try function(at: definition, body)
        }
        feed.append("} // namespace functions")
        feed.finish()
        try toolChoice(at: choice, body)
    }

    private mutating func toolChoice(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        if let word = try Self.string(at: start, body) {
            if word.equals("none", in: body) { feed.add(ToolFraming.noneChoiceTokens) }
            return
        }
        let nested = try Self.member("function", at: start, body)
        let name = try Self.member("name", at: nested > 0 ? nested : start, body)
        guard let name = try Self.string(at: name, body) else { return }
        feed.add(ToolFraming.namedChoiceTokens)
        feed.count(name, in: body)
    }

    private mutating func function(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        if let text = try Self.string(at: try Self.member("description", at: start, body), body), text.count > 0 {
            feed.append("// ")
            feed.append(text, in: body)
            feed.append("\n")
        }
        feed.append("type ")
        if let name = try Self.string(at: try Self.member("name", at: start, body), body) {
            feed.append(name, in: body)
        }
        let parameters = try Self.member("parameters", at: start, body)
        let schema = try SchemaObject(at: parameters, body)
        if schema.hasProperties {
            feed.append(" = (_: {\n")
            try properties(schema, indent: 0, body)
            feed.append("\n}) => any;\n\n")
        } else {
            feed.append(" = () => any;\n\n")
        }
    }

    /// The properties of an object, joined by line feeds.
    private mutating func properties(
        _ schema: SchemaObject,
        indent: Int,
        _ body: Span<UInt8>
    ) throws(ScanError) {
        guard schema.properties > 0 else { return }
        let required = try RequiredNames(at: schema.required, body)
        var reader = JSONReader(isStrict: true, at: schema.properties)
        guard try Self.enter(&reader, UInt8(ascii: "{"), body) else { return }
        var isFirst = true
        var isFirstLine = true
        while !feed.isOverLimit, let key = try reader.nextKey(body, isFirst: &isFirst) {
            _ = reader.peek(body)
            let property = try SchemaObject(at: reader.index, body)
            try reader.skip(body)
            if !isFirstLine { feed.append("\n") }
            isFirstLine = false
            if indent < 2, let text = try Self.string(at: property.description, body), text.count > 0 {
                feed.append(blanks: indent)
                feed.append("// ")
                feed.append(text, in: body)
                feed.append("\n")
            }
            feed.append(blanks: indent)
            feed.append(key, in: body)
            feed.append(required.contains(key, body) ? ": " : "?: ")
            try type(property, indent: indent, body)
            feed.append(",")
        }
    }

    /// A type; recursion is bounded by the reader's depth.
    private mutating func type(_ schema: SchemaObject, indent: Int, _ body: Span<UInt8>) throws(ScanError) {
        if schema.anyOf > 0 {
            return try list(at: schema.anyOf, body) { reader, start throws(ScanError) in
                try reader.type(try SchemaObject(at: start, body), indent: indent, body)
            }
        }
        switch schema.kind {
        case .string, .number:
            if schema.values > 0 {
                try list(at: schema.values, body) { reader, start throws(ScanError) in
                    try reader.value(at: start, body)
                }
            } else {
                feed.append(schema.kind == .string ? "string" : "number")
            }
        case .boolean: feed.append("boolean")
        case .null: feed.append("null")
        case .array:
            if schema.items > 0 {
                try type(try SchemaObject(at: schema.items, body), indent: indent, body)
                feed.append("[]")
            } else {
                feed.append("any[]")
            }
        case .object:
            feed.append("{\n")
            try properties(schema, indent: indent + 2, body)
            feed.append("\n}")
        case .any: feed.append("any")
        }
    }

    /// Elements joined by ` | `.
    private mutating func list(
        at start: Int,
        _ body: Span<UInt8>,
        _ element: (inout PromptReader, Int) throws(ScanError) -> Void
    ) throws(ScanError) {
        var reader = JSONReader(isStrict: true, at: start)
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        var isFirst = true
        var count = 0
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            if count > 0 { feed.append(" | ") }
            count += 1
            _ = reader.peek(body)
            let start = reader.index
            try reader.skip(body)
            try element(&self, start)
        }
    }

    /// An enum's value: a string in quotes, anything else as written.
    private mutating func value(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        if let text = try Self.string(at: start, body) {
            feed.append("\"")
            feed.append(text, in: body)
            return feed.append("\"")
        }
        try compact(at: start, body)
    }
}
