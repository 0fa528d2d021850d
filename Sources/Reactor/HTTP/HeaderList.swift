// libcurl takes headers as a linked list of C strings. Built one malloc at a time it costs two per line; this one
// lies in two blocks that are filled anew for each request.

private import CCurl
private import Glibc

/// The header list of one easy handle, in memory that is reused.
///
/// The list stays valid until the next `fill`; libcurl only reads it.
@safe final class HeaderList {
    /// Lines without a value switch off what libcurl would add on its own.
    private static let silenced: [StaticString] = ["Expect:", "Accept:", "Content-Type:"]
    private static let keptBytes = 16 << 10

    private var text: UnsafeMutablePointer<CChar>?
    private var textCapacity = 0
    private var nodes: UnsafeMutablePointer<curl_slist>?
    private var nodeCapacity = 0

    deinit {
        unsafe free(text)
        unsafe free(nodes)
    }

    /// Lays out the lines.
    ///
    /// - Returns: the list's head.
    /// - Throws: `invalidRequest` for a line with CR, LF or NUL, without a name, or with a header that frames the body.
    @unsafe func fill(_ lines: [String]) throws(TransferFailure) -> UnsafeRawPointer {
        var needed = 0
        for line in lines { needed += line.utf8.count + 1 }
        unsafe reserve(textBytes: needed, nodeCount: lines.count + Self.silenced.count)
        guard let text = unsafe text, let nodes = unsafe nodes else { preconditionFailure("out of memory for headers") }
        var node = unsafe nodes
        for line in Self.silenced {
            unsafe node.pointee.data = UnsafeMutableRawPointer(mutating: line.utf8Start)
                .assumingMemoryBound(to: CChar.self)
            unsafe node.pointee.next = node + 1
            unsafe node += 1
        }
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
            unsafe end[count] = 0
            unsafe node.pointee.data = end
            unsafe node.pointee.next = node + 1
            unsafe node += 1
            unsafe end += count + 1
        }
        unsafe (node - 1).pointee.next = nil
        return UnsafeRawPointer(nodes)
    }

    @unsafe private func reserve(textBytes: Int, nodeCount: Int) {
        if unsafe textBytes > textCapacity || text == nil || textCapacity > Self.keptBytes {
            unsafe free(text)
            textCapacity = max(textBytes, 1024)
            unsafe text = malloc(textCapacity)?.assumingMemoryBound(to: CChar.self)
        }
        if nodeCount > nodeCapacity {
            unsafe free(nodes)
            nodeCapacity = max(nodeCount, 32)
            unsafe nodes = malloc(nodeCapacity * MemoryLayout<curl_slist>.stride)?
                .assumingMemoryBound(to: curl_slist.self)
        }
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
