// Programs as a node meets them: from a snapshot that may be newer, broken or hostile.

import Codec
import LLMWire
import Limits
import Testing

@testable import Policy

private let configs: [(kind: String, config: ConfigValue)] = [
    ("request_size", ["max_bytes": 70_000]),
    ("model_allowlist", ["allow": ["gpt-4o*", "modèle"], "deny": ["*-preview"]]),
    ("model_allowlist", ["deny": ["a"]]),
    ("rate_limit", ["limit": 100, "window": "1m", "per": ["key", "model", "header:x-a", "header:x-b"]]),
    ("rate_limit", ["limit": 7, "window": "1h", "algorithm": "token_bucket", "burst": 3, "max_concurrent": 2]),
    ("rate_limit", ["max_concurrent": 2, "on_redis_failure": "deny"]),
    (
        "token_limit",
        [
            "max_prompt_tokens": 5, "max_total_tokens": 7, "limit": 9, "window": "1d", "per": ["header:x-u"],
            "algorithm": "sliding_window",
        ]
    ),
]

@Suite struct `A program` {
    @Test(arguments: configs.indices)
    func `is refused when anything is cut off or added`(index: Int) throws {
        let kind = try #require(PolicyRegistry.standard.kind(named: configs[index].kind))
        let program = try kind.compile(configs[index].config)
        #expect(throws: Never.self) { try kind.load(program) }
        for count in 0..<program.count {
            #expect(throws: ProgramError.self) { try kind.load(Array(program.prefix(count))) }
        }
        let error = #expect(throws: ProgramError.self) { try kind.load(program + [0]) }
        #expect(error?.reason == .malformed)
    }

    @Test(arguments: configs.indices)
    func `is refused by another kind and in another version`(index: Int) throws {
        let kind = try #require(PolicyRegistry.standard.kind(named: configs[index].kind))
        var program = try kind.compile(configs[index].config)
        for name in PolicyRegistry.standard.names where name != kind.name {
            let error = #expect(throws: ProgramError.self) {
                try #require(PolicyRegistry.standard.kind(named: name)).load(program)
            }
            #expect(error?.reason == .wrongKind)
        }
        program[0] = 2
        let error = #expect(throws: ProgramError.self) { try kind.load(program) }
        #expect(error?.reason == .unknownVersion(2))
    }

    @Test func `is refused when it holds what no config can`() throws {
        let kinds = PolicyRegistry.standard
        func load(_ kind: String, _ fields: (inout ByteWriter) -> Void) throws {
            var writer = makeProgram(of: kind)
            fields(&writer)
            _ = try #require(kinds.kind(named: kind)).load(writer.bytes)
        }
        func rate(
            _ writer: inout ByteWriter,
            headers: [String] = [],
            limit: UInt64 = 1,
            window: UInt64 = 1_000,
            algorithm: UInt8 = 0,
            burst: UInt64? = nil,
            distinct: UInt64 = 1,
            outage: UInt8 = 0,
            concurrent: UInt64? = nil
        ) {
            writer.write(u8: outage)
            writer.write(bool: false)
            writer.write(bool: false)
            writer.write(varint: UInt64(headers.count))
            for header in headers { writer.write(string: header) }
            writer.write(bool: true)
            writer.write(varint: limit)
            writer.write(varint: window)
            writer.write(u8: algorithm)
            writer.write(varint: burst ?? limit)
            writer.write(varint: distinct)
            writer.write(bool: concurrent != nil)
            if let concurrent { writer.write(varint: concurrent) }
        }
        #expect(throws: Never.self) { try load("rate_limit") { rate(&$0, headers: ["a", "b"], concurrent: 1) } }
        #expect(throws: Never.self) { try load("rate_limit") { rate(&$0, algorithm: 2, burst: 9) } }
        for headers in [["b", "a"], ["a", "a"], ["A"], [""], ["a\0"], ["a", "b", "c", "d", "e"]] {
            #expect(throws: ProgramError.self) { try load("rate_limit") { rate(&$0, headers: headers) } }
        }
        for limit in [0, 1_000_000_000_000_001, .max] as [UInt64] {
            #expect(throws: ProgramError.self) { try load("rate_limit") { rate(&$0, limit: limit) } }
        }
        // A window of a fraction of a second, or longer than 31 days.
        for length in [0, 999, 1_001, 31 * 86_400_000 + 1_000, .max] as [UInt64] {
            #expect(throws: ProgramError.self) { try load("rate_limit") { rate(&$0, window: length) } }
        }
        // Concurrency has no window, and only a bucket has a burst, which must be countable.
        for (algorithm, burst) in [(3, 1), (4, 1), (0, 2), (1, 2), (2, 0), (2, 1 << 53)] as [(UInt8, UInt64)] {
            #expect(throws: ProgramError.self) {
                try load("rate_limit") { rate(&$0, algorithm: algorithm, burst: burst) }
            }
        }
        for count in [0, 1_000_001, .max] as [UInt64] {
            #expect(throws: ProgramError.self) { try load("rate_limit") { rate(&$0, distinct: count) } }
        }
        for count in [0, 1_000_000_001, .max] as [UInt64] {
            #expect(throws: ProgramError.self) { try load("rate_limit") { rate(&$0, concurrent: count) } }
        }
        #expect(throws: ProgramError.self) { try load("rate_limit") { rate(&$0, outage: 3) } }
        // Neither a window nor requests in flight.
        #expect(throws: ProgramError.self) {
            try load("rate_limit") { writer in
                writer.write(u8: 0)
                for _ in 0..<2 { writer.write(bool: false) }
                writer.write(varint: 0)
                for _ in 0..<2 { writer.write(bool: false) }
            }
        }
        #expect(throws: ProgramError.self) { try load("request_size") { $0.write(varint: 0) } }
        #expect(throws: ProgramError.self) { try load("request_size") { $0.write(varint: 1 << 40) } }
        #expect(throws: ProgramError.self) { try load("token_limit") { for _ in 0..<4 { $0.write(bool: false) } } }
    }

    @Test(arguments: 0..<1_000 as Range<UInt64>)
    func `never traps when it is mutated, nor does the rule it makes`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let (name, config) = configs[Int.random(in: 0..<configs.count, using: &random)]
        let kind = try #require(PolicyRegistry.standard.kind(named: name))
        var program = try kind.compile(config)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0..<program.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: program[place] = UInt8.random(in: .min ... .max, using: &random)
            case 1: program[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: program.insert([0, 1, 0x7F, 0x80, 0xFF][Int.random(in: 0..<5, using: &random)], at: place)
            default: if program.count > 1 { program.remove(at: place) }
            }
        }
        do {
            let rule = try kind.load(program)
            let request = try makeRequest(upstream: ["gpt-4o-preview"], members: #","max_tokens":5"#)
            _ = rule.decide(request)
            _ = rule.review(SettledUsage(promptTokens: 1, completionTokens: 2, totalTokens: 3), request)
            var claims: [LimitClaim] = []
            rule.claims(request, rule: 0, policyID: [1], isShadow: false, into: &claims)
            for claim in claims {
                #expect(WindowLimit.limitRange.contains(claim.limit))
                #expect(
                    claim.algorithm == .concurrency || WindowLimit.windowRange.contains(claim.windowMilliseconds)
                )
                // What it asks of Redis can be asked, whatever it is.
                _ = ReserveScript.call(
                    app: [1],
                    claims: claims,
                    holder: LeaseHolder("h"),
                    id: ReservationID(worker: 0, number: 1)
                )
            }
        } catch let error as ProgramError {
            #expect((0...program.count).contains(error.offset))
        }
    }
}

@Suite struct `A pattern` {
    /// The macro cannot take a span.
    private func matches(_ globs: GlobSet, _ name: [UInt8]) -> Bool { globs.matches(name.span) }

    @Test(arguments: [
        ("gpt-4o", "gpt-4o", true), ("gpt-4o", "gpt-4o-mini", false), ("gpt-4o", "gpt-4", false),
        ("gpt-4o*", "gpt-4o", true), ("gpt-4o*", "gpt-4o-mini", true), ("gpt-4o*", "xgpt-4o", false),
        ("*-mini", "gpt-4o-mini", true), ("*-mini", "-mini", true), ("*-mini", "gpt-4o-mini2", false),
        ("*", "", true), ("*", "x", true), ("**", "", true), ("a*a", "a", false), ("a*a", "aa", true),
        ("a*b*c", "abc", true), ("a*b*c", "acb", false), ("a*b*c", "a-b-b-c", true), ("*aab*", "aaab", true),
        ("*abab*", "abaabab", true), ("ab*ab", "ab", false), ("ab*ab*ab", "abab", false), ("gpt-?", "gpt-4", false),
        ("[a-z]", "b", false), ("a.c", "abc", false), ("*é*", "caf\u{E9}s", true), ("*é*", "cafe\u{301}s", false),
    ])
    func `matches bytes, with stars for any`(pattern: String, name: String, expected: Bool) {
        #expect(matches(GlobSet([Array(pattern.utf8)]), Array(name.utf8)) == expected)
    }

    /// The obvious matcher, exponential at worst.
    private func naive(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        if first == UInt8(ascii: "*") {
            return (0...name.count).contains { naive(pattern.dropFirst(), name.dropFirst($0)) }
        }
        return name.first == first && naive(pattern.dropFirst(), name.dropFirst())
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `matches as the obvious matcher does`(seed: UInt64) {
        var random = SeededGenerator(seed)
        for _ in 0..<50 {
            let pattern = (0..<Int.random(in: 0...9, using: &random)).map { _ in
                Array("ab*".utf8)[Int.random(in: 0..<3, using: &random)]
            }
            let name = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                Array("ab".utf8)[Int.random(in: 0..<2, using: &random)]
            }
            #expect(
                matches(GlobSet([pattern]), name) == naive(pattern[...], name[...]),
                "\(String(decoding: pattern, as: UTF8.self)) \(String(decoding: name, as: UTF8.self))"
            )
        }
    }

    @Test func `is matched in linear time`() {
        // 256 patterns that make backtracking matchers try every split of 512 bytes; 50 ms would be 400 times slower
        // than it is, and still far below what one of them would take.
        let pattern = Array((String(repeating: "*a", count: 127) + "*b").utf8)
        let globs = GlobSet(Array(repeating: pattern, count: 256))
        let name = [UInt8](repeating: UInt8(ascii: "a"), count: 512)
        let clock = ContinuousClock()
        let fastest = (0..<5).map { _ in
            clock.measure { for _ in 0..<10 { #expect(!matches(globs, name)) } }
        }.min()
        #expect((fastest ?? .seconds(9)) / 10 < .milliseconds(50))
        let slow = GlobSet(Array(repeating: Array("*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab*a".utf8), count: 256))
        let time = clock.measure { #expect(!matches(slow, name)) }
        #expect(time < .seconds(5))
    }
}
