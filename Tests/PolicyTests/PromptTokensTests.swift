// When a prompt is counted, and when its size is enough.

import LLMWire
import Testing
import Tokens

@testable import Policy

@Suite struct `A prompt` {
    private func prompt(_ text: String, model: String = "gpt-4o") throws -> PromptTokens {
        let body = Array(#"{"model":"m","messages":[{"role":"user","content":"\#(text)"}]}"#.utf8)
        return PromptTokens(
            try ParsedRequest.scan(body.span, endpoint: .chatCompletions),
            body: body,
            profile: ModelTable.profile(Array(model.utf8).span),
            meter: PromptMeter()
        )
    }

    @Test func `is counted exactly, once, when it is asked for`() throws {
        let prompt = try prompt("Hello world")
        #expect(prompt.count == nil)
        // Two tokens of text, one for the role, three around the message, three for the answer's opening.
        #expect(prompt.tokens == 9)
        #expect(prompt.count?.isExact == true)
    }

    @Test func `is not counted where its bytes answer`() throws {
        let prompt = try prompt("Hello world")
        #expect(prompt.excess(over: 10_000) == nil)
        #expect(prompt.count == nil)
        #expect(prompt.reservation(of: 10_000_000) > 9)
        #expect(prompt.count == nil)
    }

    @Test func `is counted to the limit and no further`() throws {
        let words = try prompt(String(repeating: "word ", count: 5_000))
        let excess = try #require(words.excess(over: 100))
        #expect(excess > 100 && excess < 1_000)
        #expect(words.count == nil)
        #expect(words.excess(over: words.tokens) == nil)
        #expect(words.excess(over: words.tokens - 1) == words.tokens)
    }

    @Test func `of more text than an event loop may be held for is taken for the most that it can be`() throws {
        let large = try prompt(String(repeating: "word ", count: PromptTokens.maxCountedBytes / 5 + 1_000))
        #expect(large.tokens > PromptTokens.maxCountedBytes)
        #expect(large.count == nil)
        #expect(large.excess(over: 1_000_000) == large.tokens)
        #expect(large.excess(over: 10_000_000) == nil)
    }

    @Test func `is reserved exactly where it weighs`() throws {
        let prompt = try prompt("Hello world")
        #expect(prompt.reservation(of: 1_000) == 9)
    }

    @Test func `of another provider's model is an estimate by its factor`() throws {
        let text = String(repeating: "some words of English prose, ", count: 40)
        let known = try prompt(text)
        let claude = try prompt(text, model: "claude-3-5-sonnet-20241022")
        let tokens = known.tokens
        #expect(claude.tokens > tokens && claude.tokens < tokens * 2)
        #expect(claude.count?.isExact == false)
    }
}
