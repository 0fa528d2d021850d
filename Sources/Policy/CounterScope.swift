// For whom a limit counts: `per` and `on_redis_failure`, as rate_limit and token_limit share them, and the name of the
// counter that a request charges.
//
// A counter is named by the policy and one part per entry of `per`, always in the same order, so that rewriting
// `per` in another order keeps the counts:
//
//     <policy id> [":k" key id] [":m" model] [":h" 32 hex digits | ":a" 32 hex digits]…
//
// Client text never stands in a name as it came: a header is the SHA-256 of its name and value, cut to 16 bytes, so
// that no two clients share a counter by construction and no user id lies in Redis; an absent header has a counter
// of its own (":a"). The app is not named because every counter lives in its app's slot (`weir:{app}:…`) anyway.
//
// Only header values are the client's to invent (a model that is not configured is answered 404 before), so only they
// need a bound on distinct values; what lies beyond it shares the counter `<policy id>:~`.

import Codec
import Limits
import Secrets

/// What one counter of a limit is for, and what becomes of it without Redis.
struct CounterScope: Sendable {
    /// Header names in lower case, sorted, no two alike.
    let headers: [String]
    let perKey: Bool
    let perModel: Bool
    let onRedisFailure: OutageRule
    private let parts: [HeaderPart]

    /// A header's share of counter names, hashed once when the program is loaded.
    private struct HeaderPart: Sendable {
        let name: [UInt8]
        /// What is hashed before the value: the name and a zero, which no header name or value contains.
        let hashPrefix: [UInt8]
        /// The counter part of requests without the header.
        let absent: [UInt8]
    }

    static let fields = ["per", "on_redis_failure"]
    static let maxEntries = 4
    static let maxHeaderNameBytes = 64
    static let headerPrefix = "header:"

    init(headers: [String] = [], perKey: Bool = false, perModel: Bool = false, onRedisFailure: OutageRule) {
        self.headers = headers
        self.perKey = perKey
        self.perModel = perModel
        self.onRedisFailure = onRedisFailure
        parts = headers.map { name in
            let prefix = Array(name.utf8) + [0]
            return HeaderPart(
                name: Array(name.utf8),
                hashPrefix: prefix,
                absent: Array(":a".utf8) + Self.hash(prefix)
            )
        }
    }

    /// Clients can make counters by inventing values.
    var isOpenEnded: Bool { !headers.isEmpty }

    /// RFC 9110 would allow more; these are what clients send, and they need no escape anywhere.
    static func isHeaderName(_ name: some Collection<UInt8>) -> Bool {
        (1...maxHeaderNameBytes).contains(name.count)
            && name.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    // MARK: Config

    /// Reads both fields; nil when one was wrong (then reported).
    static func read(_ config: inout ConfigReader) -> CounterScope? {
        let rule = config.choice("on_redis_failure", of: OutageRule.allCases, named: \.name) ?? .localShare
        guard config.has("per") else { return CounterScope(onRedisFailure: rule) }
        guard let entries = config.strings("per", maxCount: CounterScope.maxEntries) else { return nil }
        var headers: [String] = []
        var isPer = (key: false, model: false)
        var seen: [[UInt8]] = []
        var isSound = true
        for (path, text) in entries {
            let bytes = Array(text.utf8)
            var problem: String?
            if seen.contains(bytes) {
                problem = "must not repeat an entry"
            } else if bytes == Array("key".utf8) {
                isPer.key = true
            } else if bytes == Array("model".utf8) {
                isPer.model = true
            } else if bytes.starts(with: CounterScope.headerPrefix.utf8),
                CounterScope.isHeaderName(bytes.dropFirst(CounterScope.headerPrefix.utf8.count))
            {
                headers.append(String(text.dropFirst(CounterScope.headerPrefix.count)))
            } else if bytes != Array("app".utf8) {
                problem = "must be app, key, model or header:<name in lower case>"
            }
            if let problem {
                config.report(path, problem)
                isSound = false
            }
            seen.append(bytes)
        }
        guard isSound else { return nil }
        return CounterScope(
            headers: headers.sorted(),
            perKey: isPer.key,
            perModel: isPer.model,
            onRedisFailure: rule
        )
    }

    // MARK: Program

    func write(to writer: inout ByteWriter) {
        writer.write(u8: onRedisFailure.rawValue)
        writer.write(bool: perKey)
        writer.write(bool: perModel)
        writer.write(integer: Int64(headers.count))
        for name in headers { writer.write(string: name) }
    }

    init(from reader: inout ProgramReader) throws(ProgramError) {
        guard let rule = OutageRule(rawValue: try reader.u8()) else { throw reader.failure(.outOfBounds) }
        let perKey = try reader.bool()
        let perModel = try reader.bool()
        var headers: [String] = []
        for _ in 0..<(try reader.count(max: Self.maxEntries)) {
            let name = try reader.string(max: Self.maxHeaderNameBytes)
            guard Self.isHeaderName(name.utf8), headers.last.map({ $0 < name }) ?? true else {
                throw reader.failure(.outOfBounds)
            }
            headers.append(name)
        }
        self.init(headers: headers, perKey: perKey, perModel: perModel, onRedisFailure: rule)
    }

    // MARK: Requests

    /// The name that header values beyond the bound share; no other counter of the policy is named like it.
    static func sharedCounter(policyID: [UInt8]) -> [UInt8] { policyID + ":~".utf8 }

    /// The name of the counter that a request charges.
    func counter(_ request: borrowing PolicyRequest, policyID: [UInt8]) -> [UInt8] {
        var counter: [UInt8] = []
        counter.reserveCapacity(
            policyID.count + (perKey ? 18 : 0) + (perModel ? 34 : 0) + parts.count * 34
        )
        counter += policyID
        if perKey {
            counter += ":k".utf8
            counter += request.key.id
        }
        if perModel {
            counter += ":m".utf8
            Self.append(model: request.model, to: &counter)
        }
        for header in parts {
            guard let value = request.headers.value(of: header.name) else {
                counter += header.absent
                continue
            }
            counter += ":h".utf8
            counter += Self.hash(header.hashPrefix + value)
        }
        return counter
    }

    /// A short plain name as it is, so that a counter can be read; any other as its hash, told apart by `#`.
    private static func append(model: [UInt8], to counter: inout [UInt8]) {
        let isPlain =
            model.count <= 64
            && model.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: "/"):
                    true
                default: false
                }
            }
        if isPlain {
            counter += model
        } else {
            counter.append(UInt8(ascii: "#"))
            counter += hash(model)
        }
    }

    /// 16 bytes of SHA-256 in hex: collisions cost an attacker 2⁶⁴ tries, and then he shares a limit with himself.
    private static func hash(_ bytes: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        var hex: [UInt8] = []
        hex.reserveCapacity(32)
        for byte in SHA256.digest(bytes).bytes.prefix(16) {
            hex.append(digits[Int(byte >> 4)])
            hex.append(digits[Int(byte & 15)])
        }
        return hex
    }
}
