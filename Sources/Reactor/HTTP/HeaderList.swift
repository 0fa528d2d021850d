// libcurl takes headers as a linked list of C strings, looks through it for each of a dozen names and formats each
// line on its own. Ours are checked and complete, so they go in as one text of many lines: one node, no malloc.

private import CCurl
private import Glibc

/// The header list of one easy handle, in memory that is reused.
///
/// The list stays valid until the next `fill`; libcurl only reads it.
@safe final class HeaderList {
    /// Lines without a value switch off what libcurl would add on its own.
    private static let silenced: [StaticString] = ["Expect:", "Accept:", "Content-Type:"]
    private static let keptBytes = 16 << 10

    /// The silencing nodes, then the one with the lines.
    private let nodes: UnsafeMutablePointer<curl_slist>
    private var text: UnsafeMutablePointer<CChar>?
    private var textCapacity = 0

    init() {
        let count = Self.silenced.count
        unsafe nodes = UnsafeMutablePointer<curl_slist>.allocate(capacity: count + 1)
        for (index, line) in Self.silenced.enumerated() {
            let bytes = unsafe UnsafeMutableRawPointer(mutating: line.utf8Start).assumingMemoryBound(to: CChar.self)
            unsafe (nodes + index).initialize(to: curl_slist(data: bytes, next: nodes + index + 1))
        }
        unsafe (nodes + count).initialize(to: curl_slist(data: nil, next: nil))
    }

    deinit {
        unsafe free(text)
        unsafe nodes.deallocate()
    }

    /// Lays out the lines.
    ///
    /// - Returns: the list's head.
    /// - Throws: `invalidRequest` for a line with CR, LF or NUL, without a name, or with a header that frames the body.
    @unsafe func fill(_ lines: [String]) throws(TransferFailure) -> UnsafeRawPointer {
        let count = Self.silenced.count
        guard !lines.isEmpty else {
            unsafe nodes[count - 1].next = nil
            return unsafe UnsafeRawPointer(nodes)
        }
        var needed = 0
        for line in lines { needed += line.utf8.count + 2 }
        reserve(needed)
        guard let text = unsafe text else { preconditionFailure("out of memory for headers") }
        var end = unsafe text
        for line in lines {
            let count = line.utf8.count
            var line = line
            line.withUTF8 { bytes in
                if let start = bytes.baseAddress { unsafe memcpy(end, start, count) }
            }
            guard unsafe Self.isAllowed(end, count) else {
                throw TransferFailure(
                    reason: .invalidRequest,
                    sentRequest: false,
                    receivedBytes: false,
                    detail: "header"
                )
            }
            unsafe end[count] = CChar(bitPattern: UInt8(ascii: "\r"))
            unsafe end[count + 1] = CChar(bitPattern: UInt8(ascii: "\n"))
            unsafe end += count + 2
        }
        unsafe end[-2] = 0  // libcurl adds the last line's end
        unsafe nodes[count].data = text
        unsafe nodes[count - 1].next = nodes + count
        return unsafe UnsafeRawPointer(nodes)
    }

    private func reserve(_ bytes: Int) {
        guard unsafe bytes > textCapacity || text == nil || textCapacity > Self.keptBytes else { return }
        unsafe free(text)
        textCapacity = max(bytes, 1024)
        unsafe text = malloc(textCapacity)?.assumingMemoryBound(to: CChar.self)
    }

    @unsafe private static func isAllowed(_ line: UnsafePointer<CChar>, _ count: Int) -> Bool {
        guard count > 0, let colon = unsafe memchr(line, Int32(UInt8(ascii: ":")), count) else { return false }
        for byte: Int32 in [13, 10, 0] where unsafe memchr(line, byte, count) != nil { return false }
        switch unsafe colon - UnsafeMutableRawPointer(mutating: UnsafeRawPointer(line)) {
        case 0: return false
        case 14: return unsafe strncasecmp(line, "content-length", 14) != 0
        case 17: return unsafe strncasecmp(line, "transfer-encoding", 17) != 0
        default: return true
        }
    }
}
