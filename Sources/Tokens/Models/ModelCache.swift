// Remembers the profiles of the names that clients use now. Bounded, because names are client text; and with a place for
// the operator's word, which outranks the table.

/// Up to 50 model names and their profiles.
///
/// Confined to one loop; not shared.
public struct ModelCache: Sendable {
    /// Entries at most.
    public static let capacity = 50
    /// Longer names are looked up each time and never kept.
    public static let maxNameBytes = 256

    private struct Entry: Sendable {
        var name: [UInt8]
        var profile: ModelProfile
        /// When it was last asked for, by the cache's own count.
        var lastUse: UInt64
    }

    private var entries: [Entry] = []
    private var uses: UInt64 = 0

    /// An empty cache.
    public init() { entries.reserveCapacity(Self.capacity) }

    /// How many names are kept.
    public var count: Int { entries.count }

    /// Finds a model's profile; the least recently used name makes room for a new one.
    ///
    /// Allocates only for a name that is not kept yet.
    ///
    /// - Parameters:
    ///   - name: the model, as spelled.
    ///   - override: the encoding that the control plane names for it, if any; it is applied to what the table says.
    /// - Returns: the profile.
    public mutating func profile(_ name: Span<UInt8>, override: EncodingName? = nil) -> ModelProfile {
        let found = kept(name)
        guard let override else { return found }
        return found.counted(with: override)
    }

    private mutating func kept(_ name: Span<UInt8>) -> ModelProfile {
        guard name.count <= Self.maxNameBytes else { return ModelTable.profile(name) }
        uses += 1
        var oldest = 0
        for index in entries.indices {
            let kept = entries[index].name
            if kept.count == name.count,
                TextBytes.areEqual(name, from: 0, kept.span, from: 0, count: kept.count)
            {
                entries[index].lastUse = uses
                return entries[index].profile
            }
            if entries[index].lastUse < entries[oldest].lastUse { oldest = index }
        }
        let profile = ModelTable.profile(name)
        var kept: [UInt8] = []
        TextBytes.append(name, from: 0, to: name.count, into: &kept)
        let entry = Entry(name: kept, profile: profile, lastUse: uses)
        if entries.count < Self.capacity { entries.append(entry) } else { entries[oldest] = entry }
        return profile
    }

    /// Forgets everything: overrides or learned factors have changed.
    public mutating func removeAll() { entries.removeAll(keepingCapacity: true) }
}
