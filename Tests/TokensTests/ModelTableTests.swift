// Which encoding a model's name means: tiktoken's table, without its mistakes for fine-tuned models, and an estimate
// marked as one for everybody else.

import Testing

@testable import Tokens

@Suite struct `A model's name` {
    private func profile(_ name: String) -> ModelProfile {
        let bytes = Array(name.utf8)
        return ModelTable.profile(bytes.span)
    }

    @Test(arguments: [
        ("gpt-4o", EncodingName.o200kBase), ("gpt-4o-mini-2024-07-18", .o200kBase), ("chatgpt-4o-latest", .o200kBase),
        ("gpt-4.1", .o200kBase), ("gpt-4.1-nano", .o200kBase), ("gpt-4.5-preview", .o200kBase), ("gpt-5", .o200kBase),
        ("gpt-5.2-chat", .o200kBase), ("o1", .o200kBase), ("o1-preview", .o200kBase), ("o3-mini", .o200kBase),
        ("o4-mini", .o200kBase), ("o4-mini-2025-04-16", .o200kBase), ("gpt-oss-120b", .o200kBase),
        ("gpt-4", .cl100kBase), ("gpt-4-turbo", .cl100kBase), ("gpt-4-0613", .cl100kBase), ("gpt-3.5", .cl100kBase),
        ("gpt-3.5-turbo-0301", .cl100kBase), ("gpt-35-turbo-16k", .cl100kBase), ("davinci-002", .cl100kBase),
        ("text-embedding-3-large", .cl100kBase), ("text-davinci-003", .p50kBase), ("code-davinci-edit-001", .p50kBase),
        ("davinci", .r50kBase), ("text-ada-001", .r50kBase), ("code-search-ada-code-001", .r50kBase),
        ("ft:gpt-4o-2024-08-06:acme::abc", .o200kBase), ("ft:gpt-4.1-mini-2025-04-14:acme::x", .o200kBase),
        ("ft:gpt-4.5-preview:a", .o200kBase), ("ft:o4-mini-2025-04-16:a:b", .o200kBase), ("ft:gpt-4:a", .cl100kBase),
        ("ft:gpt-3.5-turbo-0125:acme:weir:x1", .cl100kBase), ("ft:davinci-002:a", .cl100kBase),
        ("openai/gpt-4o", .o200kBase),
    ])
    func `means tiktoken's encoding`(name: String, encoding: EncodingName) {
        #expect(profile(name).encoding == encoding)
        #expect(profile(name).basis == .known)
    }

    @Test(arguments: [
        ("gpt-6", ModelProfile.Basis.assumed, 1_000), ("chat-latest", .assumed, 1_000), ("o5", .assumed, 1_000),
        ("claude-3-5-sonnet-20241022", .estimated, 1_250), ("claude-opus-4-6", .estimated, 1_250),
        ("claude-opus-4-20250514", .estimated, 1_250), ("anthropic/claude-sonnet-4-5", .estimated, 1_250),
        ("claude-opus-4-7", .estimated, 1_600), ("claude-sonnet-5", .estimated, 1_600),
        ("gemini-2.5-pro", .estimated, 1_100), ("meta-llama/Llama-3.1-8B", .estimated, 1_050),
        ("deepseek-chat", .estimated, 1_070), ("mistral-large", .estimated, 1_150), ("", .estimated, 1_150),
        ("ft:", .estimated, 1_150),
    ])
    func `is an estimate when nobody publishes the encoding`(name: String, basis: ModelProfile.Basis, factor: Int) {
        #expect(profile(name).basis == basis)
        #expect(profile(name).factorPermille == factor)
        #expect(profile(name).encoding == .o200kBase)
    }

    @Test func `may be overridden, and scaled by what was learned`() {
        var cache = ModelCache()
        let overridden = cache.profile(of: "claude-opus-4-7", override: .cl100kBase)
        #expect(overridden.encoding == .cl100kBase && overridden.basis == .known && overridden.factorPermille == 1_000)
        let plain = cache.profile(of: "claude-opus-4-7")
        #expect(plain.factorPermille == 1_600, "the override is not kept")
        #expect(plain.scaled(byPermille: 9_000).factorPermille == 3_000)
        #expect(plain.scaled(byPermille: 1).factorPermille == 500)
    }

    @Test func `is kept among at most fifty`() {
        var cache = ModelCache()
        for index in 0..<500 {
            _ = cache.profile(of: "model-\(index)")
            let kept = cache.profile(of: "gpt-4")
            #expect(kept.encoding == .cl100kBase)
            #expect(cache.count <= 50)
        }
        let endless = cache.profile(of: String(repeating: "x", count: 10_000))
        #expect(endless.basis == .estimated)
        #expect(cache.count == 50)
        cache.removeAll()
        #expect(cache.count == 0)
    }

    @Test(arguments: [("o200k_base", EncodingName.o200kBase), ("o200k_harmony", .o200kBase), ("p50k_edit", .p50kBase)])
    func `is not an encoding's name, which has aliases`(name: String, encoding: EncodingName) throws {
        #expect(try TokenFixtures.encoding(name) == encoding)
        let wrong = Array((name + "x").utf8)
        let found = EncodingName(name: wrong.span)
        #expect(found == nil)
    }
}
