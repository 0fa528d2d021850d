// What the fixtures do not show: values that must never become a credit, usage in the wrong place, sizes beyond bounds.

import LLMWire
import Testing

@Suite struct `A usage tap` {
    private func chat(_ usage: String) -> TapResult {
        tapped([Array(#"{"model":"m","choices":[],"usage":\#(usage)}"#.utf8)], .openAIChat, isEventStream: false)
    }

    @Test(
        arguments: [
            (#"{"prompt_tokens":10,"completion_tokens":5}"#, 10, 5),
            (#"{"prompt_tokens":-10,"completion_tokens":5}"#, nil, 5),
            (#"{"prompt_tokens":"10","completion_tokens":5}"#, nil, 5),
            (#"{"prompt_tokens":10.5,"completion_tokens":5}"#, nil, 5),
            (#"{"prompt_tokens":1180591620717411303424,"completion_tokens":5}"#, nil, 5),
            (#"{"prompt_tokens":10,"completion_tokens":1e99}"#, 10, nil),
            (#"{"prompt_tokens":10,"completion_tokens":-5,"total_tokens":5}"#, 10, nil),
            (#"{"prompt_tokens":10,"completion_tokens":[5],"total_tokens":15}"#, 10, nil),
            (#"{"prompt_tokens":true,"completion_tokens":{}}"#, nil, nil), (#""lots""#, nil, nil), ("-1", nil, nil),
            ("null", nil, nil), ("{}", nil, nil), (#"{"prompt_tokens":1e1,"completion_tokens":5.0}"#, 10, 5),
            (#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":-100}"#, 10, 5),
            (#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":3}"#, 10, 5),
            (#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}"#, 10, 30),
            (#"{"prompt_tokens":10,"total_tokens":9}"#, 10, nil), (#"{"completion_tokens":5,"total_tokens":9}"#, 4, 5),
            (#"{"prompt_tok\u0065ns":10,"completion_tokens":5}"#, 10, 5),
        ] as [(String, Int?, Int?)]
    )
    func `believes whole counts of 0 or more and nothing else`(usage: String, prompt: Int?, completion: Int?) {
        let result = chat(usage)
        #expect(result.usage?.prompt == prompt)
        #expect(result.usage?.completion == completion)
        if prompt == nil || completion == nil { #expect(result.usage?.total == nil) }
        if prompt == nil, completion == nil { #expect(result.usage == nil) }
    }

    @Test func `never lets a part exceed its whole`() {
        let result = chat(
            #"""
            {"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":8},
            "completion_tokens_details":{"reasoning_tokens":900}}
            """#
        )
        #expect(
            result.usage == TokenUsage(prompt: 10, completion: 5, total: 15, cached: 8, cacheWrite: 2, reasoning: 5)
        )
        let negative = chat(#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":-8}}"#)
        #expect(negative.usage?.cached == 0)
    }

    @Test(arguments: [
        #"{"choices":[{"message":{"content":"x","usage":{"prompt_tokens":9,"completion_tokens":9}}}]}"#,
        #"{"choices":[{"usage":{"prompt_tokens":9,"completion_tokens":9},"message":{"content":"\"usage\":{}"}}]}"#,
        #"{"metadata":{"usage":{"prompt_tokens":9,"completion_tokens":9}},"choices":[]}"#,
        #"{"choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":9}}"}}]}"#,
    ])
    func `takes no usage from inside the content`(body: String) {
        for format in [WireFormat.openAIChat, .openAIResponses, .anthropic, .gemini] {
            #expect(tapped([Array(body.utf8)], format, isEventStream: false).usage == nil)
            #expect(tapped([Array("data: \(body)\n\n".utf8)], format, isEventStream: true).usageEvents == 0)
        }
    }

    @Test func `takes Anthropic's usage only from the events that tell it`() {
        let stream = """
            data: {"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}

            data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"},"usage":{"output_tokens":900}}

            data: {"usage":{"output_tokens":7},"type":"message_delta","delta":{"stop_reason":"end_turn"}}

            data: {"type":"message_stop","usage":{"output_tokens":900}}


            """
        let result = tapped([Array(stream.utf8)], .anthropic, isEventStream: true)
        #expect(result.usage?.prompt == 5)
        #expect(result.usage?.completion == 7)
        #expect(result.usageEvents == 2)
        #expect(result.ended == .proper)
    }

    @Test func `lets a later nonsense count make an earlier one unknown`() {
        let stream = """
            data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1}}

            data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":-1}}

            data: [DONE]


            """
        #expect(tapped([Array(stream.utf8)], .openAIChat, isEventStream: true).usage?.completion == nil)
    }

    @Test(arguments: [
        ("data: {\"error\":null,\"choices\":[]}\n\n", StreamEnd.truncated), ("data: {\"error\":{}}\n\n", .truncated),
        ("data: {\"error\":\"boom\"}\n\n", .error), ("data: {\"error\":{\"code\":\"x\"}}\n\n", .error),
        ("data: {\"error\":false}\n\ndata: [DONE]\n\n", .proper), ("data: {broken\n\ndata: [DONE]\n\n", .proper),
        ("{\"error\":{\"message\":\"x\"}}\n\n", .error), ("{\"error\":\n{\"message\":\"x\"}}", .error),
        ("{\"choices\":[]}\n\ndata: [DONE]\n\n", .proper), ("data\n\ndata:[DONE]\n\n", .proper),
        ("data: [DONE]", .proper), ("data: [DONE", .truncated), ("", .truncated), ("\u{feff}data: [DONE]\n\n", .proper),
        ("\u{feff}\u{feff}data: [DONE]\n\n", .truncated), (" data: [DONE]\n\n", .truncated),
        ("datax: [DONE]\n\n", .truncated), ("data:  [DONE]\n\n", .truncated), ("dat\n: x\ndata: [DONE]\r\r", .proper),
    ])
    func `reads events as the standard has them`(stream: String, ended: StreamEnd) {
        for pieces in splittings(Array(stream.utf8), [3, 7]) {
            #expect(tapped(pieces, .openAIChat, isEventStream: true).ended == ended)
        }
    }

    private let usageEvent =
        #"data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1}}"# + "\n\ndata: [DONE]\n\n"

    @Test func `reads usage beside and behind strings of any length`() {
        let filler = String(repeating: #"x\"\u00e9\ud83d\ude00é"#, count: 200_000)
        let huge = #"data: {"choices":[{"index":0,"delta":{"content":"\#(filler)"}}]}"# + "\n\n"
        let bytes = Array((huge + usageEvent).utf8)
        var results: [TapResult] = []
        for size in [bytes.count, 65_536, 1_009] {
            let cuts = Array(stride(from: 0, to: bytes.count, by: size))
            results.append(tapped(pieces(bytes, at: cuts), .openAIChat, isEventStream: true))
        }
        #expect(results[0] == results[1] && results[1] == results[2])
        #expect(results[0].usage?.completion == 1)
        #expect(results[0].ended == .proper)
        #expect(results[0].events == 3)
        #expect(!results[0].gaveUp)
        #expect(results[0].outputTextBytes >= 200_000 * 9)
        #expect(results[0].outputTextBytes <= filler.utf8.count)
    }

    @Test(arguments: [",", " , ", ",\n"])
    func `reads the usage behind vectors of any length`(comma: String) {
        let numbers = Array(repeating: "-0.0123456789e-05", count: 1_536).joined(separator: comma)
        let base64 = String(repeating: "AAAAPwAAgL4", count: 1_000)
        let vectors = (0..<100).map { index in
            #"{"index":\#(index),"embedding":\#(index % 2 == 0 ? "[\(numbers)]" : "\"\(base64)\"")}"#
        }
        let usage = #""model":"embed","usage":{"prompt_tokens":8,"total_tokens":8}"#
        let body = Array(#"{"object":"list","data":[\#(vectors.joined(separator: comma))],\#(usage)}"#.utf8)
        #expect(body.count > UsageTap.maxLookedAtBytes)
        for size in [body.count, 65_536, 1_009] {
            let cuts = Array(stride(from: 0, to: body.count, by: size))
            let result = tapped(pieces(body, at: cuts), .openAIChat, isEventStream: false)
            #expect(
                result.usage == TokenUsage(prompt: 8, completion: 0, total: 8, cached: 0, cacheWrite: 0, reasoning: 0)
            )
            #expect(result.ended == .proper)
            #expect(result.model.map(text) == "embed")
        }
    }

    @Test func `leaves out escapes like other text`() {
        let filler = String(repeating: #"\n\u0041\""#, count: 200_000)
        let bytes = Array((#"data: {"choices":[{"delta":{"content":"\#(filler)"}}]}"# + "\n\n" + usageEvent).utf8)
        let result = tapped(
            pieces(bytes, at: Array(stride(from: 0, to: bytes.count, by: 999))),
            .openAIChat,
            isEventStream: true
        )
        #expect(!result.gaveUp)
        #expect(result.finishReasons.count == 1)
        #expect(result.outputTextBytes >= 600_000)
    }

    @Test func `believes nothing but an error of JSON that is no event`() {
        let stray = #"{"usage":{"prompt_tokens":9,"completion_tokens":9},"model":"x"}"# + "\n\n"
        let result = tapped([Array((stray + usageEvent).utf8)], .openAIChat, isEventStream: true)
        #expect(result.usageEvents == 1)
        #expect(result.usage?.prompt == 5)
        #expect(result.model == nil)
        #expect(result.events == 2)
    }

    @Test func `looks at a mebibyte of what is neither, and then lets it pass`() {
        let filler = String(repeating: "{},", count: UsageTap.maxLookedAtBytes / 3)
        let bytes = Array(
            (#"data: {"choices":[\#(filler)1],"usage":{"prompt_tokens":900}}"# + "\n\n" + usageEvent).utf8
        )
        let result = tapped([bytes], .openAIChat, isEventStream: true)
        #expect(result.usage?.prompt == 5)
        #expect(result.gaveUp)
        #expect(result.events == 3)
        let body = tapped(
            [Array(#"{"choices":[\#(filler)1],"usage":{"prompt_tokens":900}}"#.utf8)],
            .openAIChat,
            isEventStream: false
        )
        #expect(body.usage == nil)
        #expect(body.gaveUp)
    }

    @Test func `says where an event of our own may follow`() {
        var tap = UsageTap(format: .openAIResponses, isEventStream: true)
        #expect(tap.isAtEventBoundary)
        tap.observe(Array("event: x\n".utf8).span)
        #expect(!tap.isAtEventBoundary)
        tap.observe(Array("data: {\"type\":\"x\",\"sequence_number\":41}\n".utf8).span)
        #expect(!tap.isAtEventBoundary)
        tap.observe(Array("\n".utf8).span)
        #expect(tap.isAtEventBoundary)
        #expect(tap.lastSequenceNumber == 41)
        tap.observe(Array(": ping".utf8).span)
        #expect(!tap.isAtEventBoundary)
    }

    @Test func `tolerates half a surrogate pair and half a code point in what a model wrote`() {
        let bytes =
            Array("data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d".utf8) + [0xe2, 0x82]
            + Array("\"}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n".utf8)
        #expect(tapped([bytes], .openAIChat, isEventStream: true).usage?.prompt == 5)
    }
}
