// How figures are spread: counts by bucket that one thread adds to, merged with those of other threads when they are
// read. No lock, no allocation; an example of a traced request is kept beside.

internal import Synchronization

/// The spread of a figure, in exponential buckets.
///
/// One cell of 2.8 KiB per thread that records; recording costs three relaxed atomic adds and two loads. Any thread may
/// record, threads with a cell of their own do not slow each other.
@safe
public final class Histogram: Sendable {
    /// Written by relaxed atomics only; lives as long as the cell.
    private nonisolated(unsafe) let buckets: UnsafeMutablePointer<Atomic<UInt64>>
    private let zeros = Atomic<UInt64>(0)
    private let sum = Atomic<UInt64>(0)
    private let least = Atomic<UInt64>(.max)
    private let greatest = Atomic<UInt64>(0)
    private let exemplars = Mutex<[Int: Exemplar]>([:])
    private let isDuration: Bool

    init(_ unit: MetricUnit) {
        isDuration = unit == .nanoseconds
        unsafe buckets = .allocate(capacity: ExponentialBuckets.count)
        for index in 0..<ExponentialBuckets.count { unsafe (buckets + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe buckets.deinitialize(count: ExponentialBuckets.count)
        unsafe buckets.deallocate()
    }

    /// Counts a figure in the unit that the metric is recorded in.
    public func record(_ value: UInt64) {
        if value == 0 {
            zeros.wrappingAdd(1, ordering: .relaxed)
        } else {
            unsafe buckets[ExponentialBuckets.position(of: bucketed(value))].wrappingAdd(1, ordering: .relaxed)
            sum.wrappingAdd(value, ordering: .relaxed)
        }
        // By exchange, because the standard library's atomic `min` and `max` compare UInt64 as signed (Swift 6.3).
        var known = least.load(ordering: .relaxed)
        while value < known {
            let (isDone, found) = least.weakCompareExchange(expected: known, desired: value, ordering: .relaxed)
            if isDone { break }
            known = found
        }
        known = greatest.load(ordering: .relaxed)
        while value > known {
            let (isDone, found) = greatest.weakCompareExchange(expected: known, desired: value, ordering: .relaxed)
            if isDone { break }
            known = found
        }
    }

    /// Counts a duration; a negative one as nothing.
    public func record(nanoseconds: Int64) { record(UInt64(max(nanoseconds, 0))) }

    /// Counts a figure of a request that is traced, and keeps it as an example.
    ///
    /// - Parameters:
    ///   - value: the figure.
    ///   - context: the span that it belongs to; nil, or one that is not sampled, is no example.
    public func record(_ value: UInt64, exemplar context: TraceContext?) {
        record(value)
        guard let context, context.isSampled else { return }
        // The latest of each doubling. Sampled requests are few; one that finds the reader there is no example.
        let octave = Exemplar.octave(of: bucketed(value))
        exemplars.withLockIfAvailable { $0[octave] = Exemplar(value: value, context: context) }
    }

    private func bucketed(_ value: UInt64) -> UInt64 {
        isDuration ? ExponentialBuckets.binary(nanoseconds: value) : value
    }

    /// Adds this cell's figures to others of its series.
    func add(to total: inout HistogramSnapshot) {
        for index in 0..<ExponentialBuckets.count {
            total.buckets[index] &+= unsafe buckets[index].load(ordering: .relaxed)
        }
        total.zeros &+= zeros.load(ordering: .relaxed)
        total.sum &+= sum.load(ordering: .relaxed)
        total.least = min(total.least, least.load(ordering: .relaxed))
        total.greatest = max(total.greatest, greatest.load(ordering: .relaxed))
        exemplars.withLock { total.exemplars.merge($0) { $0.unixNanoseconds > $1.unixNanoseconds ? $0 : $1 } }
    }
}

/// A figure of one traced request, so that a point of a graph leads to a trace.
public struct Exemplar: Sendable {
    /// In the unit that the metric is recorded in.
    public let value: UInt64
    /// The trace and the span.
    public let context: TraceContext
    /// When it was recorded, since the Unix epoch.
    public let unixNanoseconds: UInt64

    init(value: UInt64, context: TraceContext) {
        self.value = value
        self.context = context
        unixNanoseconds = UnixTime.nanoseconds
    }

    /// The doubling that a figure is in: at most 2^octave.
    static func octave(of value: UInt64) -> Int { value <= 1 ? 0 : 64 - (value - 1).leadingZeroBitCount }
}

/// What the cells of one series add up to.
public struct HistogramSnapshot: Sendable {
    /// By position; ``ExponentialBuckets`` says what each holds.
    var buckets = [UInt64](repeating: 0, count: ExponentialBuckets.count)
    /// Figures that were 0.
    public internal(set) var zeros: UInt64 = 0
    /// Of all figures, in recorded units; wraps.
    public internal(set) var sum: UInt64 = 0
    var least = UInt64.max
    var greatest: UInt64 = 0
    /// By the doubling that they are in.
    var exemplars: [Int: Exemplar] = [:]

    private let isDuration: Bool

    init(_ unit: MetricUnit) { isDuration = unit == .nanoseconds }

    /// How many figures were recorded.
    public var count: UInt64 { buckets.reduce(zeros, &+) }

    /// The least and the greatest figure; nil when there is none.
    public var range: ClosedRange<UInt64>? { least <= greatest ? least...greatest : nil }

    /// The buckets that are not empty as OTLP has them: the index of the first, and the counts from there on.
    ///
    /// Their bounds are in the unit that is shown, seconds for durations.
    public var filled: (offset: Int32, counts: ArraySlice<UInt64>) {
        guard let first = buckets.firstIndex(where: { $0 > 0 }), let last = buckets.lastIndex(where: { $0 > 0 }) else {
            return (0, [])
        }
        let shift = isDuration ? ExponentialBuckets.durationOctaves * ExponentialBuckets.perOctave : 0
        return (Int32(first + ExponentialBuckets.lowestIndex - shift), buckets[first...last])
    }

    /// Examples, the latest of each doubling.
    public var examples: [Exemplar] { exemplars.sorted { $0.key < $1.key }.map(\.value) }

    /// How many figures are at most 2^octave, of durations in 2^-30 s, for each of some octaves that ascend; exact,
    /// because every doubling ends with a bucket.
    func counts(upToOctaves octaves: [Int]) -> [UInt64] {
        var counts: [UInt64] = []
        counts.reserveCapacity(octaves.count)
        var (sum, position) = (zeros, 0)
        for octave in octaves {
            let last = min(octave * ExponentialBuckets.perOctave, ExponentialBuckets.count - 1)
            while position <= last {
                sum &+= buckets[position]
                position += 1
            }
            counts.append(sum)
        }
        return counts
    }

    /// An estimate of a quantile, off by at most 4.5 %.
    ///
    /// - Parameter quantile: 0...1.
    /// - Returns: in recorded units; nil when nothing was recorded.
    public func value(atQuantile quantile: Double) -> Double? {
        let total = count
        guard total > 0 else { return nil }
        let rank = max(UInt64((quantile * Double(total)).rounded(.up)), 1)
        var seen = zeros
        if seen >= rank { return 0 }
        for (position, bucket) in buckets.enumerated() where bucket > 0 {
            seen += bucket
            guard seen >= rank else { continue }
            let upper = ExponentialBuckets.upperBound(ofPosition: position)
            // The geometric middle: the same error both ways.
            let middle = position == 0 ? 1 : upper / ExponentialBuckets.halfStep
            return isDuration ? middle * 1e9 / Double(1 << ExponentialBuckets.durationOctaves) : middle
        }
        return Double(greatest)
    }
}
