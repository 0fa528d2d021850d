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

    /// - Parameter keepsLength: false when bytes are taken out of the body on its way.
    static func clientHeaders(_ head: ResponseHead, keepsLength: Bool) -> [(name: String, value: String)] {
        let named = connectionNamed(head)
        return head.headers.filter { name, _ in
            if !keepsLength, name.isField("content-length") { return false }
            return !dropped.contains { name.isField($0) } && !droppedPrefixes.contains { name.hasFieldPrefix($0) }
                && !named.contains { name.utf8.count == $0.utf8.count && name.lowercased().hasSameBytes(as: $0) }
        }
    }

    /// Fields that the `Connection` header declares hop-by-hop, in lower case.
    private static func connectionNamed(_ head: ResponseHead) -> [String] {
        head.headers.filter { $0.name.isField("connection") }.flatMap { _, value in
            value.utf8.split(separator: UInt8(ascii: ",")).map { part in
                String(Substring(part)).lowercased().filter { $0 != " " && $0 != "\t" }
            }
        }
    }
}

extension String {
    /// Whether the text begins with `prefix`, which is in lower case, in any ASCII case.
    func hasFieldPrefix(_ prefix: StaticString) -> Bool {
        let count = prefix.utf8CodeUnitCount
        guard utf8.count >= count else { return false }
        return String(Substring(utf8.prefix(count))).isField(prefix)
    }
}
