// Reads a vocabulary resource and makes its tables. The file's structure is not trusted: whatever it says, loading ends
// with tables that the engine can use without checks, or with an error.
//
//   magic 8 │ format u32 │ CRC-32C of the rest u32 │ ids n u32 │ longest u32 │ blob bytes u32 │ name 16, zero padded
//   lengths n × u8, 0 for no such id │ left n × u24 │ right n × u24, 0xFFFFFF for none │ blob      (little endian)

internal import Codec

/// A vocabulary, read and found sound.
struct VocabularyParts {
    static let magic: StaticString = "WEIRBPE\0"
    static let format = 1
    /// o200k_base, the largest, has 2.8 MB.
    static let maxFileBytes = 16 << 20
    private static let headerBytes = 44
    private static let noID = 0xff_ffff

    let count: Int
    let maxTokenBytes: Int
    private(set) var offsets: [UInt32]
    private(set) var blob: [UInt8]
    /// For each id the left part in the upper half, the right one in the lower; bytes and holes have themselves in both.
    private(set) var splits: [UInt64]
    private static func noSplit(_ id: Int) -> UInt64 { UInt64(id) << 32 | UInt64(id) }

    /// Reads a resource.
    ///
    /// - Parameters:
    ///   - file: all its bytes.
    ///   - encoding: the one it must be.
    /// - Throws: the part that is wrong.
    init(_ file: Span<UInt8>, encoding: EncodingName) throws(VocabularyError) {
        guard file.count > Self.headerBytes, TextBytes.begin(file, with: Self.magic) else { throw .malformed("magic") }
        guard Self.number(file, at: 8, bytes: 4) == Self.format else { throw .malformed("format") }
        guard UInt32(Self.number(file, at: 12, bytes: 4)) == CRC32C.checksum(file.extracting(16..<file.count)) else {
            throw .malformed("checksum")
        }
        count = Self.number(file, at: 16, bytes: 4)
        maxTokenBytes = Self.number(file, at: 20, bytes: 4)
        let blobBytes = Self.number(file, at: 24, bytes: 4)
        guard Self.hasName(file, encoding) else { throw .malformed("name") }
        guard count >= 256, count < 1 << Int(Vocabulary.idBits), (2...Self.maxTokenBytes).contains(maxTokenBytes),
            file.count == Self.headerBytes + 7 * count + blobBytes
        else { throw .malformed("size") }

        offsets = []
        offsets.reserveCapacity(count + 1)
        var offset = 0
        for id in 0..<count {
            offsets.append(UInt32(offset))
            let length = Int(file[Self.headerBytes + id])
            guard length <= maxTokenBytes, (length == 1) == (id < 256) else { throw .malformed("lengths") }
            offset += length
        }
        offsets.append(UInt32(offset))
        guard offset == blobBytes else { throw .malformed("lengths") }
        blob = []
        blob.reserveCapacity(blobBytes)
        TextBytes.append(file, from: file.count - blobBytes, to: file.count, into: &blob)
        splits = []
        try readSplits(file)
        try checkBytes()
    }

    /// Longer tokens would not fit a merge window twice.
    static let maxTokenBytes = 128

    /// Each token's parts have lower ids and, together, its length.
    private mutating func readSplits(_ file: Span<UInt8>) throws(VocabularyError) {
        let lefts = Self.headerBytes + count
        let rights = lefts + 3 * count
        splits.reserveCapacity(count)
        for id in 0..<count {
            // The blob of at least 256 bytes follows, so eight bytes of either can be read.
            let left = Int(TextBytes.word(file, at: lefts + 3 * id) & 0xff_ffff)
            let right = Int(TextBytes.word(file, at: rights + 3 * id) & 0xff_ffff)
            if left == Self.noID {
                // Only bytes and holes: a token that no merge makes could be met only as a whole piece.
                guard right == Self.noID, length(id) <= 1 else { throw .malformed("splits") }
                splits.append(Self.noSplit(id))
                continue
            }
            guard left < id, right < id, length(left) > 0, length(right) > 0,
                length(left) + length(right) == length(id)
            else { throw .malformed("splits") }
            splits.append(UInt64(left) << 32 | UInt64(right))
        }
    }

    /// The first 256 ids are the 256 bytes.
    private func checkBytes() throws(VocabularyError) {
        var seen = [Bool](repeating: false, count: 256)
        for id in 0..<256 { seen[Int(blob[Int(offsets[id])])] = true }
        guard seen.allSatisfy({ $0 }) else { throw .malformed("bytes") }
    }

    func length(_ id: Int) -> Int { Int(offsets[id + 1] - offsets[id]) }

    private static func number(_ file: Span<UInt8>, at offset: Int, bytes: Int) -> Int {
        Int(TextBytes.word(file, at: offset, count: bytes))
    }

    private static func hasName(_ file: Span<UInt8>, _ encoding: EncodingName) -> Bool {
        let field = file.extracting(28..<44)
        let count = encoding.name.utf8CodeUnitCount
        guard TextBytes.begin(field, with: encoding.name) else { return false }
        for index in count..<16 where field[index] != 0 { return false }
        return true
    }

    // MARK: Tables

    /// The smallest power of two that leaves a fourth of the slots empty, so that every search ends soon.
    private static func exponent(for entries: Int) -> Int {
        var exponent = 4
        while 1 << exponent < entries + entries / 3 + 1 { exponent += 1 }
        return exponent
    }

    func makeShort() -> FixedTable<ShortToken> {
        var tokens = 0
        for id in 256..<count where isShort(id) { tokens += 1 }
        let exponent = Self.exponent(for: tokens)
        let mask = 1 << exponent - 1
        let bytes = blob.span
        return FixedTable(exponent: exponent, filler: .empty) { table in
            for id in 256..<count where isShort(id) {
                let length = length(id)
                let start = Int(offsets[id])
                let low = TextBytes.word(bytes, at: start, count: min(length, 8))
                let high = length <= 8 ? 0 : UInt32(TextBytes.word(bytes, at: start + 8, count: length - 8))
                var slot = Vocabulary.slot(low, high) & mask
                while table[slot].lengthAndID != 0 { slot = (slot + 1) & mask }
                table[slot] = ShortToken(low: low, high: high, lengthAndID: UInt32(length) << 24 | UInt32(id))
            }
        }
    }

    private func isShort(_ id: Int) -> Bool { (2...ShortToken.maxBytes).contains(length(id)) }

    func makeLong() -> FixedTable<UInt64> {
        let ids = (256..<count).filter { length($0) > ShortToken.maxBytes }
        let exponent = Self.exponent(for: ids.count)
        let mask = 1 << exponent - 1
        let bytes = blob.span
        return FixedTable(exponent: exponent, filler: .max) { table in
            for id in ids {
                let hash = Vocabulary.hash(bytes, from: Int(offsets[id]), count: length(id))
                var slot = Int(truncatingIfNeeded: hash) & mask
                while table[slot] != .max { slot = (slot + 1) & mask }
                table[slot] = hash & ~0xffff_ffff | UInt64(id)
            }
        }
    }

    func makePairs() -> FixedTable<UInt64> {
        let exponent = Self.exponent(for: count)
        let mask = 1 << exponent - 1
        return FixedTable(exponent: exponent, filler: .max) { table in
            for id in 256..<count where splits[id] != Self.noSplit(id) {
                let key = pairKey(id)
                var slot = Vocabulary.slot(ofPair: key) & mask
                while table[slot] != .max { slot = (slot + 1) & mask }
                table[slot] = key << Vocabulary.idBits | UInt64(id)
            }
        }
    }

    func makeBytePairs() -> FixedTable<UInt32> {
        FixedTable(exponent: 16, filler: Vocabulary.none) { table in
            for id in 256..<count where length(id) == 2 {
                let start = Int(offsets[id])
                table[Int(blob[start]) << 8 | Int(blob[start + 1])] = UInt32(id)
            }
        }
    }

    func makeByteIDs() -> FixedTable<UInt32> {
        FixedTable(exponent: 8, filler: 0) { table in
            for id in 0..<256 { table[Int(blob[Int(offsets[id])])] = UInt32(id) }
        }
    }

    func makePairFilter() -> FixedTable<UInt64> {
        FixedTable(exponent: 15, filler: 0) { table in
            for id in 256..<count where splits[id] != Self.noSplit(id) {
                let slot = Vocabulary.slot(ofPair: pairKey(id))
                table[slot >> 6 & 0x7fff] |= 1 << UInt64(slot & 63)
            }
        }
    }

    private func pairKey(_ id: Int) -> UInt64 { (splits[id] >> 32) << Vocabulary.idBits | splits[id] & 0xffff_ffff }
}
