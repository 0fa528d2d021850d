// Where log lines go: standard error, without ever making the writer wait for whoever reads it.

private import Glibc
private import Synchronization

/// Standard error as a sink of whole lines.
public enum LogOutput {
    private static let dropped = Atomic<UInt64>(0)
    /// Between asking for room and filling it, another thread could take it: the write would block.
    private static let turn = Mutex(())

    /// Lines that were dropped because nobody read standard error.
    public static var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }

    /// Writes one line of at most `JSONLogHandler.maxLineBytes`, or drops and counts it when the pipe is full.
    ///
    /// A pipe that polls as writable has room for `PIPE_BUF` bytes and takes that many in one piece, so lines of
    /// different threads do not mix. A reader that stops costs log lines, not requests.
    @Sendable
    public static func writeToStandardError(_ line: [UInt8]) {
        if !write(line, to: STDERR_FILENO) { dropped.wrappingAdd(1, ordering: .relaxed) }
    }

    /// False when the line was not written, or not whole.
    static func write(_ line: [UInt8], to fileDescriptor: Int32) -> Bool {
        turn.withLock { _ in
            var readiness = pollfd(fd: fileDescriptor, events: Int16(POLLOUT), revents: 0)
            guard unsafe poll(&readiness, 1, 0) == 1, Int32(readiness.revents) & POLLOUT != 0 else { return false }
            let written = unsafe line.withUnsafeBytes { bytes in
                unsafe Glibc.write(fileDescriptor, bytes.baseAddress, bytes.count)
            }
            return written == line.count
        }
    }
}
