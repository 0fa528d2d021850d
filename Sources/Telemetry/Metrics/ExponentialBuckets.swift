// Where a figure falls in a histogram whose buckets grow by an eighth of an octave: exact for whole numbers, without
// floating point, so that what lies on a boundary is in the same bucket on every machine.

private import Glibc

/// The buckets of all histograms: base 2^(1/8), OpenTelemetry's scale 3.
///
/// Bucket `index` holds what is greater than base^index and at most base^(index + 1), so that a figure that is
/// reported by the middle of its bucket is off by at most 4.5 %.
///
/// - Source: OpenTelemetry metrics data model, "Exponential Histogram".
public enum ExponentialBuckets {
    /// OpenTelemetry's scale.
    public static let scale: Int32 = 3
    /// Buckets of one doubling.
    static let perOctave = 8
    /// The index of the first bucket, which holds the 1.
    static let lowestIndex = -1
    /// Doublings that are told apart: up to 2^44, which is 16 TiB, or 4.5 hours; more is in the last bucket.
    static let octaves = 44
    /// How many buckets there are.
    static let count = octaves * perOctave + 1

    /// Durations are put into buckets in this unit, 2^-30 s, so that seconds are the ends of buckets.
    static let durationOctaves = 30

    /// A duration in units of 2^-30 s, rounded up, so that what is longer than a bucket's end is never in it.
    ///
    /// - Parameter nanoseconds: any.
    /// - Returns: the duration in that unit.
    @inline(__always)
    static func binary(nanoseconds: UInt64) -> UInt64 {
        // 2^92 / 10^9 rounded down: times 2^30 / 10^9, in 62 binary places.
        let (high, low) = nanoseconds.multipliedFullWidth(by: 4_951_760_157_141_521_099)
        let rounded = low.addingReportingOverflow(1 << 62 - 1)
        let top = high + (rounded.overflow ? 1 : 0)
        return top << 2 | rounded.partialValue >> 62
    }

    /// The bucket of a figure.
    ///
    /// - Parameter value: at least 1.
    /// - Returns: 0..<count, counted from the bucket of the 1.
    @inline(__always)
    static func position(of value: UInt64) -> Int {
        let zeros = value.leadingZeroBitCount
        let octave = 63 - zeros
        let mantissa = value << UInt64(zeros)
        guard mantissa != 1 << 63 else { return min(octave * perOctave, count - 1) }
        // 2^(63 + k/8) rounded down, k from 1 to 7: the boundaries within an octave that is shifted to the top. Written out,
        // because an array's subscript is a call in debug builds, and they are compared with every figure.
        var step = 1
        if mantissa > 10_058_158_527_438_640_870 { step += 1 }
        if mantissa > 10_968_499_650_544_839_023 { step += 1 }
        if mantissa > 11_961_233_684_655_323_370 { step += 1 }
        if mantissa > 13_043_817_825_332_782_212 { step += 1 }
        if mantissa > 14_224_384_202_002_324_189 { step += 1 }
        if mantissa > 15_511_800_964_685_064_948 { step += 1 }
        if mantissa > 16_915_738_899_553_466_670 { step += 1 }
        return min(octave * perOctave + step, count - 1)
    }

    /// The greatest figure of a bucket, in recorded units.
    static func upperBound(ofPosition position: Int) -> Double {
        exp2(Double(position) / Double(perOctave))
    }
}

extension ExponentialBuckets {
    /// From the middle of a bucket to its end: 2^(1/16).
    static let halfStep = exp2(1.0 / Double(2 * perOctave))
}
