// A limit over a window, as rate_limit and token_limit share it: its three config fields, its part of a program, and
// the name of the counter that a request charges.
//
// A counter is named by the policy and one part per entry of `per`, always in the same order, so that rewriting
// `per` in another order keeps the counts:
//
//     <policy id> [":k" key id] [":m" model] [":h" 32 hex digits | ":a" 32 hex digits]…
//
// Client text never stands in a name as it came: a header is the SHA-256 of its name and value, cut to 16 bytes, so
// that no two clients share a counter by construction and no user id lies in Redis; an absent header has a counter
// of its own (":a"). The app is not named because every counter lives in its app's slot (`weir:{app}:…`) anyway.

import Codec
import Limits
import Secrets

/// What one counter of a limit is for.
struct CounterScope: Equatable, Sendable {
    /// Header names in lower case, sorted, no two alike.
    let headers: [String]
    let perKey: Bool
    let perModel: Bool

    static let app = CounterScope(headers: [], perKey: false, perModel: false)
    static let maxEntries = 4
    static let maxHeaderNameBytes = 64
    static let headerPrefix = "header:"

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
}

/// A limit over a window: what it admits, for how long, for whom.
struct WindowLimit: Sendable {
    let limit: Int64
    let windowMilliseconds: Int64
    let algorithm: WindowAlgorithm
    let scope: CounterScope
    private let headers: [HeaderPart]

    /// A header's share of counter names, hashed once when the program is loaded.
    private struct HeaderPart: Sendable {
        let name: [UInt8]
        /// What is hashed before the value: the name and a zero, which no header name or value contains.
        let hashPrefix: [UInt8]
        /// The counter part of requests without the header.
        let absent: [UInt8]
    }

    /// 10¹⁵: below 2⁵³, a Lua number's exact range, with room to add.
    static let limitRange: ClosedRange<Int64> = 1...1_000_000_000_000_000
    static let windowRange: ClosedRange<Int64> = 1_000...(31 * 86_400_000)

    init(limit: Int64, windowMilliseconds: Int64, algorithm: WindowAlgorithm, scope: CounterScope) {
        self.limit = limit
        self.windowMilliseconds = windowMilliseconds
        self.algorithm = algorithm
        self.scope = scope
        headers = scope.headers.map { name in
            let prefix = Array(name.utf8) + [0]
            return HeaderPart(
                name: Array(name.utf8),
                hashPrefix: prefix,
                absent: Array(":a".utf8) + Self.hash(prefix)
            )
        }
    }

    // MARK: Config

    /// Reads `limit`, `window` and `per`; nil when one was missing or wrong (then reported).
    static func read(_ config: inout ConfigReader, algorithm: WindowAlgorithm) -> WindowLimit? {
        config.require("limit")
        config.require("window")
        let limit = config.integer("limit", in: limitRange)
        let window = window(&config)
        let scope = scope(&config)
        guard let limit, let window, let scope else { return nil }
        return WindowLimit(limit: limit, windowMilliseconds: window, algorithm: algorithm, scope: scope)
    }

    private static func window(_ config: inout ConfigReader) -> Int64? {
        guard let text = config.string("window") else { return nil }
        guard let milliseconds = milliseconds(text) else {
            config.report("/window", "must be a whole number and s, m, h or d, 1s to 31d, like \"1m\"")
            return nil
        }
        return milliseconds
    }

    /// A duration such as `15m`: digits without a leading zero, then one unit.
    static func milliseconds(_ text: String) -> Int64? {
        var digits = Array(text.utf8)
        guard let unit = digits.popLast(), (1...7).contains(digits.count), digits.first != UInt8(ascii: "0") else {
            return nil
        }
        let unitMilliseconds: Int64
        switch unit {
        case UInt8(ascii: "s"): unitMilliseconds = 1_000
        case UInt8(ascii: "m"): unitMilliseconds = 60_000
        case UInt8(ascii: "h"): unitMilliseconds = 3_600_000
        case UInt8(ascii: "d"): unitMilliseconds = 86_400_000
        default: return nil
        }
        var count: Int64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            count = count * 10 + Int64(digit - UInt8(ascii: "0"))
        }
        let milliseconds = count * unitMilliseconds
        return windowRange.contains(milliseconds) ? milliseconds : nil
    }

    private static func scope(_ config: inout ConfigReader) -> CounterScope? {
        guard config.has("per") else { return .app }
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
        return isSound
            ? CounterScope(headers: headers.sorted(), perKey: isPer.key, perModel: isPer.model) : nil
    }

    // MARK: Program

    func write(to writer: inout ByteWriter) {
        writer.write(integer: limit)
        writer.write(integer: windowMilliseconds)
        writer.write(u8: algorithm.rawValue)
        writer.write(bool: scope.perKey)
        writer.write(bool: scope.perModel)
        writer.write(integer: Int64(scope.headers.count))
        for name in scope.headers { writer.write(string: name) }
    }

    init(from reader: inout ProgramReader) throws(ProgramError) {
        let limit = try reader.integer(in: Self.limitRange)
        let window = try reader.integer(in: Self.windowRange)
        guard window.isMultiple(of: 1_000) else { throw reader.failure(.outOfBounds) }
        guard let algorithm = WindowAlgorithm(rawValue: try reader.u8()) else { throw reader.failure(.outOfBounds) }
        let perKey = try reader.bool()
        let perModel = try reader.bool()
        var headers: [String] = []
        for _ in 0..<(try reader.count(max: CounterScope.maxEntries)) {
            let name = try reader.string(max: CounterScope.maxHeaderNameBytes)
            guard CounterScope.isHeaderName(name.utf8), headers.last.map({ $0 < name }) ?? true else {
                throw reader.failure(.outOfBounds)
            }
            headers.append(name)
        }
        self.init(
            limit: limit,
            windowMilliseconds: window,
            algorithm: algorithm,
            scope: CounterScope(headers: headers, perKey: perKey, perModel: perModel)
        )
    }

    // MARK: Requests

    /// The claim of a request that takes `cost` of the limit.
    func claim(
        _ request: borrowing PolicyRequest,
        rule: Int,
        policyID: [UInt8],
        unit: LimitUnit,
        cost: Int64,
        isShadow: Bool
    ) -> LimitClaim {
        LimitClaim(
            rule: rule,
            counter: counter(request, policyID: policyID),
            limit: limit,
            windowMilliseconds: windowMilliseconds,
            algorithm: algorithm,
            unit: unit,
            cost: cost,
            isShadow: isShadow
        )
    }

    private func counter(_ request: borrowing PolicyRequest, policyID: [UInt8]) -> [UInt8] {
        var counter: [UInt8] = []
        counter.reserveCapacity(
            policyID.count + (scope.perKey ? 18 : 0) + (scope.perModel ? 34 : 0) + headers.count * 34
        )
        counter += policyID
        if scope.perKey {
            counter += ":k".utf8
            counter += request.key.id
        }
        if scope.perModel {
            counter += ":m".utf8
            Self.append(model: request.model, to: &counter)
        }
        for header in headers {
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
