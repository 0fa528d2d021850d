// The admin API as `weir dev` and the tests use it: a token, JSON in and out, and a problem that says what was refused.

/// Calls a control plane's REST API.
public struct AdminClient: Sendable {
    /// An answer with its headers.
    public struct Answer: Sendable {
        /// The status code.
        public let status: Int
        /// The body; null when it is empty.
        public let json: JSONValue
        /// The whole answer.
        public let response: LoopbackResponse
    }

    /// The control plane's base URL.
    public let url: String
    private let token: String

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - url: base URL, without a trailing slash.
    ///   - token: an admin token.
    public init(url: String, token: String) {
        self.url = url
        self.token = token
    }

    /// Sends a request, whatever the answer.
    ///
    /// - Parameters:
    ///   - method: the HTTP method.
    ///   - path: from `/v1` on, with its query.
    ///   - body: sent as JSON.
    ///   - headers: sent besides.
    /// - Returns: the answer.
    /// - Throws: when there is none.
    public func send(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        headers: [(name: String, value: String)] = []
    ) async throws(StackError) -> Answer {
        var all = headers
        all.append(("Authorization", "Bearer \(token)"))
        if body != nil { all.append(("Content-Type", "application/json")) }
        let request = LoopbackRequest(method, url + path, headers: all, body: body?.bytes ?? [])
        let response = try await LoopbackClient.send(request)
        let json: JSONValue = response.body.isEmpty ? .null : try JSONValue(parsing: response.body)
        return Answer(status: response.status, json: json, response: response)
    }

    /// Sends a request that must succeed.
    ///
    /// - Parameters:
    ///   - method: the HTTP method.
    ///   - path: from `/v1` on, with its query.
    ///   - body: sent as JSON.
    ///   - headers: sent besides.
    /// - Returns: the answer's body.
    /// - Throws: `.other` with the problem's text for any status but 2xx.
    @discardableResult
    public func call(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        headers: [(name: String, value: String)] = []
    ) async throws(StackError) -> JSONValue {
        let answer = try await send(method, path, body, headers: headers)
        guard (200..<300).contains(answer.status) else {
            throw .other("\(method) \(path) was answered \(answer.status): \(answer.response.text)")
        }
        return answer.json
    }

    /// All of a collection, over its pages.
    ///
    /// - Parameter path: the collection, without a query.
    /// - Returns: its resources, oldest first.
    /// - Throws: what a page's request threw.
    public func list(_ path: String) async throws(StackError) -> [JSONValue] {
        var all: [JSONValue] = []
        var query = "?limit=200"
        while true {
            let page = try await call("GET", path + query)
            all += page["data"]?.elements ?? []
            guard let cursor = page["next_cursor"]?.text else { return all }
            query = "?limit=200&cursor=\(cursor)"
        }
    }

    /// Makes a resource of this name, or brings the existing one to what is wanted, and waits until nodes enforce it.
    ///
    /// - Parameters:
    ///   - path: the collection.
    ///   - wanted: its members, `name` among them; members not given keep their value.
    ///   - writeOnly: members that reading does not show; a resource with such is written each time.
    /// - Returns: the resource.
    /// - Throws: what a request threw.
    public func ensure(
        _ path: String,
        _ wanted: [String: JSONValue],
        writeOnly: [String: JSONValue] = [:]
    ) async throws(StackError) -> JSONValue {
        let given = wanted.merging(writeOnly) { first, _ in first }
        guard let existing = try await list(path).first(where: { $0["name"] == wanted["name"] }) else {
            return try await call("POST", "\(path)?wait=applied", .object(given))
        }
        // What reading does not show may have changed.
        let differs = !writeOnly.isEmpty || wanted.contains { name, value in existing[name] != value }
        guard differs, let id = existing["id"]?.text, case .object(let members) = existing else { return existing }
        let current = try await send("GET", "\(path)/\(id)")
        guard let etag = current.response.header("etag") else { throw .other("\(path)/\(id) has no ETag") }
        let merged = members.merging(given) { _, new in new }
        return try await call("PUT", "\(path)/\(id)?wait=applied", .object(merged), headers: [("If-Match", etag)])
    }
}
