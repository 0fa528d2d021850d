// One encoding's tables: what is a token, and which two tokens merge into which. Built once from the resource and then
// only read, by all threads.
//
//   short: tokens of up to 12 bytes, the bytes themselves in the slot    pairs: left 18 │ right 18 │ merged 18 bits
//   long:  longer tokens, hash 32 │ id 32, bytes in the blob             bytePairs: the same for two single bytes

/// A token of up to 12 bytes.
struct ShortToken: BitwiseCopyable, Sendable {
    var low: UInt64
    var high: UInt32
    /// Length in the upper 8 bits, 0 for an empty slot; id below.
    var lengthAndID: UInt32

    static let empty = ShortToken(low: 0, high: 0, lengthAndID: 0)
    static let maxBytes = 12
}

/// The tables of an encoding; some 6 to 12 MiB.
final class Vocabulary: Sendable {
    /// No such token.
    static let none = UInt32.max
    /// Ids have 18 bits, so that a pair and what it makes fit a word.
    static let idBits: UInt64 = 18

    let maxTokenBytes: Int
    let short: FixedTable<ShortToken>
    let long: FixedTable<UInt64>
    let pairs: FixedTable<UInt64>
    /// One bit for each of 2²¹ hashes, whether a pair may have it: what most lookups end with, and small enough for a
    /// second-level cache.
    let pairFilter: FixedTable<UInt64>
    let bytePairs: FixedTable<UInt32>
    let byteIDs: FixedTable<UInt32>
    /// For each id the two tokens it is merged from, left in the upper half; for a single byte itself in both.
    let splits: [UInt64]
    /// Where each id's bytes begin; one more for the end.
    let offsets: [UInt32]
    let blob: [UInt8]

    init(_ parts: VocabularyParts) {
        maxTokenBytes = parts.maxTokenBytes
        offsets = parts.offsets
        blob = parts.blob
        short = parts.makeShort()
        long = parts.makeLong()
        pairs = parts.makePairs()
        pairFilter = parts.makePairFilter()
        bytePairs = parts.makeBytePairs()
        byteIDs = parts.makeByteIDs()
        splits = parts.splits
    }

    /// The token that two tokens merge into, which is also the merge's rank; `none` if they do not merge.
    @inline(__always)
    func merged(_ left: UInt32, _ right: UInt32) -> UInt32 {
        let key = UInt64(left) << Self.idBits | UInt64(right)
        let slot = Self.slot(ofPair: key)
        return merged(key, slot, pairFilter[slot >> 6])
    }

    /// What a token merges into with the one before and with the one after it.
    ///
    /// Both lookups begin before either is judged, so that they wait for memory together.
    @inline(__always)
    func merged(_ before: UInt32, _ token: UInt32, _ after: UInt32) -> (before: UInt32, after: UInt32) {
        let leftKey = UInt64(before) << Self.idBits | UInt64(token)
        let rightKey = UInt64(token) << Self.idBits | UInt64(after)
        let leftSlot = Self.slot(ofPair: leftKey)
        let rightSlot = Self.slot(ofPair: rightKey)
        let leftFilter = pairFilter[leftSlot >> 6]
        let rightFilter = pairFilter[rightSlot >> 6]
        return (merged(leftKey, leftSlot, leftFilter), merged(rightKey, rightSlot, rightFilter))
    }

    /// Most pairs do not merge, and nearly all of those end at the filter.
    @inline(__always)
    private func merged(_ key: UInt64, _ start: Int, _ filter: UInt64) -> UInt32 {
        guard filter >> UInt64(truncatingIfNeeded: start & 63) & 1 == 1 else { return Self.none }
        var slot = start
        while true {
            let entry = pairs[slot]
            if entry >> Self.idBits == key { return UInt32(truncatingIfNeeded: entry) & 0x3_ffff }
            if entry == .max { return Self.none }
            slot &+= 1
        }
    }

    /// The token that a whole range of at least 3 bytes is, or `none`.
    @inline(__always)
    func token(_ text: Span<UInt8>, from start: Int, count: Int) -> UInt32 {
        if count <= ShortToken.maxBytes {
            let low = TextBytes.word(text, at: start, count: min(count, 8))
            let high =
                count <= 8 ? 0 : UInt32(truncatingIfNeeded: TextBytes.word(text, at: start &+ 8, count: count &- 8))
            var slot = Self.slot(low, high)
            while true {
                let entry = short[slot]
                if entry.low == low, entry.high == high, entry.lengthAndID >> 24 == UInt32(count) {
                    return entry.lengthAndID & 0xff_ffff
                }
                if entry.lengthAndID == 0 { return Self.none }
                slot &+= 1
            }
        }
        return count <= maxTokenBytes ? longToken(text, from: start, count: count) : Self.none
    }

    @inline(never)
    private func longToken(_ text: Span<UInt8>, from start: Int, count: Int) -> UInt32 {
        let hash = Self.hash(text, from: start, count: count)
        var slot = Int(truncatingIfNeeded: hash)
        while true {
            let entry = long[slot]
            if entry == .max { return Self.none }
            if entry >> 32 == hash >> 32 {
                let id = Int(entry & 0xffff_ffff)
                let offset = Int(offsets[id])
                let blob = blob  // a span needs an owner that stays
                if Int(offsets[id + 1]) - offset == count,
                    TextBytes.areEqual(text, from: start, blob.span, from: offset, count: count)
                {
                    return UInt32(id)
                }
            }
            slot &+= 1
        }
    }

    // MARK: Hashes: multiplications by 2⁶⁴ ÷ the golden ratio, of which the upper bits are used

    private static let factor: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    static func slot(_ low: UInt64, _ high: UInt32) -> Int {
        let mixed = (low ^ (UInt64(high) &* 0xc2b2_ae3d_27d4_eb4f)) &* factor
        return Int(truncatingIfNeeded: (mixed ^ (mixed >> 29)) >> 20)
    }

    @inline(__always)
    static func slot(ofPair key: UInt64) -> Int {
        let mixed = key &* factor
        return Int(truncatingIfNeeded: mixed >> 38)
    }

    @inline(__always)
    static func hash(_ text: Span<UInt8>, from start: Int, count: Int) -> UInt64 {
        var hash = UInt64(truncatingIfNeeded: count) &* factor
        var index = 0
        while index < count {
            hash = (hash ^ TextBytes.word(text, at: start &+ index, count: min(count &- index, 8))) &* factor
            hash ^= hash >> 32
            index &+= 8
        }
        return hash
    }
}
