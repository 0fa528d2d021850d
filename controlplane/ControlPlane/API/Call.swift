// One request as handlers see it, and their answer: bounded bytes and text, no HTTP library types beyond this folder.

/// A request whose path matched, whose token was good and whose body has been read.
struct Call: Sendable {
    let method: String
    /// The path as sent, without the query.
    let path: String
    /// Values of the path's placeholders, percent-decoded.
    let parameters: [String: String]
    let query: Query
    /// Header values by lower-case name; of a doubled header, the first.
    let headers: [String: String]
    let body: [UInt8]
    let requestID: String
    /// Who asks, for the audit log.
    let actor: String

    /// A placeholder's value; its absence is a mistake of ours.
    func parameter(_ name: String) -> String {
        guard let value = parameters[name] else { preconditionFailure("the route has no such placeholder") }
        return value
    }

    /// The body as a JSON object.
    func object() throws(Problem) -> [JSON.Member] {
        let value: JSON
        do throws(JSONError) {
            value = try JSONParser.parse(body)
        } catch {
            throw .badRequest("The body is not JSON: \(error.reason), at byte \(error.offset).")
        }
        guard case .object(let members) = value else { throw .badRequest("The body must be a JSON object.") }
        return members
    }
}

/// What a handler answers.
struct Answer: Sendable {
    var status: Int = 200
    var contentType: String? = "application/json"
    var headers: [String: String] = [:]
    var body: [UInt8] = []

    /// A JSON answer.
    static func json(_ value: JSON, status: Int = 200, headers: [String: String] = [:]) -> Answer {
        Answer(status: status, headers: headers, body: value.bytes)
    }

    /// 204: done, nothing to say.
    static let noContent = Answer(status: 204, contentType: nil)
}

/// The query's parameters; each at most once.
struct Query: Sendable {
    private let values: [String: String]

    /// Splits and decodes a query string.
    ///
    /// - Parameter text: what follows `?`, possibly empty.
    /// - Throws: 400 for a parameter given twice or badly encoded.
    init(_ text: Substring) throws(Problem) {
        var values: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0], plusIsSpace: true),
                let value = Self.value(parts.count > 1 ? parts[1] : "")
            else { throw .badRequest("The query string is not well encoded.") }
            guard !name.utf8.contains(0), !value.utf8.contains(0) else { throw .badRequest("The query contains NUL.") }
            guard values.updateValue(value, forKey: name) == nil else {
                throw .badParameter(name, "given twice")
            }
        }
        self.values = values
    }

    /// Decodes a value; a bare `%` at its end is meant as one, as in `canary=10%`.
    private static func value(_ text: Substring) -> String? {
        if let value = percentDecoded(text, plusIsSpace: true) { return value }
        guard text.hasSuffix("%"), let value = percentDecoded(text.dropLast(), plusIsSpace: true) else { return nil }
        return value + "%"
    }

    subscript(name: String) -> String? { values[name] }

    /// What the call changes beside its body: empty, or the parameters by name; without those that say only how long to
    /// wait for the answer.
    var canonical: String {
        let said = values.filter { !AppliedWait.parameters.contains($0.key) }.sorted { $0.key < $1.key }
        return said.isEmpty ? "" : "?" + said.map { "\($0.key)=\($0.value)" }.joined(separator: "&")
    }

    /// Refuses parameters the operation does not know.
    func allowOnly(_ names: Set<String>) throws(Problem) {
        let unknown = values.keys.filter { !names.contains($0) }.sorted()
        guard unknown.isEmpty else {
            throw Problem(
                status: 400,
                code: "bad-request",
                title: "The request cannot be read",
                detail: nil,
                errors: unknown.map { FieldProblem(path: "?\($0)", reason: "unknown parameter") }
            )
        }
    }
}

/// The text that a percent-encoded one stands for; nil when it is cut short or not UTF-8.
func percentDecoded(_ text: Substring, plusIsSpace: Bool = false) -> String? {
    var decoded: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = bytes.next(), let low = bytes.next(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16),
                high != UInt8(ascii: "+"), high != UInt8(ascii: "-")
            else { return nil }
            decoded.append(value)
        case UInt8(ascii: "+") where plusIsSpace: decoded.append(0x20)
        default: decoded.append(byte)
        }
    }
    return String(validating: decoded, as: UTF8.self)
}
