// Gemini's own format: WIRE §5. Every chunk has cumulative counts, and the last wins.

extension AnswerReading {
    /// Reads a chunk, or a whole answer, which has the same members.
    mutating func readGemini(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            switch key.decodedCount {
            case 13 where key.equals("usageMetadata", in: data):
                if let told = try reader.usage(data) { replaceUsage(told) }
            case 12 where key.equals("modelVersion", in: data):
                note(model: try reader.stringOrSkip(data), in: data)
            case 5 where key.equals("error", in: data):
                try readError(data, &reader)
            case 10 where key.equals("candidates", in: data) && reader.peek(data) == UInt8(ascii: "["):
                try readCandidates(data, &reader)
            case 14 where key.equals("promptFeedback", in: data) && reader.peek(data) == UInt8(ascii: "{"):
                try readFeedback(data, &reader)
            default:
                try reader.skip(data)
            }
        }
    }

    private mutating func readCandidates(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        var position = 0
        while try reader.nextElement(data, isFirst: &isFirst) {
            if reader.peek(data) == UInt8(ascii: "{") {
                try readCandidate(data, &reader, position: position)
            } else {
                try reader.skip(data)
            }
            position += 1
        }
    }

    private mutating func readCandidate(
        _ data: Span<UInt8>,
        _ reader: inout JSONReader,
        position: Int
    ) throws(ScanError) {
        try reader.enterContainer()
        var index = position
        var finishReason: JSONString?
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            if key.equals("index", in: data) {
                if case .some(.value(let told)) = try reader.count(data) { index = told }
            } else if key.equals("finishReason", in: data) {
                finishReason = try reader.stringOrSkip(data)
            } else if key.equals("content", in: data) {
                try readText(data, &reader)
            } else {
                try reader.skip(data)
            }
        }
        note(choice: index, finishReason: finishReason, in: data)
    }

    /// A blocked prompt has no candidates; its reason stands for the finish reason.
    private mutating func readFeedback(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            let value = try reader.stringOrSkip(data)
            guard let value, value.count <= 64, key.equals("blockReason", in: data) else { continue }
            finishReasons = [Array("blocked:".utf8) + value.decoded(in: data)]
        }
    }
}
