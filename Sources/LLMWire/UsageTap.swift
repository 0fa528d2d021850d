// Reads what an answer cost while its bytes pass to the client: it copies one event at a time, alters nothing, and when
// it does not understand, it says "unknown" and lets the caller estimate.

/// How an answer ended.
public enum StreamEnd: UInt8, Sendable {
    /// With its own mark: `[DONE]`, `message_stop`, `response.completed`; for Gemini a finish reason; for a body that is
    /// no stream, complete JSON.
    case proper = 0
    /// The model finished, the mark did not come: billable in full.
    case noMarker = 1
    /// Cut off.
    case truncated = 2
    /// The provider told an error inside the answer.
    case error = 3
}

/// What a tap knows when the answer has ended.
public struct TapResult: Sendable, Equatable {
    /// The counts that were told last; nil when none, or none that can be believed.
    public var usage: TokenUsage?
    /// How the answer ended.
    public var ended: StreamEnd
    /// The model that answered, as the provider spells it.
    public var model: [UInt8]?
    /// Why each choice ended, as the provider spells it; nil for a choice that did not.
    ///
    /// Responses: the status, or why it is incomplete.
    public var finishReasons: [[UInt8]?]
    /// Events with data, `[DONE]` among them; elements of Gemini's array.
    public var events: Int
    /// Events with a usage that is not null.
    public var usageEvents: Int
    /// Bytes of text that the model wrote, tool arguments and visible reasoning included: an estimate's ground.
    public var outputTextBytes: Int
    /// Type or code of the error told inside the answer.
    public var errorType: [UInt8]?
    /// Whether something was too long to be looked at, so that the usage may have passed unseen.
    public var gaveUp: Bool
}

/// Observes one answer, whatever pieces it comes in.
public struct UsageTap: Sendable {
    /// Bytes of one event, or of a JSON body, that are looked at, not counting the middles of long strings and rows of
    /// numbers, which are left out of anything over 64 KiB.
    public static let maxLookedAtBytes = 1 << 20

    private var reading: AnswerReading
    private var lines = EventLines()
    private let isEventStream: Bool
    private var gaveUp = false
    /// The data of the current event, or the body.
    private var data = AnswerBuffer()

    /// Makes a tap for one answer.
    ///
    /// Allocates nothing yet.
    ///
    /// - Parameters:
    ///   - format: the shape of the answer.
    ///   - isEventStream: whether it is `text/event-stream`, told by the answer's content type and not by the request.
    public init(format: WireFormat, isEventStream: Bool) {
        reading = AnswerReading(format: format, isEventStream: isEventStream)
        self.isEventStream = isEventStream
    }

    /// Whether what has passed ends between two events, so that an event of our own may follow.
    public var isAtEventBoundary: Bool { lines.isAtEventBoundary }

    /// The last `sequence_number` of a Responses stream, for an event of our own; -1 when there was none.
    public var lastSequenceNumber: Int { reading.sequenceNumber }

    /// Looks at bytes on their way.
    ///
    /// Costs a copy of the data and one pass over each event.
    ///
    /// - Parameter bytes: the next bytes of the body, identity-coded; borrowed for the call.
    public mutating func observe(_ bytes: Span<UInt8>) {
        guard isEventStream else {
            data.append(bytes, from: 0, to: bytes.count)
            return
        }
        var index = 0
        while index < bytes.count {
            switch lines.next(bytes, from: &index) {
            case .data(let start, let end): data.append(bytes, from: start, to: end)
            case .lineFeed: data.append(0x0a)
            case .event: endEvent(isComplete: true)
            case .other: break
            }
        }
    }

    /// Ends the answer: the body is over, cut off or abandoned.
    ///
    /// - Returns: what is known.
    public mutating func finish() -> TapResult {
        if isEventStream {
            endEvent(isComplete: false)
        } else {
            let body = data
            if body.isFull { gaveUp = true } else { reading.readBody(body.bytes.span, elidedBytes: body.elidedBytes) }
        }
        data = AnswerBuffer()
        return reading.result(gaveUp: gaveUp)
    }

    private mutating func endEvent(isComplete: Bool) {
        // Taken out and put back, so that its memory is used again for the next event.
        var event = AnswerBuffer()
        swap(&event, &data)
        gaveUp = gaveUp || event.isFull
        switch lines.takeEvent() {
        case .none: break
        case .bare: reading.readBareError(event.bytes.span)
        case .data:
            if event.bytes.count == 6, JSONBytes.begins(event.bytes.span, at: 0, with: "[DONE]") {
                reading.readDone()
            } else if isComplete {
                reading.readEvent(event.bytes.span, elidedBytes: event.elidedBytes)
            }
        }
        event.removeAll()
        swap(&event, &data)
    }
}
