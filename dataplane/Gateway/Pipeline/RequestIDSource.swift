// Request ids for clients that send none: unguessable start, cheap sequence.

/// Makes ids of one worker; 128 bits, of which the first 64 name the worker's life.
struct RequestIDSource {
    private let prefix = UInt64.random(in: .min ... .max)
    private var state = UInt64.random(in: .min ... .max)

    mutating func next() -> String {
        // SplitMix64 (Steele, Lea and Flood, 2014): a permutation of the counter, so no id repeats in 2⁶⁴.
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        return unsafe String(unsafeUninitializedCapacity: 36) { text in
            unsafe (text[0], text[1], text[2], text[3]) = (0x72, 0x65, 0x71, 0x5F)  // "req_"
            for index in 0..<16 {
                unsafe text[4 + index] = Self.digit(prefix >> UInt64(60 - 4 * index))
                unsafe text[20 + index] = Self.digit(mixed >> UInt64(60 - 4 * index))
            }
            return 36
        }
    }

    private static func digit(_ value: UInt64) -> UInt8 {
        let nibble = UInt8(truncatingIfNeeded: value & 15)
        return nibble < 10 ? 0x30 + nibble : 0x57 + nibble
    }
}
