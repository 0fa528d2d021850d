// One keep-alive connection to a gateway, blocking, on the thread that uses it: cheap enough to send thousands of
// requests a second beside the system that is measured, and blind to all of an answer but what measurements need.

private import Glibc

/// What is kept of an answer.
struct WireAnswer {
    /// 0 when the connection ended without a whole answer.
    var status = 0
    /// `x-ratelimit-remaining-requests`, or -1.
    var remaining: Int64 = -1
    /// `x-ratelimit-reset-requests` in milliseconds, or -1.
    var resetMilliseconds: Int64 = -1
    /// The body after its framing was read; empty unless it was asked for.
    var body: [UInt8] = []
}

/// A connection that is made when it is needed and again after it broke.
final class Wire {
    private let port: Int
    private var descriptor: Int32 = -1
    private var buffer: [UInt8] = []

    init(port: Int) { self.port = port }

    deinit { hangUp() }

    /// Whether the connection stands, so that the next request can fail without the server having heard of it.
    var isOpen: Bool { descriptor >= 0 }

    func hangUp() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        buffer.removeAll(keepingCapacity: true)
    }

    /// Sends a whole request and waits for its whole answer, at most `seconds`.
    func exchange(_ request: [UInt8], keepingBody: Bool = false, seconds: Int = 10) -> WireAnswer {
        var answer = WireAnswer()
        guard isOpen || connect(seconds: seconds), write(request), read(into: &answer, keepingBody) else {
            hangUp()
            return WireAnswer()
        }
        return answer
    }

    private func connect(seconds: Int) -> Bool {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        var on: Int32 = 1
        unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe Glibc.connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return code == 0
    }

    private func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe send(descriptor, buffer.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    private func read(into answer: inout WireAnswer, _ keepsBody: Bool) -> Bool {
        var end = 0
        while true {
            if let found = Self.endOfHead(buffer, from: max(0, end - 3)) {
                end = found
                break
            }
            end = buffer.count
            guard more() else { return false }
        }
        var length: Int?
        var isChunked = false
        var isClosing = false
        var lineStart = 0
        for index in 0..<end where buffer[index] == UInt8(ascii: "\n") {
            let line = buffer[lineStart..<max(lineStart, index - 1)]
            lineStart = index + 1
            if answer.status == 0 {
                answer.status = Int(Self.integer(line.dropFirst(9).prefix(3)) ?? 0)
            } else if let value = Self.value(of: "content-length", line) {
                length = Self.integer(value).map { Int($0) }
            } else if Self.value(of: "transfer-encoding", line) != nil {
                isChunked = true
            } else if let value = Self.value(of: "connection", line) {
                isClosing = value.elementsEqual("close".utf8)
            } else if let value = Self.value(of: "x-ratelimit-remaining-requests", line) {
                answer.remaining = Self.integer(value) ?? -1
            } else if let value = Self.value(of: "x-ratelimit-reset-requests", line) {
                answer.resetMilliseconds = Self.goMilliseconds(value)
            }
        }
        buffer.removeFirst(end)
        if isChunked {
            guard readChunks(into: &answer, keepsBody) else { return false }
        } else if let length {
            guard take(length, into: &answer, keepsBody) else { return false }
        }
        if isClosing { hangUp() }
        return true
    }

    private func readChunks(into answer: inout WireAnswer, _ keepsBody: Bool) -> Bool {
        while true {
            while !buffer.contains(UInt8(ascii: "\n")) { guard more() else { return false } }
            guard let end = buffer.firstIndex(of: UInt8(ascii: "\n")) else { return false }
            var size = 0
            for byte in buffer[..<end] {
                guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else { break }
                size = size * 16 + digit
            }
            buffer.removeFirst(end + 1)
            guard take(size, into: &answer, keepsBody) else { return false }
            var skipped = WireAnswer()
            guard take(2, into: &skipped, false) else { return false }
            if size == 0 { return true }
        }
    }

    private func take(_ count: Int, into answer: inout WireAnswer, _ keepsBody: Bool) -> Bool {
        while buffer.count < count { guard more() else { return false } }
        if keepsBody { answer.body += buffer.prefix(count) }
        buffer.removeFirst(count)
        return true
    }

    private func more() -> Bool {
        let chunk = 16 << 10
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: chunk) { buffer, count in
            var received = 0
            repeat {
                received = unsafe recv(descriptor, buffer.baseAddress, chunk, 0)
            } while received < 0 && errno == EINTR
            count = max(received, 0)
        }
        buffer += bytes
        return !bytes.isEmpty
    }

    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        var index = start
        while index + 3 < bytes.count {
            if bytes[index] == 13, bytes[index + 1] == 10, bytes[index + 2] == 13, bytes[index + 3] == 10 {
                return index + 4
            }
            index += 1
        }
        return nil
    }

    private static func value(of name: String, _ line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let count = name.utf8.count
        guard line.count > count + 1, line[line.startIndex + count] == UInt8(ascii: ":") else { return nil }
        for (byte, wanted) in zip(line, name.utf8) where byte | 0x20 != wanted | 0x20 { return nil }
        return line.dropFirst(count + 1).drop { $0 == UInt8(ascii: " ") }
    }

    private static func integer(_ digits: ArraySlice<UInt8>) -> Int64? {
        digits.isEmpty ? nil : Int64(String(decoding: digits, as: UTF8.self))
    }

    /// Go's `time.Duration` text, such as `6ms` or `1m30.5s`, in milliseconds.
    private static func goMilliseconds(_ text: ArraySlice<UInt8>) -> Int64 {
        var total = 0.0
        var number = ""
        var rest = String(decoding: text, as: UTF8.self)[...]
        while let character = rest.first {
            if character.isNumber || character == "." {
                number.append(character)
                rest.removeFirst()
                continue
            }
            let (unit, scale): (String, Double) =
                rest.hasPrefix("ms")
                ? ("ms", 1)
                : rest.hasPrefix("s") ? ("s", 1_000) : rest.hasPrefix("m") ? ("m", 60_000) : ("h", 3_600_000)
            total += (Double(number) ?? 0) * scale
            number = ""
            rest.removeFirst(unit.count)
        }
        return Int64(total.rounded())
    }
}
