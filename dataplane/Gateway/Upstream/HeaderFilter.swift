// Which of a provider's header fields a client may see (DESIGN 10, WIRE.md section 7).

import Reactor

/// Drops what describes the connection or the provider's account.
enum HeaderFilter {
    private static let dropped: [StaticString] = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "trailers", "transfer-encoding", "upgrade", "set-cookie", "set-cookie2", "alt-svc", "strict-transport-security",
        "x-request-id", "request-id", "openai-organization", "openai-project", "anthropic-organization-id", "server",
        "x-weir-origin",
    ]

    /// The provider's own limits say nothing about ours; mixing them would mislead the SDKs.
    private static let droppedPrefixes: [StaticString] = ["x-ratelimit-", "anthropic-ratelimit-"]

    /// What goes on to the client; without the length when bytes are taken out of the body on its way.
    static func clientHeaders(_ head: ResponseHead, keepsLength: Bool) -> [(name: String, value: String)] {
        let connection = head.value(of: "connection") ?? []
        var headers: [(name: String, value: String)] = []
        headers.reserveCapacity(8)
        head.forEachField { name, value in
            guard keepsLength || !name.isField("content-length"), !isDropped(name),
                connection.isEmpty || !declares(connection.span, name)
            else { return }
            headers.append((String(copying: name), String(copying: value)))
        }
        return headers
    }

    static func isEventStream(_ head: ResponseHead) -> Bool {
        guard let type = head.value(of: "content-type") else { return false }
        return type.span.hasFieldPrefix("text/event-stream")
    }

    private static func isDropped(_ name: Span<UInt8>) -> Bool {
        for field in dropped where name.isField(field) { return true }
        for prefix in droppedPrefixes where name.hasFieldPrefix(prefix) { return true }
        return false
    }

    /// Whether the `Connection` field names the field as hop-by-hop.
    private static func declares(_ connection: Span<UInt8>, _ name: Span<UInt8>) -> Bool {
        var start = 0
        for index in 0...connection.count where index == connection.count || connection[index] == UInt8(ascii: ",") {
            var first = start
            var last = index
            while first < last, connection[first] == 0x20 || connection[first] == 0x09 { first += 1 }
            while last > first, connection[last - 1] == 0x20 || connection[last - 1] == 0x09 { last -= 1 }
            if connection.extracting(first..<last).isField(name) { return true }
            start = index + 1
        }
        return false
    }
}
