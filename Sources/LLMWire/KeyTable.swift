// Finds a member that stands twice, in whatever spelling, in the objects that policy reads. Most upstream parsers take
// the last of two, so judging the first and forwarding both would let anything pass.

/// The member names of the objects that are open now, as hashes with the offset of each name.
struct KeyTable {
    /// Members of one object at most: chat requests document about 40, and the search is linear.
    static let maxMembers = 128
    private static let capacity = 2 * maxMembers

    /// Different names with one hash, in one body: a chance of one in millions for honest bodies, so more than a few are
    /// made on purpose, to have each compared.
    static let maxCollisions = 16

    private var collisions = 0
    /// A hash in the upper half, the offset of the name's first byte in the lower.
    private var entries: [256 of UInt64] = .init(repeating: 0)
    private var count = 0

    /// A place to return to with `leave` when the object that begins now has ended.
    func enter() -> Int { count }

    mutating func leave(_ base: Int) {
        count = base
    }

    /// Adds a name to the object that began at `base`.
    @inline(__always)
    mutating func insert(_ key: JSONString, in bytes: Span<UInt8>, base: Int) throws(ScanError) {
        let hash = Self.hash(key, in: bytes)
        for index in base..<count where UInt32(truncatingIfNeeded: entries[index] >> 32) == hash {
            let other = Int(entries[index] & 0xffff_ffff)
            guard try !Self.areEqual(key, at: other, in: bytes) else { throw ScanError(.duplicateKey, at: key.start) }
            collisions += 1
            guard collisions <= Self.maxCollisions else { throw ScanError(.tooManyMembers, at: key.start) }
        }
        guard count - base < Self.maxMembers, count < Self.capacity else {
            throw ScanError(.tooManyMembers, at: key.start)
        }
        entries[count] = UInt64(hash) << 32 | UInt64(UInt32(truncatingIfNeeded: key.start))
        count += 1
    }

    @inline(__always)
    private static func hash(_ key: JSONString, in bytes: Span<UInt8>) -> UInt32 {
        guard key.hasEscapes else { return hash(bytes, from: key.start, to: key.end) }
        let text = key.decoded(in: bytes)
        return hash(text.span, from: 0, to: text.count)
    }

    private static func hash(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> UInt32 {
        let factor: UInt64 = 0x9e37_79b9_7f4a_7c15  // 2⁶⁴ ÷ the golden ratio: spreads neighbours; no secret is needed,
        var hash = UInt64(end - start) &* factor  // since equal hashes cost one comparison and objects are bounded
        var index = start
        while index < end {
            var word: UInt64 = 0
            if index + 8 <= bytes.count {
                word = JSONBytes.word(bytes, at: index)
                if end - index < 8 { word &= 1 << UInt64((end - index) * 8) &- 1 }
            } else {
                for place in index..<end { word |= UInt64(bytes[place]) << UInt64((place - index) * 8) }
            }
            hash = (hash ^ word) &* factor
            hash ^= hash >> 29
            index += 8
        }
        return UInt32(truncatingIfNeeded: hash >> 32)
    }

    /// Compares with the name that begins at an offset, which is read again.
    ///
    /// Rare: it takes two equal hashes.
    private static func areEqual(_ key: JSONString, at other: Int, in bytes: Span<UInt8>) throws(ScanError) -> Bool {
        var reader = JSONReader(isStrict: true, at: other - 1)
        let found = try reader.string(bytes)
        return found.decoded(in: bytes) == key.decoded(in: bytes)
    }
}
