// The head of an upstream's answer: kept as the bytes that came, read on demand, because most fields pass by unread.

/// A final response head: its status and its fields.
public struct ResponseHead: Sendable {
    /// The status code, 200...999.
    public let status: Int
    /// The fields as they came: `Name: value`, each ended by CR LF, checked to have a name and no control bytes.
    public let fieldLines: [UInt8]

    /// Makes a head from checked lines.
    init(status: Int, fieldLines: [UInt8]) {
        self.status = status
        self.fieldLines = fieldLines
    }

    /// Makes a head from fields that hold no control bytes; for tests and fakes.
    public init(status: Int, headers: [(name: String, value: String)]) {
        self.status = status
        var lines: [UInt8] = []
        for (name, value) in headers { lines += Array("\(name): \(value)\r\n".utf8) }
        fieldLines = lines
    }

    /// The fields in the order they came; allocates for each, so the request path uses ``forEachField(_:)``.
    public var headers: [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        forEachRange { name, value in
            headers.append(
                (
                    String(decoding: fieldLines[name], as: UTF8.self),
                    String(decoding: fieldLines[value], as: UTF8.self)
                )
            )
        }
        return headers
    }

    /// Calls `body` with each field's name and value, without the spaces around the value; allocates nothing.
    public func forEachField(_ body: (_ name: Span<UInt8>, _ value: Span<UInt8>) -> Void) {
        let lines = fieldLines.span
        forEachRange { name, value in body(lines.extracting(name), lines.extracting(value)) }
    }

    /// The value of the first field of that name.
    ///
    /// - Parameter name: in any case.
    /// - Returns: a copy of the value, or nil when there is no such field.
    public func value(of name: StaticString) -> [UInt8]? {
        var found: Range<Int>?
        forEachRange { candidate, value in
            if found == nil, isName(name, at: candidate) { found = value }
        }
        return found.map { Array(fieldLines[$0]) }
    }

    private func isName(_ name: StaticString, at range: Range<Int>) -> Bool {
        guard range.count == name.utf8CodeUnitCount else { return false }
        return name.withUTF8Buffer { name in
            for index in 0..<name.count where unsafe fieldLines[range.lowerBound + index] | 0x20 != name[index] | 0x20 {
                return false
            }
            return true
        }
    }

    /// Walks the lines; each is known to hold a colon and to end in CR LF.
    private func forEachRange(_ body: (_ name: Range<Int>, _ value: Range<Int>) -> Void) {
        let lines = fieldLines.span
        var start = 0
        while start < lines.count {
            var colon = start
            while colon < lines.count, lines[colon] != UInt8(ascii: ":") { colon += 1 }
            var end = colon
            while end < lines.count, lines[end] != UInt8(ascii: "\r") { end += 1 }
            var first = min(colon + 1, end)
            while first < end, isBlank(lines[first]) { first += 1 }
            var last = end
            while last > first, isBlank(lines[last - 1]) { last -= 1 }
            body(start..<colon, first..<last)
            start = end + 2
        }
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
}
