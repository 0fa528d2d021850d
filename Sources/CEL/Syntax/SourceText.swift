// Shows people where a problem is: the same text in the control plane's answers, in the CLI and in tests.

/// An expression's source, as a text with lines and columns.
public struct SourceText: Sendable {
    /// A place in a source, as editors count.
    public struct Position: Equatable, Sendable {
        /// From 1; lines end with a line feed.
        public let line: Int
        /// In code points, from 1.
        public let column: Int

        /// Makes a position.
        public init(line: Int, column: Int) {
            self.line = line
            self.column = column
        }
    }

    private let bytes: [UInt8]

    /// Code points of a source line that are shown; of a longer line, those around the column.
    private static let shownColumns = 100
    /// Code points shown before the column when a line is cut.
    private static let shownBefore = 60

    /// A source as it was given to the parser; octets that are no UTF-8 are shown as U+FFFD.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// A source.
    public init(_ text: String) { self.init(Array(text.utf8)) }

    /// The line and column of an offset.
    ///
    /// - Parameter offset: bytes from the start; what lies behind the end means the end.
    /// - Returns: the place.
    public func position(of offset: Int) -> Position {
        let offset = max(0, min(offset, bytes.count))
        var line = 1
        var column = 1
        for byte in bytes[..<offset] {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return Position(line: line, column: column)
    }

    /// A problem with its place and its line, without a line break at the end.
    ///
    ///     ERROR: 1:9: expected an expression, but the source ends
    ///      | 1 + 2 *
    ///      |        ^
    ///
    /// Control characters of the source are shown as spaces, so that it cannot steer a terminal.
    public func render(_ problem: Problem) -> String {
        let position = position(of: problem.offset)
        var line = self.line(around: problem.offset)
        var column = position.column - 1
        if line.count > Self.shownColumns {
            let start = max(0, min(column - Self.shownBefore, line.count - Self.shownColumns))
            let end = min(line.count, start + Self.shownColumns)
            let isCut = (front: start > 0, back: end < line.count)
            line = (isCut.front ? ["…"] : []) + line[start..<end] + (isCut.back ? ["…"] : [])
            column -= start - (isCut.front ? 1 : 0)
        }
        while line.last == " " && line.count > column { line.removeLast() }
        var shown = String.UnicodeScalarView()
        shown.append(contentsOf: line)
        let caret = String(repeating: " ", count: max(0, column)) + "^"
        return "ERROR: \(position.line):\(position.column): \(problem.message)\n | \(String(shown))\n | \(caret)"
    }

    /// All problems, one below the other.
    public func render(_ problems: Problems) -> String {
        problems.problems.map(render).joined(separator: "\n")
    }

    /// The scalars of the line that an offset is in, made harmless.
    private func line(around offset: Int) -> [Unicode.Scalar] {
        let offset = max(0, min(offset, bytes.count))
        let newline = UInt8(ascii: "\n")
        let start = bytes[..<offset].lastIndex(of: newline).map { $0 + 1 } ?? 0
        let end = bytes[offset...].firstIndex(of: newline) ?? bytes.count
        return String(decoding: bytes[start..<end], as: UTF8.self).unicodeScalars.map { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: " "
            default: scalar
            }
        }
    }
}
