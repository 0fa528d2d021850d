// What a person sees while `weir dev` works: one line per step, and answers as they stream. Written straight to the
// descriptor, so that nothing waits in a buffer when the output is a pipe.

import Glibc

/// Standard output for people.
enum Console {
    static func line(_ text: String = "") { write("\(text)\n") }

    /// A step that was done: what, where, how long it took.
    static func step(_ name: String, _ detail: String, took: Duration? = nil) {
        let padded = name.count < 14 ? name + String(repeating: " ", count: 14 - name.count) : name
        let time = took.map { "  (\(seconds($0)))" } ?? ""
        line("  \(padded) \(detail)\(time)")
    }

    /// Standard error.
    static func complain(_ text: String) { write("weir dev: \(text)\n", to: 2) }

    static func write(_ text: String, to descriptor: Int32 = 1) {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            // A reader that left (a closed terminal, `| head`) is no reason to stop serving.
            guard count > 0 else { return }
            written += count
        }
    }

    private static func seconds(_ duration: Duration) -> String {
        let milliseconds = duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
        return milliseconds < 10_000
            ? "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s" : "\(milliseconds / 1000) s"
    }
}
