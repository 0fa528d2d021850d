// What Prometheus's client libraries say of every process, under the names that their dashboards know; read from /proc
// when somebody asks.

private import Glibc

/// Shows the process among its metrics.
public enum ProcessMetrics {
    /// Registers `process_*` and `weir_build_info`.
    ///
    /// - Parameters:
    ///   - registry: where to.
    ///   - program: its name.
    ///   - version: of this build.
    public static func show(in registry: MetricRegistry, program: String, version: String) {
        registry.observeTotal("process.cpu", unit: .nanoseconds, help: "CPU time, user and system") {
            var usage = rusage()
            guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
            return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
        }
        registry.observe("process.resident_memory", unit: .bytes, help: "memory that is resident") {
            statusPages(field: 1)
        }
        registry.observe("process.virtual_memory", unit: .bytes, help: "address space in use") {
            statusPages(field: 0)
        }
        registry.observe("process.open_fds", help: "open file descriptors") { openDescriptors() }
        registry.observe("process.max_fds", help: "the most file descriptors that may be open") {
            var limit = rlimit()
            guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
            return Int64(clamping: limit.rlim_cur)
        }
        let start = UnixTime.nanoseconds / 1_000_000_000
        registry.observe("process.start_time", unit: .seconds, help: "when the process started, since the epoch") {
            Int64(clamping: start)
        }
        registry.observe(
            "weir.build.info",
            help: "1; the labels say what runs",
            labels: [MetricLabel("program", program), MetricLabel("version", version)]
        ) { 1 }
    }

    private static func nanoseconds(_ time: timeval) -> Int64 {
        Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_usec) * 1_000
    }

    /// A field of `/proc/self/statm`, which counts pages.
    private static func statusPages(field: Int) -> Int64 {
        let file = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 128)
        let length = unsafe read(file, &text, text.count)
        guard length > 0 else { return 0 }
        let fields = text[..<length].split(separator: UInt8(ascii: " "))
        guard field < fields.count, let pages = Int64(String(decoding: fields[field], as: UTF8.self)) else { return 0 }
        return pages * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func openDescriptors() -> Int64 {
        guard let directory = unsafe opendir("/proc/self/fd") else { return 0 }
        defer { unsafe closedir(directory) }
        // `.`, `..` and the descriptor of this listing are not the process's.
        var count: Int64 = -3
        while unsafe readdir(directory) != nil { count += 1 }
        return count
    }
}
