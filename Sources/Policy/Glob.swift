// Matches names against patterns in which `*` stands for any bytes: linear in the name for every pattern, because
// clients choose the names and `*a*a*a*b` must not cost more than `gpt*`.
//
// A pattern is cut at its stars. The first and last pieces are anchored; each piece between is found leftmost with
// Knuth-Morris-Pratt, which never looks at a byte of the name twice over (leftmost is right: it leaves the most room
// for the pieces that follow). All patterns share flat arrays, so that matching allocates and retains nothing.

/// A list of patterns, compiled.
struct GlobSet: Sendable {
    /// The pieces' bytes, one after another.
    private var bytes: [UInt8] = []
    /// For each byte: how many bytes of its piece still match when the next one does not (the failure function).
    private var fallbacks: [UInt16] = []
    private var pieces: [Range<Int32>] = []
    private var patterns: [Pattern] = []

    private struct Pattern: Sendable {
        /// Into `pieces`: one for a pattern without stars, otherwise one before, between and after the stars.
        let pieces: Range<Int32>
        /// Names shorter than all the pieces together cannot match.
        let minBytes: Int32
    }

    /// Names longer than this match nothing: no provider has one, and 256 patterns bound the rest.
    static let maxNameBytes = 512

    init(_ patterns: [[UInt8]]) {
        for pattern in patterns { add(pattern) }
    }

    private mutating func add(_ pattern: [UInt8]) {
        let first = Int32(pieces.count)
        let start = bytes.count
        for piece in pattern.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false) {
            let begin = Int32(bytes.count)
            bytes += piece
            fallbacks += Self.fallbacks(of: Array(piece))
            pieces.append(begin..<Int32(bytes.count))
        }
        patterns.append(Pattern(pieces: first..<Int32(pieces.count), minBytes: Int32(bytes.count - start)))
    }

    /// Knuth, Morris, Pratt 1977: the length of the longest proper border of each prefix.
    private static func fallbacks(of piece: [UInt8]) -> [UInt16] {
        var table = [UInt16](repeating: 0, count: piece.count)
        var border = 0
        for index in piece.indices.dropFirst() {
            while border > 0, piece[index] != piece[border] { border = Int(table[border - 1]) }
            if piece[index] == piece[border] { border += 1 }
            table[index] = UInt16(border)
        }
        return table
    }

    /// Whether any pattern matches the whole name.
    func matches(_ name: Span<UInt8>) -> Bool {
        guard name.count <= Self.maxNameBytes else { return false }
        // By index: unoptimized builds allocate for a collection's slices and iterators, and the tests count.
        var index = 0
        while index < patterns.count {
            if name.count >= patterns[index].minBytes, matches(name, patterns[index]) { return true }
            index += 1
        }
        return false
    }

    private func matches(_ name: Span<UInt8>, _ pattern: Pattern) -> Bool {
        let firstPiece = Int(pattern.pieces.lowerBound)
        let lastPiece = Int(pattern.pieces.upperBound) - 1
        let first = pieces[firstPiece]
        guard isEqual(name, at: 0, first) else { return false }
        guard firstPiece < lastPiece else { return name.count == Int(first.upperBound - first.lowerBound) }
        let last = pieces[lastPiece]
        let end = name.count - Int(last.upperBound - last.lowerBound)
        guard isEqual(name, at: end, last) else { return false }
        var offset = Int(first.upperBound - first.lowerBound)
        var index = firstPiece + 1
        while index < lastPiece {
            guard let next = find(pieces[index], in: name, from: offset, to: end) else { return false }
            offset = next
            index += 1
        }
        return offset <= end
    }

    private func isEqual(_ name: Span<UInt8>, at offset: Int, _ piece: Range<Int32>) -> Bool {
        let start = Int(piece.lowerBound)
        let count = Int(piece.upperBound) - start
        guard offset >= 0, offset + count <= name.count else { return false }
        var index = 0
        while index < count {
            guard name[offset + index] == bytes[start + index] else { return false }
            index += 1
        }
        return true
    }

    /// The offset after the leftmost occurrence of the piece.
    private func find(_ piece: Range<Int32>, in name: Span<UInt8>, from: Int, to end: Int) -> Int? {
        let start = Int(piece.lowerBound)
        let count = Int(piece.upperBound) - start
        guard count > 0 else { return from }
        var matched = 0
        var offset = from
        while offset < end {
            while matched > 0, name[offset] != bytes[start + matched] {
                matched = Int(fallbacks[start + matched - 1])
            }
            if name[offset] == bytes[start + matched] { matched += 1 }
            offset += 1
            if matched == count { return offset }
        }
        return nil
    }
}
