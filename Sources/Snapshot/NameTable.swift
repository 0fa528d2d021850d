// Finds a model by the bytes of a request's body: no String is made, no array, no hasher, nothing is allocated.

/// Indices by name, fixed when made: open addressing, at most half full.
struct NameTable: Sendable {
    private let names: [[UInt8]]
    /// Index into `names`, or -1; a power of two of them.
    private let slots: [Int32]

    /// Makes a table of distinct names.
    init(_ names: [[UInt8]]) {
        var size = 2
        while size < names.count * 2 {
            size *= 2
        }
        var slots = [Int32](repeating: -1, count: size)
        for (index, name) in names.enumerated() {
            var slot = Int(truncatingIfNeeded: FNV1a.hash(name.span)) & (size - 1)
            while slots[slot] >= 0 {
                slot = (slot + 1) & (size - 1)
            }
            slots[slot] = Int32(index)
        }
        self.names = names
        self.slots = slots
    }

    /// The index of a name; nil when it is none of them.
    ///
    /// Ends, because half of the slots are free.
    func index(of name: Span<UInt8>) -> Int? {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: FNV1a.hash(name)) & mask
        while slots[slot] >= 0 {
            let index = Int(slots[slot])
            let candidate = names[index]
            if Self.isEqual(candidate.span, name) { return index }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private static func isEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for index in left.indices where left[index] != right[index] {
            return false
        }
        return true
    }
}
