// Splits server-sent events into lines and events, for pieces of any size: line ends may be LF, CR or CRLF, a CRLF may
// be split, a byte order mark may lead. Source: WHATWG HTML, "Parsing an event stream"; WIRE §7.

/// A place in an event stream.
///
/// Shared by the tap, which wants data, and the stripper, which wants boundaries.
struct EventLines {
    /// What the next bytes are.
    enum Piece {
        /// Contents of a data line; more pieces of the same line may follow.
        case data(start: Int, end: Int)
        /// Another data line of the same event begins: its predecessors end with a line feed.
        case lineFeed
        /// A blank line: the event is over.
        case event
        /// Nothing that carries data.
        case other
    }

    /// What an event was.
    enum Event {
        /// Comments and fields without data.
        case none
        /// It has data.
        case data
        /// JSON that stands in the stream without `data:`; Gemini's way to tell an error.
        case bare
    }

    private enum Place {
        case lineStart
        /// So many bytes of `data` have been seen.
        case name(Int)
        /// After the colon: one blank is not data.
        case afterColon
        case data
        case comment
        case skipped
        case bare
    }

    private var place = Place.lineStart
    private var wasCarriageReturn = false
    private var hasData = false
    private var isBare = false
    /// Lines of this event that were no data.
    private var hasOther = false
    /// Bytes of the byte order mark that may still come.
    private var markLeft = 3

    /// Whether no event has begun.
    var isAtEventBoundary: Bool {
        if case .lineStart = place { !hasData && !isBare && !hasOther } else { false }
    }

    /// Says what the event was that ended, and begins the next.
    mutating func takeEvent() -> Event {
        defer {
            hasData = false
            isBare = false
            hasOther = false
            place = .lineStart
        }
        if hasData { return .data }
        return isBare ? .bare : .none
    }

    /// Consumes the next piece.
    ///
    /// `index` must be inside the bytes.
    mutating func next(_ bytes: Span<UInt8>, from index: inout Int) -> Piece {
        let byte = bytes[index]
        if byte == 0x0a, wasCarriageReturn {
            wasCarriageReturn = false
            index += 1
            return .other
        }
        wasCarriageReturn = byte == 0x0d
        if byte == 0x0a || byte == 0x0d {
            index += 1
            return endLine()
        }
        switch place {
        case .lineStart: return startLine(byte, &index)
        case .name(let count): return name(byte, seen: count, &index)
        case .afterColon:
            place = .data
            if byte == 0x20 {
                index += 1
                return .other
            }
            return rest(bytes, &index)
        case .data, .bare: return rest(bytes, &index)
        case .comment, .skipped:
            index = JSONBytes.lineEnd(bytes, from: index)
            return .other
        }
    }

    private mutating func endLine() -> Piece {
        let ended = place
        place = .lineStart
        markLeft = 0
        switch ended {
        case .lineStart: return .event
        case .name(4): return beginData()  // `data` without a colon is an empty data line
        case .bare: return .lineFeed
        default: return .other
        }
    }

    private mutating func startLine(_ byte: UInt8, _ index: inout Int) -> Piece {
        if markLeft > 0 {
            let mark: [3 of UInt8] = [0xef, 0xbb, 0xbf]
            if byte == mark[3 - markLeft] {
                markLeft -= 1
                index += 1
                return .other
            }
            markLeft = 0
        }
        if byte == UInt8(ascii: "d") {
            place = .name(1)
            index += 1
        } else if byte == UInt8(ascii: ":") {
            place = .comment
            hasOther = true
            index += 1
        } else if isBare || (!hasData && (byte == UInt8(ascii: "{") || byte == UInt8(ascii: "["))) {
            place = .bare
            isBare = true
        } else {
            place = .skipped
            hasOther = true
            index += 1
        }
        return .other
    }

    private mutating func name(_ byte: UInt8, seen count: Int, _ index: inout Int) -> Piece {
        let name: [4 of UInt8] = [UInt8(ascii: "d"), UInt8(ascii: "a"), UInt8(ascii: "t"), UInt8(ascii: "a")]
        index += 1
        if count < 4, byte == name[count] {
            place = .name(count + 1)
        } else if count == 4, byte == UInt8(ascii: ":") {
            place = .afterColon
            return beginData()
        } else {
            place = .skipped
            hasOther = true
        }
        return .other
    }

    private mutating func beginData() -> Piece {
        guard hasData else {
            hasData = true
            return .other
        }
        return .lineFeed
    }

    private func rest(_ bytes: Span<UInt8>, _ index: inout Int) -> Piece {
        let start = index
        index = JSONBytes.lineEnd(bytes, from: index)
        return .data(start: start, end: index)
    }
}
