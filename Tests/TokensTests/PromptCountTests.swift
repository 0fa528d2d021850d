// Whole bodies are counted by their API's formula: measured and published ones exactly, the rest as pinned here.

import Foundation
import LLMWire
import Testing

@testable import Tokens

@Suite struct `A request's prompt` {
    private func count(
        _ body: String,
        _ endpoint: Endpoint = .chatCompletions,
        model: String = "gpt-4o",
        limit: Int = .max
    ) throws -> PromptCount {
        let name = Array(model.utf8)
        let profile = ModelTable.profile(name.span)
        let text = Array(body.utf8)
        var counter = PromptCounter()
        return try counter.count(
            text.span,
            endpoint: endpoint,
            model: profile,
            with: try TokenFixtures.tokenizer(profile.encoding),
            stoppingAfter: limit
        )
    }

    @Test(arguments: ["api", "cookbook", "reverse-engineered", "image-formula", "assumption", "estimate"])
    func `is counted as the reference counts it, by grade`(grade: String) throws {
        let file = TokenFixtures.root.appending(path: "Tests/Fixtures/tokens/chat.jsonl")
        var counter = TokenRowCounter()
        var total = 0
        for line in try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")) {
            let row = try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
            guard row["grade"] as? String == grade else { continue }
            // A row names its encoding, which would be believed over the model: the model's own is asked for here.
            let asked = String(decoding: line, as: UTF8.self)
                .replacing(#""encoding":"o200k_base","#, with: "").replacing(#""encoding":"cl100k_base","#, with: "")
            let answer = Data(counter.answer(to: asked).utf8)
            let counted = try #require(try JSONSerialization.jsonObject(with: answer) as? [String: Any])
            #expect(counted["tokens"] as? Int == row["tokens"] as? Int, "\(row["id"] ?? "?")")
            total += 1
        }
        #expect(total >= 17)
    }

    @Test func `is exact only for known formulas`() throws {
        let text = #"{"messages":[{"role":"user","content":"Hello"}]}"#
        #expect(try count(text) == PromptCount(tokens: 8, isExact: true, isOverLimit: false))
        #expect(try count(text, model: "gpt-9").isExact == false)
        #expect(try count(text, model: "claude-opus-4-7").tokens == 13, "8 × 1.6, rounded up")
        #expect(try count(#"{"messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}"#).isExact == false)
        #expect(
            try count(
                #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]}"#
            ).isExact == false
        )
    }

    @Test func `has its escapes decoded, whatever their form`() throws {
        let plain = try count("{\"messages\":[{\"role\":\"user\",\"content\":\"\u{1f600} na\u{ef}ve \u{4e2d}/\\tx\"}]}")
        let escaped = try count(
            #"{"messages":[{"role":"us\u0065r","content":"\ud83d\ude00 na\u00EFve \u4e2d\/\tx"}]}"#
        )
        #expect(escaped == plain)
    }

    /// What is fed in parts is cut only where every encoding cuts.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func `is the same whether its text comes whole or in parts`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let encoding = EncodingName.allCases[Int(seed % 4)]
        let tokenizer = try TokenFixtures.tokenizer(encoding)
        var text: [UInt8] = []
        while text.count < 20_000 { text += RandomText.make(&generator).filter { $0 < 0x80 || seed % 3 == 0 } }
        let valid = Array(String(decoding: text, as: UTF8.self).utf8)
        var feed = TextFeed(tokenizer, limit: .max, buffer: [])
        var start = 0
        while start < valid.count {
            let end = min(start + Int.random(in: 1..<3_000, using: &generator), valid.count)
            feed.append(valid.span, from: start, to: end)
            start = end
        }
        feed.finish()
        #expect(feed.tokens == tokenizer.count(of: valid))
    }

    @Test func `stops once over the limit, tools and pictures included`() throws {
        let words = String(repeating: "word ", count: 5_000)
        let body = #"{"messages":[{"role":"user","content":"\#(words)"},{"role":"user","content":"a\n\#(words)"}]}"#
        let exact = try count(body).tokens
        #expect(exact > 10_000)
        #expect(try count(body, limit: exact) == PromptCount(tokens: exact, isExact: true, isOverLimit: false))
        let over = try count(body, limit: exact - 1)
        #expect(over.isOverLimit && over.tokens >= exact)
        let early = try count(body, limit: 100)
        #expect(early.isOverLimit && early.tokens < 200)
        let estimated = try count(body, model: "claude-opus-4-7").tokens
        #expect(try count(body, model: "claude-opus-4-7", limit: estimated).isOverLimit == false)
        #expect(try count(body, model: "claude-opus-4-7", limit: estimated - 1).isOverLimit)
    }

    @Test(arguments: [
        (#"{"input":"Hello"}"#, 1), (#"{"input":["Hello","Hello world"]}"#, 3), (#"{"input":[1,2,3]}"#, 3),
        (#"{"input":[[1,2],[3]]}"#, 3), (#"{"input":null}"#, 0), (#"{}"#, 0),
    ])
    func `of an embedding is its texts`(body: String, tokens: Int) throws {
        #expect(
            try count(body, .embeddings, model: "text-embedding-3-small")
                == PromptCount(tokens: tokens, isExact: true, isOverLimit: false)
        )
    }

    @Test func `of the other calls is estimated`() throws {
        #expect(try count(#"{"prompt":["Hello","Hello"]}"#, .completions, model: "davinci-002").tokens == 2)
        #expect(try count(#"{"input":"Hello"}"#, .responses).tokens == 8)
        let items = #"{"instructions":"Hello","input":[{"role":"user","content":"Hello"}]}"#
        #expect(try count(items, .responses).tokens == 13)
        let messages = #"{"system":"Hello","messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}"#
        #expect(try count(messages, .messages, model: "claude-3-opus").tokens == 12, "9 × 1.25, rounded up")
    }

    @Test(arguments: [
        "", "[]", "{", #"{"messages":[}"#, #"{"messages":[{"role":"\ud800"}]}"#, "{\"messages\":\"\u{1}\"}",
        #"{"a":1}x"#,
    ])
    func `is refused when it is no JSON object`(body: String) {
        #expect(throws: ScanError.self) { try count(body) }
    }

    @Test(arguments: [
        #"{"messages":7,"tools":{},"functions":"x","response_format":[]}"#,
        #"{"messages":[1,"x",null,{"role":3,"content":{"a":1},"name":[],"tool_calls":{},"function_call":9}]}"#,
        #"{"messages":[{"role":"tool","content":"{\"a\":"},{"role":"tool","content":"[]"}]}"#,
        #"{"messages":[],"tools":[1,{},{"function":{"name":1,"parameters":{"properties":{"a":1,"b":{"enum":[]}}}}}]}"#,
        #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}}]}]}"#,
        #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}"#,
    ])
    func `of odd shapes is some number, not a trap`(body: String) throws {
        for endpoint in Endpoint.allCases { #expect(try count(body, endpoint).tokens >= 0) }
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `of mutated bodies is a number or an error`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let rows = try TokenFixtures.chatLines.get()
        var body = rows[Int.random(in: 0..<rows.count, using: &generator)]
        for _ in 0..<Int.random(in: 1..<6, using: &generator) {
            let place = Int.random(in: 0..<body.count, using: &generator)
            body[place] = Array("{}[]\",:\\u0n".utf8).randomElement(using: &generator) ?? 0
        }
        var counter = TokenRowCounter()
        let answer = counter.answer(body.span)
        #expect(String(decoding: answer, as: UTF8.self).hasPrefix(#"{"id":"#))
    }
}

extension TokenFixtures {
    /// The lines of chat.jsonl of at most 4 KB, each whole.
    static let chatLines: Result<[[UInt8]], any Error> = Result {
        try Data(contentsOf: root.appending(path: "Tests/Fixtures/tokens/chat.jsonl"))
            .split(separator: UInt8(ascii: "\n")).map { [UInt8]($0) }.filter { $0.count < 4_000 }
    }
}

@Suite struct `A row` {
    @Test(arguments: [
        (#"{"id":7,"encoding":"cl100k_base","text":"Hello"}"#, #"{"id":7,"tokens":1,"ids_sha":"#),
        (#"{"id":"x","model":"gpt-4o","text_b64":"/w=="}"#, #"{"id":"x","tokens":1,"ids_sha":"#),
        (#"{"id":"x","model":"gpt-4o","text":""}"#, #"{"id":"x","tokens":0,"ids_sha":"da39a3ee"#),
        (#"{"id":"b","model":"gpt-4o","body":{"messages":[]}}"#, #"{"id":"b","tokens":3}"#),
        (#"{"id":"x","encoding":"nope","text":"a"}"#, #"{"id":"x","error":"there is no such encoding"}"#),
        (#"{"id":"x","text":"a"}"#, #"{"id":"x","error":"the row has neither encoding nor model"}"#),
        (#"{"id":"x","model":"m"}"#, #"{"id":"x","error":"the row has no text, text_b64 or body"}"#),
        (#"{"id":"x","model":"m","text_b64":"?"}"#, #"{"id":"x","error":"text_b64 is not base64"}"#),
        (#"{"id":"x","model":"m","body":[]}"#, #"{"id":"x","error":"body: notAnObject"}"#),
        ("nonsense", #"{"id":null,"error":"the row is not a JSON object"#),
    ])
    func `is answered, right or wrong`(row: String, answer: String) {
        var counter = TokenRowCounter()
        let answered = counter.answer(to: row)
        #expect(answered.hasPrefix(answer), "\(answered)")
    }
}
