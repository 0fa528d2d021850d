// What is counted into: numbers that one thread adds to and the reader of `/metrics` sums.

internal import Synchronization

/// A number that only grows.
///
/// Padded to its own cache lines, so that workers with cells of one series do not slow each other.
public final class Counter: Sendable {
    private let padding: [14 of UInt64] = .init(repeating: 0)
    private let count = Atomic<UInt64>(0)

    init() {}

    /// Costs one relaxed atomic add on a line that no other thread writes.
    public func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    /// What this cell counted.
    public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
    private let padding: [14 of UInt64] = .init(repeating: 0)
    private let level = Atomic<Int64>(0)

    init() {}

    /// Sets this cell.
    public func set(_ value: Int64) { level.store(value, ordering: .relaxed) }

    /// Adds to this cell; negative amounts take away.
    public func add(_ amount: Int64) { level.wrappingAdd(amount, ordering: .relaxed) }

    /// What this cell stands at.
    public var value: Int64 { level.load(ordering: .relaxed) }
}
