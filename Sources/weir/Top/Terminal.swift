// A terminal that is borrowed for a while and given back as it was, however the program ends but by SIGKILL.

import Glibc

/// The alternate screen of the terminal on standard output, with keys coming one by one.
final class Terminal {
    private var before = termios()
    private let hasKeys: Bool

    /// Whether standard output is one.
    static var isThere: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Switches to the alternate screen.
    init() {
        hasKeys = unsafe isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before) == 0
        if hasKeys {
            var raw = before
            raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
            unsafe tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        }
        // A signal ends the wait for a key; who waits gives the terminal back.
        for code in [SIGINT, SIGTERM] { _ = signal(code) { _ in unsafe Terminal.isInterrupted = 1 } }
        write("\u{1B}[?1049h\u{1B}[?25l")
    }

    // Written by a signal handler and read by one thread: a word, and only ever from 0 to 1.
    private nonisolated(unsafe) static var isInterrupted: sig_atomic_t = 0

    /// Gives the terminal back.
    func restore() {
        write("\u{1B}[?25h\u{1B}[?1049l")
        if hasKeys { unsafe tcsetattr(STDIN_FILENO, TCSANOW, &before) }
    }

    /// Its size as it is now; 80 by 24 when it does not say.
    var size: (columns: Int, lines: Int) {
        var size = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows a frame in one write, so that it does not flicker.
    func show(_ lines: [String]) {
        write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J")
    }

    /// Waits for a key.
    ///
    /// - Parameter limit: how long, in milliseconds.
    /// - Returns: whether somebody wants to leave: `q`, or a signal.
    func isLeft(within limit: Int32) -> Bool {
        guard hasKeys else {
            usleep(UInt32(limit) * 1_000)
            return unsafe Self.isInterrupted != 0
        }
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&input, 1, limit) == 1 {
            var key: UInt8 = 0
            guard unsafe read(STDIN_FILENO, &key, 1) == 1 else { return true }
            if key == UInt8(ascii: "q") { return true }
        }
        return unsafe Self.isInterrupted != 0
    }

    private func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 else { return }  // the terminal is gone: there is nobody to show anything to
            bytes = bytes.dropFirst(count)
        }
    }
}
