// The wall clock, for what is shown to people. What is measured is measured with a monotonic clock; a span's two ends
// are told by the wall clock at its end less what the monotonic one says has passed since.

private import Glibc

/// Moments of the wall clock as OpenTelemetry wants them.
public enum UnixTime {
    /// Now, since the Unix epoch.
    public static var nanoseconds: UInt64 { read(CLOCK_REALTIME) }

    /// The wall clock's word for moments of the monotonic clock.
    ///
    /// Reads both clocks once, so that all moments of one span are told by the same offset and keep their order.
    public static func offset() -> UInt64 { nanoseconds &- read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        let outcome = unsafe clock_gettime(clock, &time)
        precondition(outcome == 0, "both clocks are always there on Linux")
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
