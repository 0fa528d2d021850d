// Lookup tables whose size is a power of two, so that any index can be cut to fit instead of being checked: they are
// read once or twice for every few bytes of text. One of the module's three files with unsafe expressions.

private import Glibc

/// Memory of 2ⁿ entries that is filled once and then only read.
///
/// Safe although its storage is not: every index is masked to the entries that exist, and the memory lives as long as
/// the table. Entries are trivial values.
@safe final class FixedTable<Element: BitwiseCopyable & Sendable>: Sendable {
    /// Entries minus one.
    let mask: Int
    // Written by the initializer alone, before the table is shared.
    nonisolated(unsafe) private let base: UnsafeMutablePointer<Element>

    /// Makes a table and lets a closure fill it.
    ///
    /// - Parameters:
    ///   - exponent: the table has 2 to this power entries, 0...30.
    ///   - filler: what empty entries hold.
    ///   - fill: writes the entries.
    init(exponent: Int, filler: Element, _ fill: (inout MutableSpan<Element>) -> Void) {
        let count = 1 << exponent
        mask = count - 1
        let bytes = count * MemoryLayout<Element>.stride
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: bytes,
            alignment: bytes >= Self.hugePageBytes ? Self.hugePageBytes : MemoryLayout<Element>.alignment
        )
        // Random lookups in megabytes miss the TLB more than the cache; a refusal costs nothing but that.
        if bytes >= Self.hugePageBytes { _ = unsafe madvise(raw, bytes, MADV_HUGEPAGE) }
        unsafe base = raw.initializeMemory(as: Element.self, repeating: filler, count: count)
        var entries = unsafe MutableSpan(_unsafeElements: UnsafeMutableBufferPointer(start: base, count: count))
        fill(&entries)
    }

    deinit { unsafe base.deallocate() }

    private static var hugePageBytes: Int { 2 << 20 }

    /// The entry at an index, whose higher bits are ignored.
    @inline(__always)
    subscript(index: Int) -> Element { unsafe base[index & mask] }
}
