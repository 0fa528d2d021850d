// The wall clock, for what people and other machines read; durations use MonotonicTime.

private import Glibc

/// Time since the Unix epoch.
enum WallClock {
    static var milliseconds: Int64 {
        var time = timespec()
        let outcome = unsafe clock_gettime(CLOCK_REALTIME, &time)
        precondition(outcome == 0, "CLOCK_REALTIME is always there")
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// UTC with whole seconds, as in `2026-11-24T09:30:00Z`.
    static func rfc3339(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1_000)
        var parts = unsafe tm()
        guard unsafe gmtime_r(&seconds, &parts) != nil else { return "1970-01-01T00:00:00Z" }
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}
