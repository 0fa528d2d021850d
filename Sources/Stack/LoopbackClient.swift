// A small HTTP/1.1 client for servers on this machine: the demo, probes and the end-to-end tests. It shows what came
// over the wire (status, header lines in order, body bytes as they arrive) and can hang up in the middle, which a
// full client hides. One connection per request, on a thread of its own; not for the request path.

private import Foundation

/// A request to a server on this machine.
public struct LoopbackRequest: Sendable {
    /// The method, in capitals.
    public var method: String
    /// `http://HOST:PORT/path?query` with a numeric host or `localhost`.
    public var url: String
    /// Header fields in order; `Host`, `Content-Length` and `Connection: close` are added.
    public var headers: [(name: String, value: String)]
    /// The body; sent with a Content-Length when it is not empty or the method is not GET.
    public var body: [UInt8]
    /// How long the whole exchange may take.
    public var deadline: Duration

    /// Describes a request; see the properties.
    public init(
        _ method: String,
        _ url: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = [],
        deadline: Duration = .seconds(30)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.deadline = deadline
    }
}

/// An answer as it came.
public struct LoopbackResponse: Sendable {
    /// How the body ended.
    public enum End: Sendable {
        /// As its framing promised.
        case complete
        /// The connection ended first.
        case cutOff
        /// We hung up.
        case hungUp
    }

    /// The status code.
    public var status: Int
    /// Header fields in order, names as they came.
    public var headers: [(name: String, value: String)]
    /// The body after transfer decoding.
    public var body: [UInt8]
    /// How it ended.
    public var end: End

    /// The first field of this name, whatever its case.
    ///
    /// - Parameter name: the field's name.
    /// - Returns: its value, or nil.
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// The body as text; broken UTF-8 is replaced.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// Sends requests to servers on this machine.
public enum LoopbackClient {
    /// Sends a request and reads the whole answer.
    ///
    /// - Parameters:
    ///   - request: what to send.
    ///   - onBody: sees each piece of the body as it arrives, on another thread; false hangs up.
    /// - Returns: the answer, also when it was cut off: see its `end`.
    /// - Throws: `.exchange` or `.system` when there was no answer.
    public static func send(
        _ request: LoopbackRequest,
        onBody: @escaping @Sendable ([UInt8]) -> Bool = { _ in true }
    ) async throws(StackError) -> LoopbackResponse {
        try await LoopbackConnection.onThread { () throws(StackError) in try exchange(request, onBody) }
    }

    private static func exchange(
        _ request: LoopbackRequest,
        _ onBody: ([UInt8]) -> Bool
    ) throws(StackError) -> LoopbackResponse {
        guard let target = Target(request.url) else {
            throw .exchange(url: request.url, reason: "not an http:// URL with a host and a port")
        }
        let connection = try LoopbackConnection(
            host: target.host,
            port: target.port,
            deadline: .now + request.deadline
        )
        var head = "\(request.method) \(target.path) HTTP/1.1\r\nHost: \(target.host):\(target.port)\r\n"
        head += "Connection: close\r\n"
        for (name, value) in request.headers { head += "\(name): \(value)\r\n" }
        if !request.body.isEmpty || request.method != "GET" { head += "Content-Length: \(request.body.count)\r\n" }
        do throws(StackError) {
            try connection.write(Array("\(head)\r\n".utf8) + request.body)
        } catch {
            // A server may refuse and close before it read the whole body; its answer is still to be had.
        }
        var reader = AnswerReader(connection: connection, url: request.url)
        return try reader.response(to: request.method, onBody)
    }

    private struct Target {
        var host: String
        var port: Int
        var path: String

        init?(_ url: String) {
            guard let parts = URLComponents(string: url), parts.scheme == "http", let host = parts.host else {
                return nil
            }
            self.host = host
            port = parts.port ?? 80
            path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
            if let query = parts.percentEncodedQuery { path += "?\(query)" }
        }
    }
}

/// Reads one answer off a connection.
///
/// Lenient on purpose: the servers' strictness is what is under test, not ours.
private struct AnswerReader {
    let connection: LoopbackConnection
    let url: String
    private var waiting: [UInt8] = []

    /// The longest head that is read.
    private static let maxHeadBytes = 1 << 20

    init(connection: LoopbackConnection, url: String) {
        self.connection = connection
        self.url = url
    }

    mutating func response(to method: String, _ onBody: ([UInt8]) -> Bool) throws(StackError) -> LoopbackResponse {
        var response = try head()
        while (100..<200).contains(response.status) { response = try head() }
        if method == "HEAD" || response.status == 204 || response.status == 304 { return response }
        do throws(StackError) {
            if response.header("transfer-encoding")?.lowercased() == "chunked" {
                try chunked(&response, onBody)
            } else if let length = response.header("content-length").flatMap({ Int($0) }) {
                try counted(length, &response, onBody)
            } else {
                while response.end == .complete, let piece = try next() { deliver(piece, &response, onBody) }
            }
        } catch .system {
            response.end = .cutOff  // a reset, mostly
        }
        return response
    }

    private mutating func head() throws(StackError) -> LoopbackResponse {
        let status = try line()
        let parts = status.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let code = Int(parts[1]) else {
            throw .exchange(url: url, reason: status.isEmpty ? "closed without an answer" : "not HTTP: \(status)")
        }
        var response = LoopbackResponse(status: code, headers: [], body: [], end: .complete)
        while true {
            let field = try line()
            if field.isEmpty { return response }
            let halves = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2 else { throw .exchange(url: url, reason: "not a header field: \(field)") }
            response.headers.append((String(halves[0]), halves[1].trimmingCharacters(in: .whitespaces)))
        }
    }

    private mutating func chunked(_ response: inout LoopbackResponse, _ onBody: ([UInt8]) -> Bool) throws(StackError) {
        while true {
            let header = try line()
            guard let size = Int(header.prefix { $0 != ";" }, radix: 16) else {
                response.end = .cutOff
                return
            }
            if size == 0 {
                while !(try line()).isEmpty {}
                return
            }
            try counted(size, &response, onBody)
            if response.end != .complete { return }
            _ = try line()
        }
    }

    private mutating func counted(
        _ count: Int,
        _ response: inout LoopbackResponse,
        _ onBody: ([UInt8]) -> Bool
    ) throws(StackError) {
        var left = count
        while left > 0 {
            guard let piece = try next(upTo: left) else {
                response.end = .cutOff
                return
            }
            left -= piece.count
            deliver(piece, &response, onBody)
            if response.end != .complete { return }
        }
    }

    private func deliver(_ piece: [UInt8], _ response: inout LoopbackResponse, _ onBody: ([UInt8]) -> Bool) {
        response.body += piece
        if !onBody(piece) { response.end = .hungUp }
    }

    private mutating func next(upTo limit: Int = .max) throws(StackError) -> [UInt8]? {
        if waiting.isEmpty { waiting = try connection.read() }
        if waiting.isEmpty { return nil }
        let piece = Array(waiting.prefix(limit))
        waiting.removeFirst(piece.count)
        return piece
    }

    /// One line without its end; empty also at the end of the connection.
    private mutating func line() throws(StackError) -> String {
        var looked = 0
        while true {
            if let end = waiting[looked...].firstIndex(of: UInt8(ascii: "\n")) {
                let bytes = waiting[..<end]
                let line = String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
                waiting.removeFirst(end + 1)
                return line
            }
            looked = waiting.count
            guard looked < Self.maxHeadBytes else { throw .exchange(url: url, reason: "an endless header line") }
            let more = try connection.read()
            if more.isEmpty { return "" }
            waiting += more
        }
    }
}
