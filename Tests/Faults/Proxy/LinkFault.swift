// What can be wrong with a link between two parts, as one value: a test sets it, the proxy's loop obeys it.

/// A direction through a proxy.
enum Way: Sendable, CaseIterable {
    /// From the part that connects to the part that listens.
    case toServer
    /// Back.
    case toClient
}

/// The state of a link; the default is a good one.
struct LinkFault: Sendable {
    /// Nothing listens: connects are refused, and connections that exist are reset.
    var refuses = false
    /// Added to every piece of bytes on its way.
    var delay: Duration = .zero
    /// The share of pieces that the delay meets; the rest pass at once, but never overtake.
    var delayShare = 1.0
    /// Bytes a second in each direction; nil is as fast as it goes.
    var bytesPerSecond: Int?
    /// Directions in which bytes are held; what was held is delivered when the fault is lifted.
    var holds: Set<Way> = []
    /// After so many bytes to the client, counted from the connection's start, the connection is reset.
    var cutAfterBytes: Int?
    /// The share of bytes to the client that are changed.
    var corruptShare = 0.0

    static let none = LinkFault()
    static let refused = LinkFault(refuses: true)
    /// A half-open link: connections stand, new ones are accepted, and nothing ever comes through.
    static let blackHole = LinkFault(holds: Set(Way.allCases))
    static func delayed(_ delay: Duration, share: Double = 1) -> LinkFault {
        LinkFault(delay: delay, delayShare: share)
    }
}

/// A generator that a seed repeats: splitmix64, whose first outputs are good for any seed.
struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
