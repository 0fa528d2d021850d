// What the scanner takes, what it refuses and why, one row per rule.

import Testing

@testable import LLMWire

/// Scans a body given as text.
func scan(_ body: String, _ endpoint: Endpoint = .chatCompletions) throws(ScanError) -> ParsedRequest {
    try ParsedRequest.scan(Array(body.utf8).span, endpoint: endpoint)
}

/// Why a body is refused; nil when it is not.
func refusal(_ body: [UInt8], _ endpoint: Endpoint = .chatCompletions) -> ScanError.Reason? {
    do throws(ScanError) {
        _ = try ParsedRequest.scan(body.span, endpoint: endpoint)
        return nil
    } catch {
        return error.reason
    }
}

func refusal(_ body: String, _ endpoint: Endpoint = .chatCompletions) -> ScanError.Reason? {
    refusal(Array(body.utf8), endpoint)
}

@Suite struct `A request scan` {
    @Test(
        arguments: [
            (#"{"model":"m","model":"n"}"#, .duplicateKey),
            (#"{"model":"m","mod\u0065l":"n"}"#, .duplicateKey),
            (#"{"mod\u0065l":"m","\u006dodel":"n"}"#, .duplicateKey),
            (#"{"model":"m","x":1,"x":2}"#, .duplicateKey),
            (#"{"model":"m","a very long member name":1,"a very long member nam\u0065":2}"#, .duplicateKey),
            (
                #"{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}"#,
                .duplicateKey
            ),
            (#"{"model":"m","metadata":{"a":"1","b":"2","a":"3"}}"#, .duplicateKey),
            (#"{"model":"m","messages":[{"role":"user","role":"system","content":"x"}]}"#, .duplicateKey),
            (#"{"model":"m","messages":[{"role":"user","content":"x"},{"content":"x","content":"y"}]}"#, .duplicateKey),
            (#"{"model":"m","messages":[{"role":"user"},{"role":"user"}]}"#, nil),
            (#"{"model":"m","unread":{"a":1,"a":2}}"#, nil),
        ] as [(String, ScanError.Reason?)]
    )
    func `refuses a member that stands twice where policy reads`(body: String, reason: ScanError.Reason?) {
        #expect(refusal(body) == reason)
    }

    @Test(
        arguments: [
            ("", .truncated), (" ", .truncated), ("{", .truncated), (#"{"model":"m""#, .truncated),
            (#"{"model":"m"}x"#, .trailingBytes), (#"{"model":"m"}{}"#, .trailingBytes),
            (#"{"model":"m"} "# + "\n\t\r", nil),
            ("[]", .notAnObject), ("\"m\"", .notAnObject), ("1", .notAnObject), ("null", .notAnObject),
            ("nul", .truncated), ("nulx", .unexpectedByte), ("\u{feff}{}", .unexpectedByte),
            (#"{"model":"m",}"#, .unexpectedByte), (#"{,"model":"m"}"#, .unexpectedByte),
            ("{model:1}", .unexpectedByte),
            (#"{"model":"m" "a":1}"#, .unexpectedByte), (#"{"model" "m"}"#, .unexpectedByte),
            (#"{"model":"m","a":[1,]}"#, .unexpectedByte), (#"{"model":"m","a":[1}"#, .unexpectedByte),
            (#"{"model":"m","a":[,1]}"#, .unexpectedByte), (#"{"model":"m","a":{"b"}}"#, .unexpectedByte),
            (#"{"model":"m","a":{"b":1]}"#, .unexpectedByte), (#"{"model":'m'}"#, .unexpectedByte),
            (#"{"model":"m","a":True}"#, .unexpectedByte), (#"{"model":"m","a":NaN}"#, .unexpectedByte),
            (#"{"model":"m","a":/**/1}"#, .unexpectedByte), (#"{"model":"m","a":+1}"#, .unexpectedByte),
            (#"{"model":"m","a":01}"#, .unexpectedByte), (#"{"model":"m","a":1.}"#, .badNumber),
            (#"{"model":"m","a":.5}"#, .unexpectedByte), (#"{"model":"m","a":-}"#, .badNumber),
            (#"{"model":"m","a":1e}"#, .badNumber), (#"{"model":"m","a":1e+}"#, .badNumber),
            (#"{"model":"m","a":0x10}"#, .unexpectedByte), (#"{"model":"m","a":-0.0e-0}"#, nil),
            (#"{"model":"m","a":1E400}"#, nil), (#"{"model":"m","a":"# + String(repeating: "1", count: 512) + "}", nil),
            (#"{"model":"m","a":"# + String(repeating: "1", count: 513) + "}", .numberTooLong),
            (#"{"model":"m","a":"\x"}"#, .badEscape), (#"{"model":"m","a":"\u12g4"}"#, .badEscape),
            (#"{"model":"m","a":"\u12"}"#, .badEscape), ("{\"model\":\"m\",\"a\":\"\n\"}", .controlCharacter),
            ("{\"model\":\"m\",\"a\":\"12345678\u{1f}\"}", .controlCharacter),
            ("{\"model\":\"m\",\"a\":\"\u{7f}\"}", nil),
            (#"{"model":"m","a":"\ud83d"}"#, .loneSurrogate), (#"{"model":"m","a":"\ude00"}"#, .loneSurrogate),
            (#"{"model":"m","a":"\ud83d\u0041"}"#, .loneSurrogate), (#"{"model":"m","a":"\ud83dx"}"#, .loneSurrogate),
            (#"{"model":"m","\ud83d":1}"#, .loneSurrogate), (#"{"model":"m","a":"\ud83d\ude00\u0000"}"#, nil),
            (#"{"model":"m","a":"\"\\\/\b\f\n\r\t"}"#, nil),
        ] as [(String, ScanError.Reason?)]
    )
    func `takes the grammar of RFC 8259 and nothing else`(body: String, reason: ScanError.Reason?) {
        #expect(refusal(body) == reason)
        // At the last bytes of a buffer too, where eight cannot be read at once.
        #expect(refusal(body + String(repeating: " ", count: 9)) == reason || reason == .truncated)
    }

    @Test(
        arguments: [
            ([0x80], false), ([0xbf], false), ([0xc0, 0x80], false), ([0xc1, 0xbf], false), ([0xc2, 0x80], true),
            ([0xc2], false), ([0xc2, 0x41], false), ([0xdf, 0xbf], true), ([0xe0, 0x80, 0x80], false),
            ([0xe0, 0x9f, 0xbf], false), ([0xe0, 0xa0, 0x80], true), ([0xe2, 0x80], false), ([0xed, 0x9f, 0xbf], true),
            ([0xed, 0xa0, 0x80], false), ([0xed, 0xbf, 0xbf], false), ([0xee, 0x80, 0x80], true),
            ([0xef, 0xbf, 0xbf], true), ([0xf0, 0x80, 0x80, 0x80], false), ([0xf0, 0x8f, 0xbf, 0xbf], false),
            ([0xf0, 0x90, 0x80, 0x80], true), ([0xf4, 0x8f, 0xbf, 0xbf], true), ([0xf4, 0x90, 0x80, 0x80], false),
            ([0xf5, 0x80, 0x80, 0x80], false), ([0xf0, 0x9f, 0x98], false), ([0xff], false), ([0xfe], false),
        ] as [([UInt8], Bool)]
    )
    func `takes well-formed UTF-8 and nothing else`(sequence: [UInt8], isGood: Bool) {
        for padding in 0..<9 {
            let blanks = [UInt8](repeating: 0x20, count: padding)
            let body = Array("{\"model\":\"m\",\"a\":\"".utf8) + blanks + sequence + Array("\"}".utf8)
            #expect(refusal(body) == (isGood ? nil : .badUTF8))
            let name = Array("{\"model\":\"m\",\"".utf8) + blanks + sequence + Array("\":1}".utf8)
            #expect(refusal(name) == (isGood ? nil : .badUTF8))
        }
        #expect(refusal(Array("{\"model\":\"m\",\"a\":".utf8) + sequence + [0x7d]) == .unexpectedByte)
    }

    @Test(
        arguments: [
            (#"{"messages":[]}"#, .missingModel), (#"{"metadata":{"model":"m"}}"#, .missingModel),
            (#"{"model":null}"#, .wrongType), (#"{"model":1}"#, .wrongType), (#"{"model":["m"]}"#, .wrongType),
            (#"{"model":""}"#, .badModel), (#"{"model":"m\u0000"}"#, .badModel), (#"{"model":"m\n"}"#, .badModel),
            ("{\"model\":\"m\u{7f}\"}", .badModel), (#"{"Model":"m"}"#, .missingModel),
            ("{\"model\":\"" + String(repeating: "m", count: 256) + "\"}", nil),
            ("{\"model\":\"" + String(repeating: "m", count: 257) + "\"}", .badModel),
            (#"{"model":"m","stream":"true"}"#, .wrongType), (#"{"model":"m","stream":1}"#, .wrongType),
            (#"{"model":"m","stream":null}"#, nil), (#"{"model":"m","stream_options":[]}"#, .wrongType),
            (#"{"model":"m","stream_options":{"include_usage":1}}"#, .wrongType),
            (#"{"model":"m","n":"3"}"#, .wrongType), (#"{"model":"m","n":0}"#, .numberOutOfRange),
            (#"{"model":"m","n":-1}"#, .numberOutOfRange), (#"{"model":"m","n":1.5}"#, .numberOutOfRange),
            (#"{"model":"m","n":65536}"#, nil), (#"{"model":"m","n":65537}"#, .numberOutOfRange),
            (#"{"model":"m","max_tokens":-1}"#, .numberOutOfRange), (#"{"model":"m","max_tokens":true}"#, .wrongType),
            (#"{"model":"m","max_tokens":2147483647}"#, nil),
            (#"{"model":"m","max_tokens":2147483648}"#, .numberOutOfRange),
            (#"{"model":"m","max_tokens":9223372036854775808}"#, .numberOutOfRange),
            (#"{"model":"m","max_tokens":1e308}"#, .numberOutOfRange),
            (#"{"model":"m","max_tokens":1e99999999999999999999}"#, .numberOutOfRange),
            (#"{"model":"m","max_tokens":1e-99999999999999999999}"#, .numberOutOfRange),
            (#"{"model":"m","max_tokens":0e99999999999999999999}"#, nil),
            (#"{"model":"m","messages":"x"}"#, .wrongType), (#"{"model":"m","messages":["x"]}"#, .wrongType),
            (#"{"model":"m","messages":null}"#, nil), (#"{"model":"m","tools":{}}"#, .wrongType),
            (#"{"model":"m","input":7}"#, .wrongType), (#"{"model":"m","input":[true]}"#, .wrongType),
            (#"{"model":"m","input":[["a"]]}"#, .wrongType), (#"{"model":"m","user":7}"#, nil),
            (#"{"model":"m","metadata":7}"#, nil),
        ] as [(String, ScanError.Reason?)]
    )
    func `refuses members of another type or size than policy can judge`(body: String, reason: ScanError.Reason?) {
        #expect(refusal(body) == reason)
    }

    @Test(
        arguments: [
            ("100", 100), ("1e2", 100), ("1E+2", 100), ("100.0", 100), ("1.0e2", 100), ("10000e-2", 100),
            ("0.1e3", 100),
            ("0", 0), ("0.0", 0), ("0e9", 0), ("1.5e1", 15), ("2147483647", 2_147_483_647),
            ("214748364.7e1", 2_147_483_647),
            ("1.5", nil), ("15e-1", nil), ("-1", nil), ("-0", nil), ("2147483648", nil), ("1e10", nil), ("1e400", nil),
            ("18446744073709551617", nil), ("99999999999999999999", nil), ("100000000000000000000000e-21", 100),
            ("1000000000000000000001e-21", nil),
            ("1.00000000000000000000000", 1), ("1.00000000000000000000001", nil), ("1e-1", nil), ("1e-999999", nil),
        ] as [(String, Int?)]
    )
    func `counts whole numbers exactly, in any spelling, or not at all`(spelling: String, value: Int?) {
        let bytes = Array(spelling.utf8)
        let expected = value.map { JSONCount.value($0) } ?? .unusable
        #expect(JSONCount(bytes.span, from: 0, to: bytes.count) == expected)
    }

    @Test func `takes 64 levels and no more, without recursion`() {
        func nested(_ levels: Int, _ open: String, _ close: String) -> String {
            // The document is a level of its own.
            #"{"model":"m","a":"# + String(repeating: open, count: levels - 1) + "1"
                + String(repeating: close, count: levels - 1) + "}"
        }
        for (open, close) in [("[", "]"), (#"{"a":"#, "}"), (#"[{"a":"#, "}]")] {
            let step = open.count == 7 || open.hasPrefix("[{") ? 2 : 1
            #expect(refusal(nested(63 / step + 1, open, close)) == nil)
            #expect(refusal(nested(64 / step + 2, open, close)) == .tooDeep)
            #expect(refusal(nested(100_000, open, close)) == .tooDeep)
        }
        #expect(refusal(String(repeating: "[", count: 1_000_000)) == .tooDeep)
        #expect(
            refusal(
                #"{"model":"m","messages":[{"content":"# + String(repeating: "[", count: 61)
                    + String(repeating: "]", count: 61) + "}]}"
            ) == nil
        )
        #expect(
            refusal(
                #"{"model":"m","messages":[{"content":"# + String(repeating: "[", count: 62)
                    + String(repeating: "]", count: 62) + "}]}"
            ) == .tooDeep
        )
    }

    @Test func `bounds the members of an object that policy reads, not of others`() {
        func members(_ count: Int) -> String { (0..<count).map { "\"k\($0)\":1" }.joined(separator: ",") }
        #expect(refusal("{\"model\":\"m\",\(members(127))}") == nil)
        #expect(refusal("{\"model\":\"m\",\(members(128))}") == .tooManyMembers)
        #expect(refusal("{\"model\":\"m\",\(members(100_000))}") == .tooManyMembers)
        #expect(refusal("{\(members(127)),\"model\":\"m\"}") == nil)
        #expect(refusal("{\(members(126)),\"model\":\"m\",\"metadata\":{\(members(128))}}") == nil)
        #expect(refusal("{\(members(126)),\"model\":\"m\",\"metadata\":{\(members(129))}}") == .tooManyMembers)
        #expect(refusal("{\"model\":\"m\",\"logit_bias\":{\(members(100_000))}}") == nil)
    }

    @Test(
        arguments: [
            (#"{"model":"m","max_tokens":5}"#, .chatCompletions, 5),
            (#"{"model":"m","max_tokens":5}"#, .completions, 5),
            (#"{"model":"m","max_tokens":5}"#, .messages, 5), (#"{"model":"m","max_tokens":5}"#, .responses, nil),
            (#"{"model":"m","max_completion_tokens":7,"max_tokens":5}"#, .chatCompletions, 7),
            (#"{"model":"m","max_tokens":5,"max_completion_tokens":7}"#, .chatCompletions, 7),
            (#"{"model":"m","max_tokens":5,"max_completion_tokens":null}"#, .chatCompletions, 5),
            (#"{"model":"m","max_output_tokens":9,"max_tokens":5}"#, .responses, 9),
            (#"{"model":"m","max_output_tokens":9}"#, .chatCompletions, nil), (#"{"model":"m"}"#, .messages, nil),
            (#"{"model":"m","max_tokens":0}"#, .messages, 0), (#"{"model":"m","max\u005ftokens":6}"#, .messages, 6),
        ] as [(String, Endpoint, Int?)]
    )
    func `reads the output cap that rules`(body: String, endpoint: Endpoint, cap: Int?) throws {
        #expect(try scan(body, endpoint).outputCap == cap)
    }

    @Test(
        arguments: [
            (#"{"model":"m","prompt":"abc"}"#, .completions, 1, 1, 3),
            (#"{"model":"m","n":2,"best_of":5}"#, .completions, 5, 0, 0),
            (#"{"model":"m","prompt":["ab","c"],"n":2}"#, .completions, 4, 2, 3),
            (#"{"model":"m","prompt":[1,2,3],"n":2}"#, .completions, 2, 1, 3),
            (#"{"model":"m","prompt":[[1,2],[3]]}"#, .completions, 2, 2, 3),
            (#"{"model":"m","n":3,"best_of":null}"#, .chatCompletions, 3, 0, 0),
            (#"{"model":"m","input":"abc"}"#, .embeddings, 1, 1, 3),
            (#"{"model":"m","input":["a","b"]}"#, .embeddings, 1, 2, 2),
            (#"{"model":"m","input":[1,22]}"#, .embeddings, 1, 1, 2),
            (#"{"model":"m","input":[[1],[22,333]]}"#, .embeddings, 1, 2, 3),
            (#"{"model":"m","input":[]}"#, .embeddings, 1, 0, 0), (#"{"model":"m","n":9}"#, .responses, 1, 0, 0),
            (#"{"model":"m","input":"abc","instructions":"de"}"#, .responses, 1, 1, 5),
            (#"{"model":"m","messages":[{"content":"a\u00e9\n"},{"content":"b"}]}"#, .chatCompletions, 1, 2, 5),
            (#"{"model":"m","system":"ab","messages":[{"role":"user","content":"c"}]}"#, .messages, 1, 1, 7),
            (#"{"model":"m","temperature":0.5,"top_p":1,"store":false,"guided":"xyz"}"#, .chatCompletions, 1, 0, 3),
        ] as [(String, Endpoint, Int, Int, Int)]
    )
    func `counts choices, messages and prompt text`(
        body: String,
        endpoint: Endpoint,
        choices: Int,
        messages: Int,
        bytes: Int
    ) throws {
        let request = try scan(body, endpoint)
        #expect(request.choices == choices)
        #expect(request.messageCount == messages)
        #expect(request.promptBytes == bytes)
    }

    @Test func `counts a picture as one, wherever its parts stand, and its data not as text`() throws {
        let data = String(repeating: "iVBORw0KGgo", count: 1_000)
        let shapes = [
            #"{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(data)"}}"#,
            #"{"image_url":{"url":"data:image/png;base64,\#(data)"},"type":"image_url"}"#,
            #"{"type":"input_image","image_url":"data:image/png;base64,\#(data)"}"#,
            #"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"\#(data)"}}"#,
            #"{"source":{"data":"\#(data)","media_type":"image/png"},"type":"image"}"#,
            #"{"type":"tool_result","content":[{"type":"image","source":{"media_type":"image/png","data":"\#(data)"}}]}"#,
        ]
        for shape in shapes {
            let request = try scan(#"{"model":"m","messages":[{"role":"user","content":[\#(shape)]}]}"#)
            #expect(request.imageCount == 1, "\(shape.prefix(40))")
            #expect(request.promptBytes < 200)
        }
        let texts = [
            #"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"\#(data)"}}"#,
            #"{"type":"text","data":"\#(data)","text":"x"}"#,
            #"{"type":"input_audio","input_audio":{"data":"\#(data)","format":"wav"}}"#,
            #"{"type":"image","source":{"media_type":"image/png","x":{"data":"\#(data)"}}}"#,
            // What a tool was called with is text to the model, whatever it looks like.
            #"{"type":"tool_use","input":{"source":{"media_type":"image/png","data":"\#(data)"}}}"#,
            #"{"type":"tool_use","input":{"image_url":{"url":"data:image/png;base64,\#(data)"}}}"#,
            #"{"type":"tool_use","input":[{"image_url":"data:image/png;base64,\#(data)"}]}"#,
            #"{"type":"document","source":{"media_type":"image/png","media_type":"text/plain","data":"\#(data)"}}"#,
            #"{"type":"document","other":{"media_type":"image/png","data":"\#(data)"}}"#,
            #"{"type":"image_url","url":"data:image/png;base64,\#(data)"}"#,
            #"{"type":"text","text":"data:image/png;base64,\#(data)"}"#,
        ]
        for text in texts {
            let request = try scan(#"{"model":"m","messages":[{"role":"user","content":[\#(text)]}]}"#)
            #expect(request.promptBytes > data.utf8.count, "\(text.prefix(40))")
        }
        let tool = try scan(#"{"model":"m","tools":[{"default":{"image_url":"data:image/png;base64,\#(data)"}}]}"#)
        #expect(tool.promptBytes > data.utf8.count)
        let message = #"{"role":"user","content":[{"type":"tool_use","input":{"a":[]}},\#(shapes[0])]}"#
        let both = try scan(
            #"{"model":"m","messages":[\#(message)],"tools":[{"image_url":"data:image/png;base64,\#(data)"}]}"#
        )
        #expect(both.imageCount == 1)
        #expect(both.promptBytes > data.utf8.count && both.promptBytes < 2 * data.utf8.count)
        let two = try scan(
            #"{"model":"m","messages":[{"content":[\#(shapes[0]),{"type":"text","text":"a"},\#(shapes[3])]}]}"#
        )
        #expect(two.imageCount == 2)
    }

    @Test(arguments: [
        (#"{"model":"m","tools":[]}"#, false), (#"{"model":"m","tools":null}"#, false),
        (#"{"model":"m","tools":[ ]}"#, false), (#"{"model":"m","tools":[{}]}"#, true),
        (#"{"model":"m","functions":[{"name":"f"}]}"#, true), (#"{"model":"m","tools":[{"type":"web_search"}]}"#, true),
    ])
    func `sees tools`(body: String, hasTools: Bool) throws {
        #expect(try scan(body).hasTools == hasTools)
    }

    @Test(arguments: [
        (#"{"model":"m","background":true}"#, true, false), (#"{"model":"m","background":null}"#, false, false),
        (#"{"model":"m","previous_response_id":"r"}"#, false, true),
        (#"{"model":"m","conversation":{"id":"c"}}"#, false, true),
        (#"{"model":"m","previous_response_id":null}"#, false, false),
    ])
    func `sees what a Responses call leaves with the provider`(body: String, isBackground: Bool, usesState: Bool) throws
    {
        #expect(try scan(body, .responses).isBackground == isBackground)
        #expect(try scan(body, .responses).usesServerState == usesState)
        #expect(try scan(body, .chatCompletions).usesServerState == false)
    }

    @Test func `refuses names that are made to have one hash`() {
        // Found by search for the hash of KeyTable: same length, same hash, all different.
        let names = Self.collidingNames(18)
        #expect(Set(names).count == 18)
        func body(_ count: Int) -> String {
            "{\"model\":\"m\"," + names.prefix(count).map { "\"\($0)\":1" }.joined(separator: ",") + "}"
        }
        #expect(refusal(body(5)) == nil)
        #expect(refusal(body(18)) == .tooManyMembers)
    }

    /// Names of 16 bytes whose second half undoes the difference of the first, as an attacker would make them.
    private static func collidingNames(_ count: Int) -> [String] {
        let factor: UInt64 = 0x9e37_79b9_7f4a_7c15
        var names: [String] = []
        var target: UInt64?
        var seed: UInt64 = 0
        while names.count < count {
            seed += 1
            // Letters `a` to `p`, one for each four bits.
            let first = (0..<8).reduce(UInt64(0)) { $0 | (0x61 + (seed >> ($1 * 4) & 15)) << ($1 * 8) }
            var hash = (16 &* factor ^ first) &* factor
            hash ^= hash >> 29
            let aim = target ?? hash ^ 0x6161_6161_6161_6161
            target = aim
            let bytes = [first, hash ^ aim].flatMap { word in (0..<8).map { UInt8(word >> ($0 * 8) & 0xff) } }
            guard bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c }) else { continue }
            names.append(text(bytes))
        }
        return names
    }

    @Test func `keeps no more than a kibibyte`() {
        #expect(MemoryLayout<ParsedRequest>.size <= 1_024)
    }

    @Test(arguments: ScanError.Reason.allCases)
    func `tells every refusal in a fixed text`(reason: ScanError.Reason) {
        #expect(ScanError(reason, at: 0).clientMessage.utf8CodeUnitCount > 10)
    }

    @Test func `decodes escapes to the text that they mean`() throws {
        let body = Array(#"{"model":"a\"\\\/\b\f\n\r\tz","user":"\u00e9\u20AC\ud83d\ude00\u0000"}"#.utf8)
        var bytes = body
        bytes.replace(Array(#"\b\f\n\r\t"#.utf8), with: [])
        let request = try ParsedRequest.scan(bytes.span, endpoint: .chatCompletions)
        #expect(text(try #require(request.model).decoded(in: bytes.span)) == "a\"\\/z")
        #expect(text(try #require(request.user).decoded(in: bytes.span)) == "é€😀\u{0}")
        let slice = JSONSlice(start: 10, count: 18, hasEscapes: true)
        #expect(text(slice.decoded(in: body.span)) == "a\"\\/\u{8}\u{c}\n\r\tz")
    }
}
