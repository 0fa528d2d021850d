// Merges a range whole with a queue of pairs: n log n for any bytes. It allocates, and stands behind `WindowMerge` for
// pieces whose windows would not join; none is known.

/// The merge without tricks.
enum HeapMerge {
    /// Merges a range of at least two bytes.
    static func merge<Sink: TokenSink>(
        _ text: Span<UInt8>,
        from start: Int,
        to end: Int,
        _ vocabulary: Vocabulary,
        into sink: inout Sink
    ) {
        let count = end - start
        var ids = (start..<end).map { vocabulary.byteIDs[Int(text[$0])] }
        var nexts = Array(1...count)
        var previous = Array(-1..<(count - 1))
        var ranks = [UInt32](repeating: Vocabulary.none, count: count)
        var queue = RankQueue()

        func rank(_ place: Int) {
            let after = nexts[place]
            ranks[place] = after < count ? vocabulary.merged(ids[place], ids[after]) : Vocabulary.none
            if ranks[place] != Vocabulary.none { queue.push(UInt64(ranks[place]) << 32 | UInt64(place)) }
        }
        for place in 0..<count { rank(place) }
        while let entry = queue.pop() {
            let place = Int(entry & 0xffff_ffff)
            // A pair that has changed since it was queued has another rank now, or none.
            guard ranks[place] == UInt32(entry >> 32) else { continue }
            let right = nexts[place]
            ids[place] = ranks[place]
            nexts[place] = nexts[right]
            if nexts[place] < count { previous[nexts[place]] = place }
            ranks[right] = Vocabulary.none
            rank(place)
            if previous[place] >= 0 { rank(previous[place]) }
        }
        var place = 0
        while place < count {
            sink.take(ids[place])
            place = nexts[place]
        }
    }
}

/// A binary heap, the lowest first.
private struct RankQueue {
    private var entries: [UInt64] = []

    mutating func push(_ entry: UInt64) {
        entries.append(entry)
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child] < entries[parent] else { return }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> UInt64? {
        guard let first = entries.first else { return nil }
        let last = entries.removeLast()
        guard !entries.isEmpty else { return first }
        entries[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < entries.count else { return first }
            if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
            guard entries[child] < entries[parent] else { return first }
            entries.swapAt(child, parent)
            parent = child
        }
    }
}
