// Request ids for clients that send none: unguessable start, cheap sequence.

/// Makes ids of one worker; 128 bits, of which the first 64 name the worker's life.
struct RequestIDSource {
    private let prefix = UInt64.random(in: .min ... .max)
    private var random = FastRandom()

    mutating func next() -> String {
        let number = random.next()
        return unsafe String(unsafeUninitializedCapacity: 36) { text in
            unsafe (text[0], text[1], text[2], text[3]) = (0x72, 0x65, 0x71, 0x5F)  // "req_"
            for index in 0..<16 {
                unsafe text[4 + index] = Self.digit(prefix >> UInt64(60 - 4 * index))
                unsafe text[20 + index] = Self.digit(number >> UInt64(60 - 4 * index))
            }
            return 36
        }
    }

    private static func digit(_ value: UInt64) -> UInt8 {
        let nibble = UInt8(truncatingIfNeeded: value & 15)
        return nibble < 10 ? 0x30 + nibble : 0x57 + nibble
    }
}
