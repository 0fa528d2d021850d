// What the pipeline needs of a request's header fields, gathered in one pass over them.

import NIOHTTP1
import Policy
import Telemetry

/// The header fields that decide something, read once.
struct RequestHead {
    /// The credential, without its scheme; two different ones make `hasConflictingKeys`.
    private(set) var credential: String?
    private(set) var hasConflictingKeys = false
    private(set) var contentLength: Int?
    private(set) var isEncoded = false
    private(set) var expectsContinue = false
    private(set) var hasAnthropicVersion = false
    private(set) var hostCount = 0
    private(set) var isHostWellFormed = true
    private(set) var requestID: String?
    /// The values of `traceparent` and `tracestate`; of two parents neither is one.
    private var traceParent: String?
    private var traceParentCount = 0
    private var traceState: String?
    /// "Name: value" lines that go on to the provider.
    private(set) var forwarded: [String] = []

    private static let forwardedNames: [StaticString] = [
        "accept", "anthropic-beta", "anthropic-version", "idempotency-key", "openai-beta", "traceparent", "tracestate",
        "user-agent", "x-client-request-id",
    ]

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            read(name, value)
        }
    }

    /// One field.
    ///
    /// The names' lengths tell most of them apart before a byte is compared.
    private mutating func read(_ name: String, _ value: String) {
        switch name.utf8.count {
        case 4 where name.isField("host"):
            hostCount += 1
            isHostWellFormed = isHostWellFormed && Self.isHost(value)
        case 6 where name.isField("expect"):
            expectsContinue = value.isField("100-continue")
        case 7 where name.isField("api-key"):
            offer(value)
        case 9 where name.isField("x-api-key"):
            offer(value)
        case 12 where name.isField("x-request-id"):
            if Self.isRequestID(value) { requestID = value }
        case 13 where name.isField("authorization"):
            offer(Self.withoutScheme(value))
        case 14 where name.isField("content-length"):
            contentLength = Int(value)  // llhttp has refused what is not a number
        case 16 where name.isField("content-encoding"):
            isEncoded = !value.isField("identity")
        default:
            forward(name, value)
        }
    }

    private mutating func forward(_ name: String, _ value: String) {
        guard let known = Self.forwardedNames.first(where: { name.isField($0) }) else { return }
        if name.isField("anthropic-version") { hasAnthropicVersion = true }
        if name.isField("traceparent") {
            traceParent = value
            traceParentCount += 1
        } else if name.isField("tracestate") {
            traceState = traceState.map { "\($0),\(value)" } ?? value
        }
        // llhttp refuses control characters in values; libcurl would send them as they are, so look again.
        guard !value.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) else { return }
        forwarded.append("\(known): \(value)")
    }

    /// Where the request stands in its client's trace; nil when it does not say, or not well.
    var traceContext: TraceContext? {
        guard let traceParent, traceParentCount == 1 else { return nil }
        guard let traceState else { return TraceContext(parent: traceParent.utf8.span) }
        return TraceContext(parent: traceParent.utf8.span, state: traceState.utf8.span)
    }

    private mutating func offer(_ key: String) {
        if let credential, !credential.hasSameBytes(as: key) { hasConflictingKeys = true }
        credential = key
    }

    private static func withoutScheme(_ value: String) -> String {
        guard value.utf8.span.hasFieldPrefix("bearer ") else { return value }
        return String(Substring(value.utf8.dropFirst(7)))
    }

    /// 1 to 128 characters that are safe in a log line, a header and a URL.
    private static func isRequestID(_ value: String) -> Bool {
        (1...128).contains(value.utf8.count)
            && value.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: ":"):
                    true
                default: false
                }
            }
    }

    /// A registered name or address with an optional port: no path, blank or userinfo.
    private static func isHost(_ value: String) -> Bool {
        !value.isEmpty
            && value.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "@")
                    && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "?") && byte != UInt8(ascii: "#")
                    && byte != UInt8(ascii: ",")
            }
    }
}

/// A request's header fields as rules may read them.
final class RequestFields: RequestHeaders {
    private let fields: HTTPHeaders

    init(_ fields: HTTPHeaders) { self.fields = fields }

    func value(of name: [UInt8]) -> [UInt8]? {
        let found = fields.first { field, _ in
            field.utf8.span.isField(name.span)
        }
        return found.map { Array($0.value.utf8) }
    }

    func visit(_ show: (_ name: [UInt8], _ value: [UInt8]) -> Void) {
        for (name, value) in fields {
            let lower = name.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
            show(lower, Array(value.utf8))
        }
    }
}
