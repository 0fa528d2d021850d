// Chat completions, legacy completions, embeddings and Responses: WIRE §2 and §3.

extension AnswerReading {
    /// Reads a chunk, or a whole answer, which has the same members.
    mutating func readChat(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            switch key.decodedCount {
            case 5 where key.equals("usage", in: data):
                if let told = try reader.usage(data) { replaceUsage(told) }
            case 5 where key.equals("model", in: data):
                note(model: try reader.stringOrSkip(data), in: data)
            case 5 where key.equals("error", in: data):
                try readError(data, &reader)
            case 7 where key.equals("choices", in: data):
                try readChoices(data, &reader)
            default:
                try reader.skip(data)
            }
        }
    }

    private mutating func readChoices(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        guard reader.peek(data) == UInt8(ascii: "[") else { return try reader.skip(data) }
        try reader.enterContainer()
        var isFirst = true
        var position = 0
        while try reader.nextElement(data, isFirst: &isFirst) {
            if reader.peek(data) == UInt8(ascii: "{") {
                try readChoice(data, &reader, position: position)
            } else {
                try reader.skip(data)
            }
            position += 1
        }
    }

    private mutating func readChoice(
        _ data: Span<UInt8>,
        _ reader: inout JSONReader,
        position: Int
    ) throws(ScanError) {
        try reader.enterContainer()
        var index = position
        var finishReason: JSONString?
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            switch key.decodedCount {
            case 5 where key.equals("index", in: data):
                if case .some(.value(let told)) = try reader.count(data) { index = told }
            case 13 where key.equals("finish_reason", in: data):
                finishReason = try reader.stringOrSkip(data)
            case 5 where key.equals("delta", in: data), 7 where key.equals("message", in: data),
                4 where key.equals("text", in: data):
                try readText(data, &reader)
            default:
                try reader.skip(data)
            }
        }
        note(choice: index, finishReason: finishReason, in: data)
    }

    /// Reads an event of a Responses stream, or a response, which is told apart by its members.
    mutating func readResponses(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var event = ResponseEvent()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            switch key.decodedCount {
            case 4 where key.equals("type", in: data):
                event.type = try reader.stringOrSkip(data)
            case 4 where key.equals("code", in: data):
                event.code = try reader.stringOrSkip(data)
            case 4 where key.equals("item", in: data) && isEventStream:
                var measure = OutputMeasure()
                try reader.value(data, visiting: &measure)
                event.itemBytes = measure.bytes
            case 5 where key.equals("delta", in: data):
                try readText(data, &reader)
            case 8 where key.equals("response", in: data) && reader.peek(data) == UInt8(ascii: "{"):
                event.hasResponse = true
                try reader.enterContainer()
                var isFirst = true
                while let key = try reader.nextKey(data, isFirst: &isFirst) {
                    try readResponseMember(key, data, &reader, &event)
                }
            case 15 where key.equals("sequence_number", in: data):
                if case .some(.value(let number)) = try reader.count(data) { sequenceNumber = number }
            default:
                if isEventStream {
                    try reader.skip(data)
                } else {
                    event.hasResponse = true
                    try readResponseMember(key, data, &reader, &event)
                }
            }
        }
        take(event, in: data)
    }

    /// What an event says; judged when its type is known, which may come last.
    private struct ResponseEvent {
        var type: JSONString?
        var code: JSONString?
        var status: JSONString?
        var incompleteReason: JSONString?
        var usage: RawUsage?
        var itemBytes = 0
        var hasResponse = false
    }

    private mutating func readResponseMember(
        _ key: JSONString,
        _ data: Span<UInt8>,
        _ reader: inout JSONReader,
        _ event: inout ResponseEvent
    ) throws(ScanError) {
        switch key.decodedCount {
        case 5 where key.equals("usage", in: data):
            event.usage = try reader.usage(data)
        case 5 where key.equals("model", in: data):
            note(model: try reader.stringOrSkip(data), in: data)
        case 5 where key.equals("error", in: data):
            try readError(data, &reader)
        case 6 where key.equals("status", in: data):
            event.status = try reader.stringOrSkip(data)
        case 6 where key.equals("output", in: data) && !isEventStream:
            try readText(data, &reader)  // in a stream the deltas have told it already
        case 18 where key.equals("incomplete_details", in: data) && reader.peek(data) == UInt8(ascii: "{"):
            try reader.enterContainer()
            var isFirst = true
            while let key = try reader.nextKey(data, isFirst: &isFirst) {
                let value = try reader.stringOrSkip(data)
                if key.equals("reason", in: data) { event.incompleteReason = value }
            }
        default:
            try reader.skip(data)
        }
    }

    private mutating func take(_ event: ResponseEvent, in data: Span<UInt8>) {
        if let usage = event.usage { replaceUsage(usage) }
        // An item begins with what no delta tells, such as a function's name, and is repeated whole when it is done.
        if let type = event.type, type.equals("response.output_item.added", in: data) {
            outputTextBytes += event.itemBytes
        }
        let isDone = event.type.map { $0.equals("response.completed", in: data) } ?? false
        let isIncomplete = event.type.map { $0.equals("response.incomplete", in: data) } ?? false
        let isFailed = event.type.map { $0.equals("response.failed", in: data) } ?? false
        let isEnd = isDone || isIncomplete || isFailed || !isEventStream
        if event.hasResponse {
            let reason = event.incompleteReason ?? event.status
            note(choice: 0, finishReason: isEnd ? reason : nil, in: data)
        }
        if isDone || isIncomplete { hasEnded = true }
        if isFailed { note(error: nil, in: data) }
        if isEventStream, let type = event.type, type.equals("error", in: data) { note(error: event.code, in: data) }
    }
}
