// The only clock the data plane measures with: it never steps, whatever the wall clock does.

private import Glibc

/// A point on the machine's monotonic clock.
public struct MonotonicTime: Comparable, Hashable, Sendable {
    /// Nanoseconds since an arbitrary origin that is fixed while the machine runs.
    public let nanoseconds: UInt64

    /// Makes a point from nanoseconds since the clock's origin.
    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// Reads the clock: one vDSO call, no system call.
    public static var now: MonotonicTime {
        var time = timespec()
        let outcome = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        precondition(outcome == 0, "CLOCK_MONOTONIC is always there on Linux")
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    /// The time since the clock's origin; what pure state machines take as `now`.
    public var sinceOrigin: Duration { .nanoseconds(Int64(clamping: nanoseconds)) }

    /// The earlier point first.
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The point `duration` later, saturating at both ends of the clock.
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return MonotonicTime(nanoseconds: seconds < 0 ? 0 : .max) }
        let delta = whole &+ attoseconds / 1_000_000_000
        if delta >= 0 {
            let (sum, overflow) = time.nanoseconds.addingReportingOverflow(UInt64(delta))
            return MonotonicTime(nanoseconds: overflow ? .max : sum)
        }
        return MonotonicTime(nanoseconds: time.nanoseconds > delta.magnitude ? time.nanoseconds - delta.magnitude : 0)
    }

    /// The time from `earlier` to `later`; negative when they are the other way round.
    public static func - (later: MonotonicTime, earlier: MonotonicTime) -> Duration {
        .nanoseconds(Int64(bitPattern: later.nanoseconds &- earlier.nanoseconds))
    }
}
