// A dependency that is down, or a client that does not stop, says the same thing a thousand times a second. The first
// lines of each kind are written, and then how many were not.

private import Synchronization

/// Lets a number of lines of one kind through in each window.
public final class RepeatLimiter: Sendable {
    /// How many lines of one kind are written in each window.
    public let maxLines: Int
    /// The windows.
    public let window: Duration
    /// Kinds that are told apart; those that share a place are counted together.
    static let places = 1_024

    private struct Place {
        var windowEnd: ContinuousClock.Instant?
        var written = 0
        var suppressed = 0
    }

    private let table: Mutex<[Place]>

    /// Makes a limiter that has let nothing through.
    public init(maxLines: Int = 20, window: Duration = .seconds(10)) {
        self.maxLines = maxLines
        self.window = window
        table = Mutex(Array(repeating: Place(), count: Self.places))
    }

    /// What becomes of a line.
    public enum Verdict: Equatable, Sendable {
        /// It is written; so many of its kind were not since the last one.
        case write(suppressed: Int)
        /// It is counted only.
        case suppress
    }

    /// Judges a line of a kind.
    ///
    /// - Parameters:
    ///   - label: of its logger.
    ///   - message: what all lines of the kind have in common.
    ///   - now: the time.
    /// - Returns: whether it is written.
    public func judge(label: String, message: String, now: ContinuousClock.Instant = .now) -> Verdict {
        var hasher = Hasher()
        hasher.combine(label)
        hasher.combine(message)
        let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.places))
        return table.withLock { table in
            if let end = table[index].windowEnd, now < end {
                guard table[index].written < maxLines else {
                    table[index].suppressed += 1
                    return .suppress
                }
            } else {
                table[index].windowEnd = now + window
                table[index].written = 0
            }
            table[index].written += 1
            defer { table[index].suppressed = 0 }
            return .write(suppressed: table[index].suppressed)
        }
    }
}
