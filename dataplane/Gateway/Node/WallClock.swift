// The wall clock, for times that are shown to people; nothing is measured with it.

private import Glibc

/// The machine's idea of the date.
enum WallClock {
    /// Since the Unix epoch.
    static var milliseconds: Int64 {
        var time = timespec()
        let outcome = unsafe clock_gettime(CLOCK_REALTIME, &time)
        precondition(outcome == 0, "CLOCK_REALTIME is always there on Linux")
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
