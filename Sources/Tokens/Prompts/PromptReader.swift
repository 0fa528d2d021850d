// The state of counting one body, and the members that the formulas need: a first walk validates the document and notes
// where they stand, the formulas then go to them.

internal import LLMWire

/// Reads one body.
struct PromptReader {
    var feed: TextFeed
    let model: ModelProfile
    let endpoint: Endpoint
    /// Pictures' tokens, which no factor applies to.
    var pictureTokens = 0
    /// Whether nothing was met that is counted by guesswork.
    var isExact = true

    init(_ feed: consuming TextFeed, _ model: ModelProfile, _ endpoint: Endpoint) {
        self.feed = feed
        self.model = model
        self.endpoint = endpoint
    }

    /// Where the values of the document's members begin; 0 for none.
    struct Members {
        var messages = 0
        var functions = 0
        var tools = 0
        var choice = 0
        var responseFormat = 0
        var input = 0
        var instructions = 0
        var system = 0
        var prompt = 0
        var suffix = 0
        var text = 0
    }

    mutating func read(_ body: Span<UInt8>) throws(ScanError) {
        let members = try Self.members(body)
        switch endpoint {
        case .chatCompletions: try chat(members, body)
        case .responses: try responses(members, body)
        case .embeddings: try texts(at: members.input, body)
        case .completions:
            try texts(at: members.prompt, body)
            if members.suffix > 0 { try texts(at: members.suffix, body) }
        case .messages: try anthropic(members, body)
        }
    }

    private static func members(_ body: Span<UInt8>) throws(ScanError) -> Members {
        var members = Members()
        var reader = JSONReader(isStrict: true)
        guard reader.peek(body) == UInt8(ascii: "{") else { throw ScanError(.notAnObject, at: 0) }
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            let byte = reader.peek(body)
            let start = byte == UInt8(ascii: "n") ? 0 : reader.index
            try reader.skip(body)
            switch key.decodedCount {
            case 4 where key.equals("text", in: body): members.text = start
            case 5 where key.equals("tools", in: body): members.tools = start
            case 5 where key.equals("input", in: body): members.input = start
            case 6 where key.equals("system", in: body): members.system = start
            case 6 where key.equals("prompt", in: body): members.prompt = start
            case 6 where key.equals("suffix", in: body): members.suffix = start
            case 8 where key.equals("messages", in: body): members.messages = start
            case 9 where key.equals("functions", in: body): members.functions = start
            case 11 where key.equals("tool_choice", in: body): members.choice = start
            case 12 where key.equals("instructions", in: body): members.instructions = start
            case 13 where key.equals("function_call", in: body): members.choice = start
            case 15 where key.equals("response_format", in: body): members.responseFormat = start
            default: break
            }
        }
        try reader.expectEnd(body)
        return members
    }

    // MARK: Plain texts

    /// A string, strings, token ids, or lists of ids: what embeddings and legacy completions take.
    private mutating func texts(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        guard start > 0 else { return }
        var reader = JSONReader(isStrict: true, at: start)
        if reader.peek(body) == UInt8(ascii: "\"") { return feed.count(try reader.string(body), in: body) }
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        var isFirst = true
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            switch reader.peek(body) {
            case UInt8(ascii: "\""):
                feed.count(try reader.string(body), in: body)
            case UInt8(ascii: "["):
                try reader.enterContainer()
                var isFirstID = true
                while try reader.nextElement(body, isFirst: &isFirstID) {
                    feed.add(1)
                    try reader.skip(body)
                }
            default:
                feed.add(1)
                try reader.skip(body)
            }
        }
    }

    // MARK: Shared steps

    /// Enters a container of a kind; false, with the value skipped, if it is another.
    static func enter(_ reader: inout JSONReader, _ opening: UInt8, _ body: Span<UInt8>) throws(ScanError) -> Bool {
        guard reader.peek(body) == opening else {
            try reader.skip(body)
            return false
        }
        try reader.enterContainer()
        return true
    }

    /// The string at a place, or nil.
    static func string(at start: Int, _ body: Span<UInt8>) throws(ScanError) -> JSONString? {
        guard start > 0 else { return nil }
        var reader = JSONReader(isStrict: true, at: start)
        return try reader.stringOrSkip(body)
    }

    /// Where an object's member begins, or 0.
    static func member(_ name: StaticString, at start: Int, _ body: Span<UInt8>) throws(ScanError) -> Int {
        guard start > 0 else { return 0 }
        var reader = JSONReader(isStrict: true, at: start)
        guard try enter(&reader, UInt8(ascii: "{"), body) else { return 0 }
        var found = 0
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            if key.equals(name, in: body) {
                found = reader.peek(body) == UInt8(ascii: "n") ? 0 : reader.index
            }
            try reader.skip(body)
        }
        return found
    }

    /// Whether an array at a place has elements.
    static func hasElements(at start: Int, _ body: Span<UInt8>) throws(ScanError) -> Bool {
        guard start > 0 else { return false }
        var reader = JSONReader(isStrict: true, at: start)
        guard reader.peek(body) == UInt8(ascii: "[") else { return false }
        try reader.enterContainer()
        var isFirst = true
        return try reader.nextElement(body, isFirst: &isFirst)
    }

    /// How many elements the array at a place has; 0 for anything else.
    static func elementCount(at start: Int, _ body: Span<UInt8>) throws(ScanError) -> Int {
        var reader = JSONReader(isStrict: true, at: start)
        guard start > 0, try enter(&reader, UInt8(ascii: "["), body) else { return 0 }
        var count = 0
        var isFirst = true
        while try reader.nextElement(body, isFirst: &isFirst) {
            try reader.skip(body)
            count += 1
        }
        return count
    }

    // MARK: Content

    /// A message's content: a string, or parts of which each text is a text of its own.
    mutating func content(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        guard start > 0 else { return }
        var reader = JSONReader(isStrict: true, at: start)
        if reader.peek(body) == UInt8(ascii: "\"") { return feed.count(try reader.string(body), in: body) }
        guard try Self.enter(&reader, UInt8(ascii: "["), body) else { return }
        var isFirst = true
        while !feed.isOverLimit, try reader.nextElement(body, isFirst: &isFirst) {
            if reader.peek(body) == UInt8(ascii: "{") {
                try part(&reader, body)
            } else {
                try reader.skip(body)
            }
        }
    }

    /// One content part, of any of the APIs.
    private mutating func part(_ reader: inout JSONReader, _ body: Span<UInt8>) throws(ScanError) {
        var picture = 0
        var detail = 0
        var nested = 0
        var toolInput = 0
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            let byte = reader.peek(body)
            let start = byte == UInt8(ascii: "n") ? 0 : reader.index
            switch key.decodedCount {
            case 4 where key.equals("text", in: body), 7 where key.equals("refusal", in: body):
                if let text = try reader.stringOrSkip(body) { feed.count(text, in: body) }
                continue
            case 4 where key.equals("name", in: body):
                if let text = try reader.stringOrSkip(body) { feed.count(text, in: body) }
                continue
            case 5 where key.equals("input", in: body): toolInput = start
            case 6 where key.equals("source", in: body): picture = start
            case 6 where key.equals("detail", in: body): detail = start
            case 7 where key.equals("content", in: body): nested = start
            case 8 where key.equals("thinking", in: body):
                if let text = try reader.stringOrSkip(body) { feed.count(text, in: body) }
                continue
            case 9 where key.equals("image_url", in: body): picture = start
            case 4 where key.equals("type", in: body): break
            default: isExact = false
            }
            try reader.skip(body)
        }
        if picture > 0 { try self.picture(at: picture, detail: detail, body) }
        if toolInput > 0 {
            isExact = false
            try compact(at: toolInput, body)
            feed.finish()
        }
        if nested > 0 {
            isExact = false
            try content(at: nested, body)  // a tool result's parts, nested by as much as the document's depth allows
        }
    }

    /// Appends a value as JSON without white space, escapes other than the necessary ones decoded.
    mutating func compact(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        var reader = JSONReader(isStrict: true, at: start)
        try reader.skip(body)
        let end = reader.index
        var index = start
        while index < end, !feed.isOverLimit {
            switch body[index] {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
                index += 1
            case UInt8(ascii: "\""):
                var reader = JSONReader(isStrict: true, at: index)
                let string = try reader.string(body)
                feed.append("\"")
                feed.appendSpelled(string, in: body)
                feed.append("\"")
                index = reader.index
            default:
                feed.append(body, from: index, to: index + 1)
                index += 1
            }
        }
    }
}
