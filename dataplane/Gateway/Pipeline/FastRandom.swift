// Random numbers for ids of requests and traces: a system call for each would cost more than all else that is told of a
// request.

/// Numbers from a seed of the system's; no secrets are made of them.
struct FastRandom: RandomNumberGenerator {
    private var state = UInt64.random(in: .min ... .max)

    /// SplitMix64 (Steele, Lea and Flood, 2014): a permutation of the counter, so no number repeats in 2⁶⁴.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
