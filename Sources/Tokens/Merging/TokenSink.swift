// What becomes of tokens: a count, which needs no list of them, or the list. Generic code over these two is compiled
// twice and branches on neither.

/// Takes the tokens of a text in order.
protocol TokenSink {
    /// Whether no more are wanted.
    var isFull: Bool { get }
    /// Takes one token.
    mutating func take(_ id: UInt32)
    /// How many were taken.
    var mark: Int { get }
    /// Forgets all but the first so many.
    mutating func rewind(to mark: Int)
}

/// Counts, and has enough once over a limit.
struct CountingSink: TokenSink {
    private(set) var count = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    @inline(__always) var isFull: Bool { count > limit }

    @inline(__always)
    mutating func take(_ id: UInt32) { count &+= 1 }

    var mark: Int { count }

    mutating func rewind(to mark: Int) { count = mark }
}

/// Keeps the ids.
struct CollectingSink: TokenSink {
    private(set) var ids: [UInt32] = []

    var isFull: Bool { false }

    mutating func take(_ id: UInt32) { ids.append(id) }

    var mark: Int { ids.count }

    mutating func rewind(to mark: Int) { ids.removeLast(ids.count - mark) }
}
