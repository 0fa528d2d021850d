// Turns the header lines that libcurl hands over into one final head, and refuses framing that two readers could
// read in two ways: libcurl takes the last of two lengths and decodes codings nobody asked for.

/// Gathers one answer's header lines.
///
/// A pure state machine: lines in, at most one head out. Costs one pass over the bytes and one copy.
struct HeadAssembler {
    enum Step {
        case more
        case head(ResponseHead)
        case fault(TransferFailure.Reason)
    }

    private let maxBytes: Int
    private var seenBytes = 0
    private var status = 0
    private var isHTTP10 = false
    private var lines: [UInt8] = []
    private var contentLength: Int?
    private var isChunked = false
    private(set) var isDone = false
    /// What the last head needed, so that the next one's bytes are reserved at once.
    private var expectedBytes = 512

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Forgets everything about the answer before.
    mutating func reset() {
        seenBytes = 0
        isDone = false
        beginMessage()
    }

    /// Takes one line with its line end: a status line, a field, the empty line after a head, or a trailer.
    mutating func append(_ line: Span<UInt8>) -> Step {
        seenBytes += line.count
        guard seenBytes <= maxBytes else { return .fault(.headersTooLarge) }
        guard !isDone else { return .more }  // a trailer: never taken for a header
        let end = Self.contentEnd(line)
        if end == 0 { return finishMessage() }
        if status == 0 { return readStatus(line) }
        return readField(line, end)
    }

    private mutating func beginMessage() {
        status = 0
        contentLength = nil
        isChunked = false
        lines.removeAll(keepingCapacity: true)
    }

    private mutating func finishMessage() -> Step {
        switch status {
        case 101, 0..<100:
            // Nobody asked to switch protocols; libcurl would take what follows for a body.
            return .fault(.badFraming)
        case 100..<200:
            beginMessage()
            return .more
        default:
            guard !isChunked || (contentLength == nil && !isHTTP10) else { return .fault(.badFraming) }
            isDone = true
            expectedBytes = max(256, lines.count + 64)
            let head = ResponseHead(status: status, fieldLines: lines)
            lines = []
            return .head(head)
        }
    }

    /// Reads `HTTP/1.1 200 OK`; libcurl has checked the form loosely.
    private mutating func readStatus(_ line: Span<UInt8>) -> Step {
        var space = 0
        while space < line.count, line[space] != UInt8(ascii: " ") { space += 1 }
        guard space + 4 <= line.count else { return .fault(.badFraming) }
        var code = 0
        for offset in 1...3 {
            let digit = line[space + offset] &- UInt8(ascii: "0")
            guard digit < 10 else { return .fault(.badFraming) }
            code = code * 10 + Int(digit)
        }
        guard code >= 100 else { return .fault(.badFraming) }
        isHTTP10 = space == 8 && line[7] == UInt8(ascii: "0") && line[5] == UInt8(ascii: "1")
        status = code
        if lines.capacity < expectedBytes { lines.reserveCapacity(expectedBytes) }
        return .more
    }

    private mutating func readField(_ line: Span<UInt8>, _ end: Int) -> Step {
        var colon = 0
        while colon < end, Self.isNameByte(line[colon]) { colon += 1 }
        guard colon > 0, colon < end, line[colon] == UInt8(ascii: ":") else { return .fault(.badFraming) }
        var first = colon + 1
        while first < end, Self.isBlank(line[first]) { first += 1 }
        for index in first..<end where line[index] < 0x20 && line[index] != UInt8(ascii: "\t") {
            return .fault(.badFraming)  // it would split the head that we send on
        }
        if colon == 14, Self.isName(line, "content-length") {
            guard let length = Self.length(line, first, end), contentLength == nil || contentLength == length else {
                return .fault(.badFraming)
            }
            contentLength = length
        } else if colon == 17, Self.isName(line, "transfer-encoding") {
            guard !isChunked, Self.isChunkedCoding(line, first, end) else { return .fault(.badFraming) }
            isChunked = true
        }
        lines.append(contentsOf: line, through: end)
        return .more
    }

    private static func contentEnd(_ line: Span<UInt8>) -> Int {
        var end = line.count
        if end > 0, line[end - 1] == UInt8(ascii: "\n") { end -= 1 }
        if end > 0, line[end - 1] == UInt8(ascii: "\r") { end -= 1 }
        return end
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// Visible ASCII but the colon; RFC 9110's `tchar` is narrower, and what it leaves out frames nothing.
    private static func isNameByte(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ":") }

    private static func isName(_ line: Span<UInt8>, _ name: StaticString) -> Bool {
        name.withUTF8Buffer { name in
            for index in 0..<name.count where unsafe line[index] | 0x20 != name[index] | 0x20 { return false }
            return true
        }
    }

    /// Digits only: a list of lengths, even of equal ones, is refused.
    private static func length(_ line: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
        var last = end
        while last > start, isBlank(line[last - 1]) { last -= 1 }
        guard start < last, last - start <= 18 else { return nil }
        var length = 0
        for index in start..<last {
            let digit = line[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            length = length * 10 + Int(digit)
        }
        return length
    }

    private static func isChunkedCoding(_ line: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        var last = end
        while last > start, isBlank(line[last - 1]) { last -= 1 }
        return last - start == 7 && isName(line.extracting(start..<last), "chunked")
    }
}

extension [UInt8] {
    /// Appends the line's content and the one line end that a head here has.
    fileprivate mutating func append(contentsOf line: Span<UInt8>, through end: Int) {
        unsafe line.withUnsafeBufferPointer { bytes in
            unsafe append(contentsOf: UnsafeBufferPointer(rebasing: bytes[..<end]))
        }
        append(UInt8(ascii: "\r"))
        append(UInt8(ascii: "\n"))
    }
}
