// Takes out of a chat stream what Weir, not the client, has asked for: clients that index `choices[0]` break on the
// usage chunk. Everything else leaves byte for byte as it came (WIRE §2, "inject and strip", rules 3 to 7).

/// Filters one chat or completions stream whose client did not ask for usage.
public struct UsageStripper: Sendable {
    /// Bytes of one event that are held back to judge it.
    ///
    /// A longer event passes as it is.
    public static let maxHeldBytes = 1 << 20

    private var lines = EventLines()
    /// The bytes of the current event.
    private var held: [UInt8] = []
    /// Where the event's data stands in `held`, one entry per data line.
    private var data: [Range<Int>] = []
    private var beginsDataLine = true
    /// The current event is too long to be held.
    private var isPassing = false
    /// The last event ended with the last byte of a piece, a CR: a LF may follow that belongs to it.
    private var mayOweLineFeed = false
    private var hasDroppedLast = false

    /// Makes a stripper for one stream.
    ///
    /// Allocates nothing yet.
    public init() {}

    /// Bytes that are held back now.
    public var heldByteCount: Int { held.count }

    /// Passes bytes on, less the usage.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the body, identity-coded.
    ///   - output: what may be sent now is appended here.
    public mutating func filter(_ bytes: Span<UInt8>, into output: inout [UInt8]) {
        var index = 0
        var kept = 0  // bytes before this are in `held` or sent
        if mayOweLineFeed, bytes.count > 0 {
            mayOweLineFeed = false
            if bytes[0] == 0x0a {
                _ = lines.next(bytes, from: &index)
                if !hasDroppedLast { output.append(0x0a) }
                kept = 1
            }
        }
        while index < bytes.count {
            switch lines.next(bytes, from: &index) {
            case .data(let start, let end):
                addData(from: held.count + start - kept, to: held.count + end - kept)
            case .lineFeed:
                beginsDataLine = true
            case .event:
                let endsWithCarriageReturn = bytes[index - 1] == 0x0d
                if endsWithCarriageReturn, index < bytes.count, bytes[index] == 0x0a {
                    _ = lines.next(bytes, from: &index)
                }
                mayOweLineFeed = endsWithCarriageReturn && index == bytes.count
                hold(bytes, from: kept, to: index, into: &output)
                kept = index
                endEvent(into: &output)
            case .other:
                break
            }
        }
        hold(bytes, from: kept, to: bytes.count, into: &output)
    }

    /// Ends the stream: judges an event that was not closed by a blank line, and passes on what is left.
    ///
    /// - Parameter output: what is left is appended here.
    public mutating func finish(into output: inout [UInt8]) {
        endEvent(into: &output)
    }

    /// Forgets an event that was cut off, so that an event of our own can follow cleanly.
    public mutating func discardHeld() {
        held.removeAll(keepingCapacity: true)
        beginEvent()
    }

    private mutating func addData(from start: Int, to end: Int) {
        guard !isPassing else { return }
        if !beginsDataLine, let last = data.last, last.upperBound == start {
            data[data.count - 1] = last.lowerBound..<end
        } else {
            data.append(start..<end)
        }
        beginsDataLine = false
    }

    private mutating func hold(_ bytes: Span<UInt8>, from start: Int, to end: Int, into output: inout [UInt8]) {
        if !isPassing, held.count + end - start > Self.maxHeldBytes {
            isPassing = true
            output.append(contentsOf: held)
            held = []
            data = []
        }
        if isPassing {
            append(bytes, from: start, to: end, into: &output)
        } else {
            append(bytes, from: start, to: end, into: &held)
        }
    }

    private mutating func endEvent(into output: inout [UInt8]) {
        hasDroppedLast = false
        switch isPassing || data.isEmpty ? .keep : verdict() {
        case .keep:
            output.append(contentsOf: held)
        case .drop:
            hasDroppedLast = true
            keepComments(into: &output)
        case .cut(let cuts, let count):
            cut(cuts, count: count, into: &output)
        }
        held.removeAll(keepingCapacity: true)
        beginEvent()
    }

    private mutating func beginEvent() {
        _ = lines.takeEvent()
        data.removeAll(keepingCapacity: true)
        beginsDataLine = true
        isPassing = false
    }

    private func verdict() -> UsageCuts.Verdict {
        guard data.count > 1 else { return UsageCuts.judge(held.span.extracting(data[0])) }
        var joined: [UInt8] = []
        for (index, line) in data.enumerated() {
            if index > 0 { joined.append(0x0a) }
            joined.append(contentsOf: held[line])
        }
        return UsageCuts.judge(joined.span)
    }

    /// Sends the event without the cuts, which count in the joined data; line ends and other lines stay.
    private func cut(_ cuts: [4 of Range<Int>], count: Int, into output: inout [UInt8]) {
        var sent = 0
        var joined = 0  // where the line begins in the joined data
        for line in data {
            for index in 0..<count {
                let start = max(cuts[index].lowerBound - joined, 0) + line.lowerBound
                let end = min(cuts[index].upperBound - joined + line.lowerBound, line.upperBound)
                guard start < end else { continue }
                output.append(contentsOf: held[sent..<start])
                sent = end
            }
            joined += line.count + 1
        }
        output.append(contentsOf: held[sent...])
    }

    /// Comments keep connections alive and belong to no event, even when they stand directly before its data.
    private func keepComments(into output: inout [UInt8]) {
        var start = 0
        while start < held.count {
            var end = JSONBytes.lineEnd(held.span, from: start)
            if end < held.count { end += held[end] == 0x0d && end + 1 < held.count && held[end + 1] == 0x0a ? 2 : 1 }
            if held[start] == UInt8(ascii: ":") { output.append(contentsOf: held[start..<end]) }
            start = end
        }
    }
}

/// Finds the `usage` members of a chunk.
enum UsageCuts {
    /// What to do with an event.
    enum Verdict {
        case keep
        /// It has nothing but usage.
        case drop
        /// So many places to take out, in order.
        case cut([4 of Range<Int>], count: Int)
    }

    /// Judges an event's data.
    ///
    /// What is no JSON object is kept.
    static func judge(_ data: Span<UInt8>) -> Verdict {
        do throws(ScanError) {
            return try find(data)
        } catch {
            return .keep
        }
    }

    private static func find(_ data: Span<UInt8>) throws(ScanError) -> Verdict {
        var reader = JSONReader(isStrict: false)
        guard reader.peek(data) == UInt8(ascii: "{") else { return .keep }
        try reader.enterContainer()
        var cuts: [4 of Range<Int>] = .init(repeating: 0..<0)
        var count = 0
        var hasUsage = false
        var hasNoChoices = false
        var keepsAny = false  // a member before this one stays
        var isFirst = true
        while let key = try reader.nextKey(data, isFirst: &isFirst) {
            let comma = reader.separatorOffset
            guard key.equals("usage", in: data), count < 4 else {
                if key.equals("choices", in: data) {
                    hasNoChoices = try skipsEmptyList(data, &reader)
                } else {
                    try reader.skip(data)
                }
                keepsAny = true
                continue
            }
            if reader.peek(data) != UInt8(ascii: "n") { hasUsage = true }
            try reader.skip(data)
            var end = reader.index
            // With members left on both sides one comma has to go: the one before, or the one after a first member.
            if !keepsAny, reader.peek(data) == UInt8(ascii: ",") { end = reader.index + 1 }
            cuts[count] = (keepsAny ? comma : key.start - 1)..<end
            count += 1
        }
        try reader.expectEnd(data)
        if hasUsage, hasNoChoices { return .drop }
        return count == 0 ? .keep : .cut(cuts, count: count)
    }

    /// Consumes a value and says whether it was `[]`.
    private static func skipsEmptyList(_ data: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) -> Bool {
        guard reader.peek(data) == UInt8(ascii: "[") else {
            try reader.skip(data)
            return false
        }
        try reader.enterContainer()
        var count = 0
        var isFirst = true
        while try reader.nextElement(data, isFirst: &isFirst) {
            try reader.skip(data)
            count += 1
        }
        return count == 0
    }
}
