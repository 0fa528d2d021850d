// What the split rules ask of a character, for all of Unicode 16.0: one byte of bits. Not the platform's tables: the
// vocabularies were trained with these, and a platform updates its own.

/// The class bits, and tables from text to them.
final class UnicodeClasses: Sendable {
    /// Lu, Lt, Lm, Lo or M: what may stand in the first part of a word of o200k_base.
    static let upper: UInt8 = 1
    /// Ll, Lm, Lo or M: what may stand in the second.
    static let lower: UInt8 = 2
    /// L.
    static let letter: UInt8 = 4
    /// N.
    static let number: UInt8 = 8
    /// White_Space.
    static let white: UInt8 = 16
    /// CR or LF, which are white too.
    static let lineEnd: UInt8 = 32
    /// The byte begins or continues a longer character.
    static let multibyte: UInt8 = 128

    /// Neither white space nor letter nor number: these bits are all clear.
    static let notOther: UInt8 = white | letter | number
    /// May not stand before a word: any of these bits set.
    static let notPrefix: UInt8 = lineEnd | letter | number

    static let shared = UnicodeClasses()

    /// By byte; `multibyte` for all that is not ASCII.
    let bytes: FixedTable<UInt8>
    private let blocks: FixedTable<UInt8>
    private let classes: FixedTable<UInt8>

    private init() {
        let stage1 = Self.stage1
        let stage2 = Self.stage2
        // No class holds for stage1's padding: it is never asked, since `end` is.
        blocks = FixedTable(exponent: 13, filler: 0) { table in
            for index in stage1.indices { table[index] = stage1[index] }
        }
        classes = FixedTable(exponent: 15, filler: 0) { table in
            for index in stage2.indices { table[index] = stage2[index] }
        }
        bytes = FixedTable(exponent: 8, filler: Self.multibyte) { table in
            for byte in 0..<0x80 { table[byte] = stage2[Int(stage1[0]) * 128 + byte] }
        }
    }

    /// The class bits of a code point.
    @inline(__always)
    func bits(of scalar: UInt32) -> UInt8 {
        guard scalar < Self.end else { return 0 }
        let block = Int(blocks[Int(truncatingIfNeeded: scalar >> 7)])
        return classes[block << 7 | Int(truncatingIfNeeded: scalar & 127)]
    }
}
