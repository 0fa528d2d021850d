// Merges pieces of any length in windows of 512 bytes that overlap, so that neither time nor memory grows faster than
// the text: a piece can be a whole body of one letter.
//
// Why windows are exact: tokens are the encoding of their text if and only if each two neighbours are the encoding of
// theirs. Within a window they are; where two windows meet, `Vocabulary.mayFollow` asks. A cut where they are not is
// moved back by a token; the fuzz test has not seen it moved twice, and if sixteen do not help, the piece is merged whole.

/// Merges up to 512 bytes on the stack.
///
/// Tokens are named by the window's byte where they begin. Ranks lie in blocks of 16 whose lowest is kept, so that a
/// merge costs two short searches.
struct WindowMerge: ~Copyable {
    static let maxBytes = 512
    /// What the window's end may spoil: the longest token has 128 bytes.
    static let overlap = 128
    static let maxAttempts = 16

    private var ids: [512 of UInt32] = .init(repeating: 0)
    /// What each token and the next one merge into; `none` where no token begins.
    private var ranks: [512 of UInt32] = .init(repeating: 0)
    /// The lowest rank of each 16.
    private var lowest: [32 of UInt32] = .init(repeating: 0)
    private var nexts: [512 of UInt16] = .init(repeating: 0)
    private var previous: [512 of UInt16] = .init(repeating: 0)
    private var count = 0

    /// Merges a range that is no longer than a window.
    mutating func merge(_ text: Span<UInt8>, from start: Int, count: Int, _ vocabulary: Vocabulary) {
        self.count = count
        fill(text, from: start, vocabulary)
        let blocks = (count &+ 15) >> 4
        while true {
            var block = 0
            var rank = lowest[0]
            for index in 1..<max(blocks, 1) where lowest[index] < rank {
                rank = lowest[index]
                block = index
            }
            guard rank != Vocabulary.none else { return }
            // The rank is the lowest until its last pair is gone, and no block before this one has it.
            repeat {
                var place = block << 4
                while ranks[place] != rank { place &+= 1 }
                join(place, rank, vocabulary)
            } while lowest[block] == rank
        }
    }

    @inline(__always)
    private mutating func fill(_ text: Span<UInt8>, from start: Int, _ vocabulary: Vocabulary) {
        var byte = Int(text[start])
        for index in 0..<count {
            ids[index] = vocabulary.byteIDs[byte]
            nexts[index] = UInt16(truncatingIfNeeded: index &+ 1)
            previous[index] = UInt16(truncatingIfNeeded: index &- 1)
            guard index &+ 1 < count else { break }
            let next = Int(text[start &+ index &+ 1])
            ranks[index] = vocabulary.bytePairs[byte << 8 | next]
            byte = next
        }
        let end = (count &+ 15) & ~15
        for index in (count &- 1)..<end { ranks[index] = Vocabulary.none }
        for block in 0..<(end >> 4) { refresh(block) }
    }

    @inline(__always)
    private mutating func refresh(_ block: Int) {
        let base = block << 4
        var low = Vocabulary.none
        for index in 0..<16 { low = min(low, ranks[base &+ index]) }
        lowest[block] = low
    }

    /// Makes one token of two.
    @inline(__always)
    private mutating func join(_ place: Int, _ id: UInt32, _ vocabulary: Vocabulary) {
        let right = Int(nexts[place])
        let after = Int(nexts[right])
        ids[place] = id
        nexts[place] = UInt16(truncatingIfNeeded: after)
        if after < count {
            previous[after] = UInt16(truncatingIfNeeded: place)
            ranks[place] = vocabulary.merged(id, ids[after])
        } else {
            ranks[place] = Vocabulary.none
        }
        let block = place >> 4
        if place > 0 {
            let before = Int(previous[place])
            let rank = vocabulary.merged(ids[before], id)
            if before >> 4 == block { ranks[before] = rank } else { change(before, to: rank) }
        }
        if right >> 4 == block { ranks[right] = Vocabulary.none } else { change(right, to: Vocabulary.none) }
        refresh(block)
    }

    /// Changes a rank in a block of which no more is known.
    @inline(__always)
    private mutating func change(_ place: Int, to rank: UInt32) {
        let old = ranks[place]
        ranks[place] = rank
        if rank < lowest[place >> 4] {
            lowest[place >> 4] = rank
        } else if old == lowest[place >> 4] {
            refresh(place >> 4)
        }
    }

    /// Hands over the tokens that end at `end` or before.
    func give<Sink: TokenSink>(upTo end: Int, into sink: inout Sink) {
        var place = 0
        while place < end {
            sink.take(ids[place])
            place = Int(nexts[place])
        }
    }

    // MARK: Long pieces

    /// Merges a range of any length.
    static func mergeLong<Sink: TokenSink>(
        _ text: Span<UInt8>,
        from start: Int,
        to end: Int,
        _ vocabulary: Vocabulary,
        into sink: inout Sink
    ) {
        let mark = sink.mark
        var even = WindowMerge()
        var odd = WindowMerge()
        var base = start
        even.merge(text, from: base, count: min(maxBytes, end - base), vocabulary)
        while true {
            if base + even.count == end { return even.give(upTo: even.count, into: &sink) }
            guard even.advance(&base, text, to: end, &odd, vocabulary, into: &sink) else { break }
            if base + odd.count == end { return odd.give(upTo: odd.count, into: &sink) }
            guard odd.advance(&base, text, to: end, &even, vocabulary, into: &sink) else { break }
            if sink.isFull { return }
        }
        sink.rewind(to: mark)
        HeapMerge.merge(text, from: start, to: end, vocabulary, into: &sink)
    }

    /// Finds where the next window may begin, merges that one, and hands over the tokens before it.
    ///
    /// - Returns: whether it was found.
    private func advance<Sink: TokenSink>(
        _ base: inout Int,
        _ text: Span<UInt8>,
        to end: Int,
        _ other: inout WindowMerge,
        _ vocabulary: Vocabulary,
        into sink: inout Sink
    ) -> Bool {
        // The last token that ends before the overlap; the first one does, being no longer than 128 bytes.
        var token = 0
        while Int(nexts[Int(nexts[token])]) <= count - Self.overlap { token = Int(nexts[token]) }
        for _ in 0..<Self.maxAttempts {
            let cut = Int(nexts[token])
            other.merge(text, from: base + cut, count: min(Self.maxBytes, end - base - cut), vocabulary)
            if vocabulary.mayFollow(ids[token], other.ids[0]) {
                give(upTo: cut, into: &sink)
                base += cut
                return true
            }
            guard token > 0 else { return false }
            token = Int(previous[token])
        }
        return false
    }
}
