// What has been understood of an answer so far. Each event is read whole or not at all, so that the outcome does not
// depend on how the bytes were split; the readers of the four formats stand in the files beside this one.

/// The state of a tap between two events.
struct AnswerReading: Sendable {
    /// Choices that are told apart at most; OpenAI allows 128.
    static let maxChoices = 128

    let format: WireFormat
    let isEventStream: Bool

    var usage = RawUsage()
    var hasUsage = false
    var model: [UInt8]?
    var finishReasons: [[UInt8]?] = []
    var events = 0
    var usageEvents = 0
    var outputTextBytes = 0
    var errorType: [UInt8]?
    var hasError = false
    /// The end's own mark came.
    var hasEnded = false
    /// The body of an answer that is no stream was complete.
    var isWhole = false
    var sequenceNumber = -1

    init(format: WireFormat, isEventStream: Bool) {
        self.format = format
        self.isEventStream = isEventStream
    }

    mutating func readDone() {
        events += 1
        if format == .openAIChat { hasEnded = true }
    }

    /// Reads an event's data.
    ///
    /// What is no valid JSON counts as an event and says nothing.
    mutating func readEvent(_ data: Span<UInt8>, elidedBytes: Int) {
        events += 1
        var copy = self
        do throws(ScanError) {
            var reader = JSONReader(isStrict: false)
            try copy.readValue(data, &reader)
            try reader.expectEnd(data)
            copy.note(elidedBytes: elidedBytes)
            self = copy
        } catch {
            return
        }
    }

    /// Reads JSON that stood in an event stream without `data:`; only an error is believed.
    mutating func readBareError(_ data: Span<UInt8>) {
        var copy = AnswerReading(format: format, isEventStream: true)
        copy.readEvent(data, elidedBytes: 0)
        guard copy.hasError else { return }
        hasError = true
        errorType = copy.errorType
    }

    /// Reads the body of an answer that is no event stream.
    mutating func readBody(_ data: Span<UInt8>, elidedBytes: Int) {
        var reader = JSONReader(isStrict: false)
        do throws(ScanError) {
            if reader.peek(data) == UInt8(ascii: "[") {
                try readElements(data, &reader)
            } else {
                var copy = self
                copy.events = 1
                try copy.readValue(data, &reader)
                self = copy
            }
            try reader.expectEnd(data)
            isWhole = true
            note(elidedBytes: elidedBytes)
        } catch {
            isWhole = false  // what was read before the fault stays: Gemini's array is sent element by element
        }
    }

    private mutating func readElements(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        while try reader.nextElement(data, isFirst: &isFirst) {
            var copy = self
            copy.events += 1
            try copy.readValue(data, &reader)
            self = copy
        }
    }

    private mutating func readValue(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        guard reader.peek(data) == UInt8(ascii: "{") else { return try reader.skip(data) }
        switch format {
        case .openAIChat: try readChat(data, &reader)
        case .openAIResponses: try readResponses(data, &reader)
        case .anthropic: try readAnthropic(data, &reader)
        case .gemini: try readGemini(data, &reader)
        }
    }

    func result(gaveUp: Bool) -> TapResult {
        TapResult(
            usage: hasUsage ? usage.normalised(format) : nil,
            ended: ended,
            model: model,
            finishReasons: finishReasons,
            events: events,
            usageEvents: usageEvents,
            outputTextBytes: outputTextBytes,
            errorType: errorType,
            gaveUp: gaveUp
        )
    }

    private var ended: StreamEnd {
        if hasError { return .error }
        if hasEnded { return .proper }
        let isFinished = !finishReasons.isEmpty && finishReasons.allSatisfy { $0 != nil }
        if format == .gemini {
            return isFinished && (isEventStream || isWhole) ? .proper : .truncated
        }
        if !isEventStream { return isWhole ? .proper : .truncated }
        return isFinished ? .noMarker : .truncated
    }

    // MARK: Shared by the formats

    /// Takes a usage as the last word.
    mutating func replaceUsage(_ told: RawUsage) {
        usage = told
        hasUsage = true
        usageEvents += 1
    }

    /// Counts what was left out of long strings as text that the model wrote: a picture or a vector is over-
    /// estimated, but an answer with one has its usage.
    ///
    /// The last event of a Responses stream only repeats what the deltas told.
    mutating func note(elidedBytes: Int) {
        guard format != .openAIResponses || !isEventStream else { return }
        outputTextBytes += elidedBytes
    }

    /// Takes what a usage tells over what was told before.
    mutating func mergeUsage(_ told: RawUsage) {
        usage.merge(told)
        hasUsage = true
        usageEvents += 1
    }

    /// The first name that is not empty counts; Azure's first chunk has an empty one.
    mutating func note(model name: JSONString?, in data: Span<UInt8>) {
        guard model == nil, let name, name.count > 0, name.count <= ParsedRequest.maxModelBytes else { return }
        model = name.decoded(in: data)
    }

    /// Makes a choice known, and why it ended.
    mutating func note(choice index: Int, finishReason: JSONString?, in data: Span<UInt8>) {
        guard index >= 0, index < Self.maxChoices else { return }
        while finishReasons.count <= index { finishReasons.append(nil) }
        guard let finishReason, finishReason.count <= 64 else { return }
        finishReasons[index] = finishReason.decoded(in: data)
    }

    mutating func note(error type: JSONString?, in data: Span<UInt8>) {
        hasError = true
        if errorType == nil, let type, type.count <= 64 { errorType = type.decoded(in: data) }
    }

    /// Consumes the value of an `error` member: any object with members, or text, is an error.
    mutating func readError(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        let byte = reader.peek(data)
        guard byte == UInt8(ascii: "{") else {
            let start = reader.index
            try reader.skip(data)
            // null, false, 0, "", []: not an error to the SDKs either, which ask for truth.
            let length = reader.index - start
            let isEmpty = byte == UInt8(ascii: "n") || byte == UInt8(ascii: "f") || byte == UInt8(ascii: "0")
            if !isEmpty, length > 2 { note(error: nil, in: data) }
            return
        }
        try reader.enterContainer()
        var isFirst = true
        var type: JSONString?
        var code: JSONString?
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            if key.equals("type", in: data) {
                type = try reader.stringOrSkip(data)
            } else if key.equals("code", in: data) {
                code = try reader.stringOrSkip(data)
            } else if key.equals("status", in: data) {
                type = try reader.stringOrSkip(data) ?? type
            } else {
                try reader.skip(data)
            }
        }
        if !isFirst { note(error: type ?? code, in: data) }
    }

    /// Consumes a value and adds the text that the model wrote in it.
    mutating func readText(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        var measure = OutputMeasure()
        try reader.value(data, visiting: &measure)
        outputTextBytes += measure.bytes
    }
}

/// Sums the strings of an answer that a model wrote; names, ids and signatures are the provider's.
struct OutputMeasure: JSONVisitor {
    private(set) var bytes = 0
    private var isText = true

    mutating func visit(key: JSONString, in text: Span<UInt8>) {
        func has(_ name: StaticString) -> Bool { key.equals(name, in: text) }
        switch key.decodedCount {
        case 2 where has("id"), 4 where has("role"), 4 where has("type"), 6 where has("object"),
            6 where has("status"), 6 where has("format"), 7 where has("call_id"), 7 where has("item_id"),
            9 where has("signature"), 16 where has("thoughtSignature"), 17 where has("encrypted_content"):
            isText = false
        default: isText = true
        }
    }

    mutating func visit(string: JSONString, in text: Span<UInt8>) {
        if isText { bytes += string.decodedCount }
    }

    mutating func visit(scalarCount: Int, isNumber: Bool) {}
    mutating func open(isObject: Bool) { isText = true }
    mutating func close(isObject: Bool) {}
    mutating func separate() {}
}
