// Merges pieces of a few bytes, which is nearly all of them: a linear search for the lowest rank beats any queue here.

/// Merges up to 32 bytes on the stack.
struct ShortMerge {
    static let maxBytes = 32

    private var ids: [32 of UInt32] = .init(repeating: 0)
    /// What each token and the next one merge into.
    private var ranks: [32 of UInt32] = .init(repeating: 0)

    /// Merges a piece that is no token itself, of at most `maxBytes`.
    @inline(__always)
    mutating func merge<Sink: TokenSink>(
        _ text: Span<UInt8>,
        from start: Int,
        count: Int,
        _ vocabulary: Vocabulary,
        into sink: inout Sink
    ) {
        var last = count &- 1  // the last token
        var byte = Int(text[start])
        for index in 0..<last {
            let next = Int(text[start &+ index &+ 1])
            ids[index] = vocabulary.byteIDs[byte]
            ranks[index] = vocabulary.bytePairs[byte << 8 | next]
            byte = next
        }
        ids[last] = vocabulary.byteIDs[byte]
        while last > 0 {
            var place = 0
            var lowest = ranks[0]
            for index in 1..<max(last, 1) where ranks[index] < lowest {
                lowest = ranks[index]
                place = index
            }
            guard lowest != Vocabulary.none else { break }
            last &-= 1
            ids[place] = lowest
            var index = place &+ 1
            while index <= last {
                ids[index] = ids[index &+ 1]
                ranks[index] = ranks[index &+ 1]
                index &+= 1
            }
            if place > 0, place < last {
                let merged = vocabulary.merged(ids[place &- 1], lowest, ids[place &+ 1])
                ranks[place &- 1] = merged.before
                ranks[place] = merged.after
            } else if place < last {
                ranks[place] = vocabulary.merged(lowest, ids[place &+ 1])
            } else if place > 0 {
                ranks[place &- 1] = vocabulary.merged(ids[place &- 1], lowest)
            }
        }
        for index in 0...last { sink.take(ids[index]) }
    }
}
