// The one pass over a request body. Known members have their own small readers, one per shape of WIRE §2 to §4; every
// other value is walked, so that the whole text is validated. Shapes that an API does not document are refused here
// rather than guessed at: what policy judged must be what the provider reads.

/// Members of the document that policy reads, or that are known to be no prompt text.
private enum Member {
    case model
    case stream
    case streamOptions
    case messages
    case input
    case prompt
    case tools
    case maxTokens
    case maxCompletionTokens
    case maxOutputTokens
    case choices
    case bestOf
    case user
    case metadata
    case background
    case serverState
    case noText
    case text

    /// Costs a comparison of lengths and at most two of bytes.
    @inline(__always)
    init(_ key: JSONString, in body: Span<UInt8>) {
        func has(_ name: StaticString) -> Bool { key.equals(name, in: body) }
        self = .text
        switch key.decodedCount {
        case 1 where has("n"): self = .choices
        case 4 where has("user"): self = .user
        case 4 where has("stop"): self = .noText
        case 5 where has("model"): self = .model
        case 5 where has("tools"): self = .tools
        case 5 where has("input"): self = .input
        case 6 where has("stream"): self = .stream
        case 6 where has("prompt"): self = .prompt
        case 7 where has("best_of"): self = .bestOf
        case 8 where has("messages"): self = .messages
        case 8 where has("metadata"): self = .metadata
        case 9 where has("functions"): self = .tools
        case 10 where has("max_tokens"): self = .maxTokens
        case 10 where has("logit_bias"): self = .noText
        case 10 where has("background"): self = .background
        case 12 where has("conversation"): self = .serverState
        case 12 where has("service_tier"): self = .noText
        case 14 where has("stream_options"): self = .streamOptions
        case 15 where has("encoding_format"): self = .noText
        case 16 where has("prompt_cache_key"), 16 where has("reasoning_effort"): self = .noText
        case 17 where has("max_output_tokens"): self = .maxOutputTokens
        case 17 where has("safety_identifier"): self = .noText
        case 20 where has("previous_response_id"): self = .serverState
        case 21 where has("max_completion_tokens"): self = .maxCompletionTokens
        default: break
        }
    }
}

/// The state of one scan; lives on the stack.
struct RequestScanner {
    private var reader = JSONReader(isStrict: true)
    private var keys = KeyTable()
    private var measure = PromptMeasure()
    private var request: ParsedRequest
    private let endpoint: Endpoint
    private var choiceCount = 1
    private var promptCount = 1
    /// Whether `outputCap` came from the member that rules.
    private var hasRulingCap = false

    init(endpoint: Endpoint, byteCount: Int) {
        self.endpoint = endpoint
        request = ParsedRequest(endpoint: endpoint, byteCount: byteCount)
    }

    mutating func scan(_ body: Span<UInt8>) throws(ScanError) -> ParsedRequest {
        guard body.count <= Int(Int32.max) else { throw ScanError(.tooLarge, at: 0) }
        guard reader.peek(body) == UInt8(ascii: "{") else {
            // What is no JSON at all is told so; what is JSON, but no object, too.
            try reader.skip(body)
            try reader.expectEnd(body)
            throw ScanError(.notAnObject, at: 0)
        }
        try reader.enterContainer()
        request.usageEditStart = Int32(reader.index)
        request.usageEditEnd = request.usageEditStart
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            try keys.insert(key, in: body, base: 0)
            try member(Member(key, in: body), body)
        }
        try reader.expectEnd(body)
        guard request.model != nil else { throw ScanError(.missingModel, at: 0) }
        request.promptBytes = measure.bytes + request.tokenIDCount
        request.imageCount = measure.imageCount
        request.choices = choiceCount * (endpoint == .completions ? max(promptCount, 1) : 1)
        return request
    }

    @inline(__always)
    private mutating func member(_ member: Member, _ body: Span<UInt8>) throws(ScanError) {
        switch member {
        case .model: try model(body)
        case .stream: request.stream = try flag(body)
        case .streamOptions: try streamOptions(body)
        case .messages: try messages(body)
        case .input: try inputs(body, areOurs: endpoint == .embeddings || endpoint == .responses)
        case .prompt: try inputs(body, areOurs: endpoint == .completions)
        case .tools: try tools(body)
        case .maxTokens: try cap(body, isRead: endpoint != .responses && endpoint != .embeddings, rules: false)
        case .maxCompletionTokens: try cap(body, isRead: endpoint == .chatCompletions, rules: true)
        case .maxOutputTokens: try cap(body, isRead: endpoint == .responses, rules: true)
        case .choices: try choices(body, isRead: endpoint == .chatCompletions || endpoint == .completions)
        case .bestOf: try choices(body, isRead: endpoint == .chatCompletions || endpoint == .completions)
        case .user: try user(body)
        case .metadata: try metadata(body)
        case .background:
            guard endpoint == .responses else { return try reader.skip(body) }
            request.isBackground = try flag(body)
        case .serverState:
            if reader.peek(body) != UInt8(ascii: "n") { request.usesServerState = endpoint == .responses }
            try reader.skip(body)
        case .noText: try reader.skip(body)
        case .text: try text(body)
        }
    }

    // MARK: Scalars

    private mutating func model(_ body: Span<UInt8>) throws(ScanError) {
        let byte = reader.peek(body)
        guard byte == UInt8(ascii: "\"") else { throw wrongType(body, byte) }
        let name = try reader.string(body)
        guard name.decodedCount > 0, name.decodedCount <= ParsedRequest.maxModelBytes else {
            throw ScanError(.badModel, at: name.start)
        }
        if name.hasEscapes {
            for byte in name.decoded(in: body) where byte < 0x20 || byte == 0x7f {
                throw ScanError(.badModel, at: name.start)
            }
        } else {
            for index in name.start..<name.end where body[index] == 0x7f { throw ScanError(.badModel, at: index) }
        }
        request.model = name.slice
    }

    /// True, false, or null for false.
    private mutating func flag(_ body: Span<UInt8>) throws(ScanError) -> Bool {
        let byte = reader.peek(body)
        guard byte == UInt8(ascii: "t") || byte == UInt8(ascii: "f") || byte == UInt8(ascii: "n") else {
            throw wrongType(body, byte)
        }
        try reader.literal(body)
        return byte == UInt8(ascii: "t")
    }

    /// What to say of a value that is not of the type needed; of no value at all, the reader's word counts.
    private func wrongType(_ body: Span<UInt8>, _ byte: UInt8) -> ScanError {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "-"), UInt8(ascii: "t"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            ScanError(.wrongType, at: reader.index)
        default:
            reader.unexpected(body)
        }
    }

    /// A count, or nil for null.
    private mutating func number(_ body: Span<UInt8>, atMost bound: Int) throws(ScanError) -> Int? {
        let byte = reader.peek(body)
        let start = reader.index
        guard byte == UInt8(ascii: "-") || byte == UInt8(ascii: "n") || byte &- UInt8(ascii: "0") < 10 else {
            throw wrongType(body, byte)
        }
        switch try reader.count(body, atMost: bound) {
        case .none: return nil
        case .some(.value(let value)): return value
        case .some(.unusable): throw ScanError(.numberOutOfRange, at: start)
        }
    }

    private mutating func cap(_ body: Span<UInt8>, isRead: Bool, rules: Bool) throws(ScanError) {
        guard isRead else { return try reader.skip(body) }
        guard let value = try number(body, atMost: JSONCount.largest) else { return }
        if rules || !hasRulingCap { request.outputCap = value }
        hasRulingCap = hasRulingCap || rules
    }

    private mutating func choices(_ body: Span<UInt8>, isRead: Bool) throws(ScanError) {
        guard isRead else { return try reader.skip(body) }
        let start = reader.index
        guard let value = try number(body, atMost: ParsedRequest.maxChoices) else { return }
        guard value >= 1 else { throw ScanError(.numberOutOfRange, at: start) }
        choiceCount = max(choiceCount, value)
    }

    private mutating func user(_ body: Span<UInt8>) throws(ScanError) {
        if let name = try reader.stringOrSkip(body), endpoint != .messages { request.user = name.slice }
    }

    // MARK: Objects

    private mutating func streamOptions(_ body: Span<UInt8>) throws(ScanError) {
        let byte = reader.peek(body)
        request.usageEditStart = Int32(reader.index)
        if byte == UInt8(ascii: "n") {
            try reader.literal(body)
            request.usageEditEnd = Int32(reader.index)
            request.usageEdit = .object
            return
        }
        guard byte == UInt8(ascii: "{") else { throw wrongType(body, byte) }
        try reader.enterContainer()
        request.usageEditStart = Int32(reader.index)
        request.usageEditEnd = Int32(reader.index)
        request.usageEdit = .onlyOption
        let base = keys.enter()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            try keys.insert(key, in: body, base: base)
            guard key.equals("include_usage", in: body) else {
                try reader.skip(body)
                if request.usageEdit == .onlyOption { request.usageEdit = .firstOption }
                continue
            }
            _ = reader.peek(body)
            request.usageEditStart = Int32(reader.index)
            request.includesUsage = try flag(body)
            request.usageEditEnd = Int32(reader.index)
            request.usageEdit = request.includesUsage ? .none : .value
        }
        keys.leave(base)
    }

    private mutating func metadata(_ body: Span<UInt8>) throws(ScanError) {
        guard reader.peek(body) == UInt8(ascii: "{") else { return try reader.skip(body) }
        let start = reader.index
        try reader.enterContainer()
        let base = keys.enter()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            try keys.insert(key, in: body, base: base)
            let value = try reader.stringOrSkip(body)
            if endpoint == .messages, let value, key.equals("user_id", in: body) { request.user = value.slice }
        }
        keys.leave(base)
        request.metadata = JSONSlice(start: Int32(start), count: Int32(reader.index - start), hasEscapes: false)
    }

    private mutating func tools(_ body: Span<UInt8>) throws(ScanError) {
        let byte = reader.peek(body)
        let start = measure.bytes
        guard byte == UInt8(ascii: "[") || byte == UInt8(ascii: "n") else { throw wrongType(body, byte) }
        try reader.value(body, visiting: &measure)
        // An empty list measures its two brackets.
        if byte == UInt8(ascii: "["), measure.bytes > start + 2 { request.hasTools = true }
    }

    // MARK: Prompt text

    /// Text in a shape that needs no reading.
    ///
    /// Numbers and literals outside containers are settings, not text.
    private mutating func text(_ body: Span<UInt8>) throws(ScanError) {
        switch reader.peek(body) {
        case UInt8(ascii: "\""): measure.add(try reader.string(body).decodedCount)
        case UInt8(ascii: "{"), UInt8(ascii: "["): try reader.value(body, visiting: &measure)
        default: try reader.skip(body)
        }
    }

    private mutating func messages(_ body: Span<UInt8>) throws(ScanError) {
        let byte = reader.peek(body)
        guard byte == UInt8(ascii: "[") else {
            guard byte == UInt8(ascii: "n") else { throw wrongType(body, byte) }
            return try reader.literal(body)
        }
        try reader.enterContainer()
        var count = 0
        var isFirst = true
        while try reader.nextElement(body, isFirst: &isFirst) {
            let byte = reader.peek(body)
            guard byte == UInt8(ascii: "{") else { throw wrongType(body, byte) }
            try message(body)
            count += 1
        }
        if endpoint == .chatCompletions || endpoint == .messages { request.messageCount = count }
    }

    /// A message or an item of `input`.
    private mutating func message(_ body: Span<UInt8>) throws(ScanError) {
        try reader.enterContainer()
        let base = keys.enter()
        var isFirst = true
        measure.isInMessage = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            try keys.insert(key, in: body, base: base)
            try text(body)
        }
        measure.isInMessage = false
        keys.leave(base)
    }

    /// `input` and `prompt`: a string, strings, token ids, lists of token ids, or items; an object for a template.
    private mutating func inputs(_ body: Span<UInt8>, areOurs: Bool) throws(ScanError) {
        let byte = reader.peek(body)
        var count = 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "{"):
            try text(body)
        case UInt8(ascii: "["):
            count = try inputList(body)
        case UInt8(ascii: "n"):
            try reader.literal(body)
            count = 0
        default:
            throw wrongType(body, byte)
        }
        guard areOurs else { return }
        request.messageCount = count
        if endpoint == .completions { promptCount = min(count, ParsedRequest.maxChoices) }
    }

    private mutating func inputList(_ body: Span<UInt8>) throws(ScanError) -> Int {
        try reader.enterContainer()
        var count = 0
        let idsBefore = request.tokenIDCount
        var isFirst = true
        while try reader.nextElement(body, isFirst: &isFirst) {
            let byte = reader.peek(body)
            switch byte {
            case UInt8(ascii: "\""): measure.add(try reader.string(body).decodedCount)
            case UInt8(ascii: "{"): try message(body)
            case UInt8(ascii: "["): try tokenIDs(body)
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                _ = try reader.number(body)
                request.tokenIDCount += 1
                continue
            default: throw wrongType(body, byte)
            }
            count += 1
        }
        // A flat list of ids is one text.
        return count == 0 && request.tokenIDCount > idsBefore ? 1 : count
    }

    private mutating func tokenIDs(_ body: Span<UInt8>) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        while try reader.nextElement(body, isFirst: &isFirst) {
            let byte = reader.peek(body)
            guard byte == UInt8(ascii: "-") || byte &- UInt8(ascii: "0") < 10 else { throw wrongType(body, byte) }
            _ = try reader.number(body)
            request.tokenIDCount += 1
        }
    }
}
