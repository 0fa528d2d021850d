// Counting is on the request's path: it allocates nothing, however long the text, and counting a body only once has to
// grow its buffer.

import AllocationCounter
import LLMWire
import Testing

@testable import Tokens

@Suite struct `Counting` {
    private static let text = Array(
        String(
            repeating:
                "It's 2026: \u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{4e16}\u{754c}! internationalisierung\n",
            count: 100
        ).utf8
    )

    private static func allocations(_ body: () throws -> Void) rethrows -> UInt64 {
        let before = weir_allocation_count()
        try body()
        return weir_allocation_count() - before
    }

    @Test(arguments: EncodingName.allCases)
    func `allocates nothing`(encoding: EncodingName) throws {
        let tokenizer = try TokenFixtures.tokenizer(encoding)
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 20_000)
        let broken = Array(Self.text.prefix(500)) + [0xff, 0xc3]
        var sum = 0
        func once() {
            sum += tokenizer.count(Self.text.span)
            sum += tokenizer.count(Self.text.span, stoppingAfter: 50)
            sum += tokenizer.count(long.span)
            sum += tokenizer.count(broken.span)
        }
        once()
        let made = Self.allocations { once() }
        #expect(made == 0)
        #expect(sum > 0)
    }

    @Test func `allocates nothing for a chat after the first`() throws {
        let tokenizer = try TokenFixtures.tokenizer(.o200kBase)
        let name = Array("gpt-4o".utf8)
        var cache = ModelCache()
        let body = Array(
            (#"{"model":"gpt-4o","messages":[{"role":"user","name":"x","content":"a \u00e9 b\nc""#
                + #"},{"role":"assistant","content":[{"type":"text","text":"hello there"}]}]}"#).utf8
        )
        var counter = PromptCounter()
        var tokens = 0
        func once() throws(ScanError) {
            let profile = cache.profile(name.span)
            tokens += try counter.count(body.span, endpoint: .chatCompletions, model: profile, with: tokenizer).tokens
        }
        try once()
        let made = try Self.allocations { try once() }
        #expect(made == 0)
        #expect(tokens > 20)
    }
}
