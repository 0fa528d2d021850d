// Anthropic Messages: WIRE §4. The counts of `message_delta` replace those of `message_start`, member by member.

extension AnswerReading {
    /// What an event says; judged when its type is known, which may come last.
    private struct MessageEvent {
        var type: JSONString?
        var usage: RawUsage?
        var startUsage: RawUsage?
        var stopReason: JSONString?
        var inputTokens: JSONCount?
    }

    /// Reads an event, a message, or the answer of `count_tokens`.
    mutating func readAnthropic(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var event = MessageEvent()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            switch key.decodedCount {
            case 4 where key.equals("type", in: data):
                event.type = try reader.stringOrSkip(data)
            case 5 where key.equals("usage", in: data):
                event.usage = try reader.usage(data)
            case 5 where key.equals("model", in: data):
                note(model: try reader.stringOrSkip(data), in: data)
            case 5 where key.equals("error", in: data):
                try readError(data, &reader)
            case 5 where key.equals("delta", in: data):
                try readDelta(data, &reader, &event)
            case 7 where key.equals("message", in: data):
                try readStart(data, &reader, &event)
            case 7 where key.equals("content", in: data), 13 where key.equals("content_block", in: data):
                try readText(data, &reader)
            case 11 where key.equals("stop_reason", in: data):
                event.stopReason = try reader.stringOrSkip(data)
            case 12 where key.equals("input_tokens", in: data):
                event.inputTokens = try reader.count(data)
            default:
                try reader.skip(data)
            }
        }
        take(event, in: data)
    }

    private mutating func readDelta(
        _ data: Span<UInt8>,
        _ reader: inout JSONReader,
        _ event: inout MessageEvent
    ) throws(ScanError) {
        guard reader.peek(data) == UInt8(ascii: "{") else { return try reader.skip(data) }
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            if key.equals("stop_reason", in: data) {
                event.stopReason = try reader.stringOrSkip(data)
            } else if key.equals("text", in: data) || key.equals("thinking", in: data)
                || key.equals("partial_json", in: data)
            {
                try readText(data, &reader)
            } else {
                try reader.skip(data)
            }
        }
    }

    private mutating func readStart(
        _ data: Span<UInt8>,
        _ reader: inout JSONReader,
        _ event: inout MessageEvent
    ) throws(ScanError) {
        guard reader.peek(data) == UInt8(ascii: "{") else { return try reader.skip(data) }
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            if key.equals("usage", in: data) {
                event.startUsage = try reader.usage(data)
            } else if key.equals("model", in: data) {
                note(model: try reader.stringOrSkip(data), in: data)
            } else {
                try reader.skip(data)
            }
        }
    }

    private mutating func take(_ event: MessageEvent, in data: Span<UInt8>) {
        func isType(_ name: StaticString) -> Bool { event.type?.equals(name, in: data) ?? false }
        if isType("message_start") {
            if let told = event.startUsage { replaceUsage(told) }
            note(choice: 0, finishReason: nil, in: data)
        } else if isType("message_delta") {
            if let told = event.usage { mergeUsage(told) }
            note(choice: 0, finishReason: event.stopReason, in: data)
        } else if isType("message_stop") {
            hasEnded = true
        } else if isType("message"), !isEventStream {
            if let told = event.usage { replaceUsage(told) }
            note(choice: 0, finishReason: event.stopReason, in: data)
        } else if isType("error") {
            note(error: nil, in: data)
        } else if !isEventStream, event.type == nil, let count = event.inputTokens {
            // count_tokens has no usage object and costs nothing; what it counts is input.
            var told = RawUsage()
            if case .value(let value) = count { told.input = .value(value) } else { told.input = .unusable }
            replaceUsage(told)
        }
    }
}
