// Finds a key by its id, for every request: one probe sequence in one small table. The table is cut into shards that
// versions share, so a change of one app copies the shards of its keys and not 300,000 entries.

/// A key in the table, with its rules unless they are everyone's.
struct KeySlot: Sendable {
    let entry: KeyEntry
    /// Nil for the rules of scope global alone, which all such keys share.
    let rules: EffectiveRules?
}

/// Keys by their ids; immutable but for `update`.
struct KeyTable: Sendable {
    /// With 300,000 keys some 75 in each: a copy of one costs a microsecond, a copy of all references ten.
    private static let shardCount = 4096

    /// Open addressing, at most two thirds full; the count of slots is 0 or a power of two.
    private var shards = [[KeySlot?]](repeating: [], count: shardCount)
    /// Keys in all.
    private(set) var count = 0

    /// The slot of a key; nil when there is none.
    ///
    /// Costs one multiplication and, on average, less than two comparisons; nothing is allocated. Nobody gains from
    /// colliding ids: whoever asks for keys cannot add any, and the control plane draws their ids by lot.
    func find(_ id: KeyID) -> KeySlot? {
        let hash = Self.hash(id)
        let shard = Self.shard(hash)
        guard let index = index(of: id, hash, shard) else { return nil }
        return shards[shard][index]
    }

    @inline(__always)
    private func index(of id: KeyID, _ hash: UInt64, _ shard: Int) -> Int? {
        let mask = shards[shard].count - 1
        guard mask > 0 else { return nil }
        var index = Int(truncatingIfNeeded: hash) & mask
        // Ends, because a third of the slots is free.
        while let slot = shards[shard][index] {
            if slot.entry.keyID == id { return index }
            index = (index + 1) & mask
        }
        return nil
    }

    /// Gives keys that are there other rules; copies the shards that they are in.
    mutating func replace(_ slots: [KeySlot]) {
        for slot in slots {
            let hash = Self.hash(slot.entry.keyID)
            let shard = Self.shard(hash)
            if let index = index(of: slot.entry.keyID, hash, shard) { shards[shard][index] = slot }
        }
    }

    /// All slots, in no order.
    var slots: some Sequence<KeySlot> { shards.lazy.joined().lazy.compactMap { $0 } }

    /// Takes keys out and in, shard by shard.
    ///
    /// - Parameters:
    ///   - removed: keys that were there.
    ///   - added: keys that are new, or new again after being removed.
    /// - Throws: `.duplicate` when two keys have one id; the table is then of no use.
    mutating func update(removed: some Sequence<KeyID>, added: [KeySlot]) throws(SnapshotError) {
        var open: [Int: [KeySlot]] = [:]
        for id in removed {
            let shard = Self.shard(Self.hash(id))
            take(shard, &open)
            open[shard]?.removeAll { $0.entry.keyID == id }
        }
        for slot in added {
            let shard = Self.shard(Self.hash(slot.entry.keyID))
            take(shard, &open)
            open[shard]?.append(slot)
        }
        for (shard, slots) in open {
            count += slots.count - shards[shard].lazy.filter { $0 != nil }.count
            shards[shard] = try Self.table(slots)
        }
    }

    private func take(_ shard: Int, _ open: inout [Int: [KeySlot]]) {
        if open[shard] == nil { open[shard] = shards[shard].compactMap { $0 } }
    }

    private static func table(_ slots: [KeySlot]) throws(SnapshotError) -> [KeySlot?] {
        guard !slots.isEmpty else { return [] }
        var size = 2
        while size * 2 < slots.count * 3 { size *= 2 }
        var table = [KeySlot?](repeating: nil, count: size)
        for slot in slots {
            let id = slot.entry.keyID
            var index = Int(truncatingIfNeeded: hash(id)) & (size - 1)
            while let other = table[index] {
                guard other.entry.keyID != id else { throw .duplicate(part: "keys", id: id.text) }
                index = (index + 1) & (size - 1)
            }
            table[index] = slot
        }
        return table
    }

    private static func shard(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 52) }

    /// The two words, multiplied into 128 bits and folded.
    private static func hash(_ id: KeyID) -> UInt64 {
        let product = (id.first ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: id.second | 1)
        return (product.high ^ product.low) &* 0xD6E8_FEB8_6659_FD93
    }
}
