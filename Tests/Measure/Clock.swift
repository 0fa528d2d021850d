// The two clocks of measurements: one that never goes back for durations, the wall's for windows.

import Glibc

enum Clock {
    /// Nanoseconds since the machine started.
    static var nanoseconds: Int64 { read(CLOCK_MONOTONIC) }

    /// Milliseconds since the Unix epoch.
    static var wallMilliseconds: Int64 { read(CLOCK_REALTIME) / 1_000_000 }

    static func sleep(untilNanoseconds time: Int64) {
        var target = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        while unsafe clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &target, nil) == EINTR {}
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
