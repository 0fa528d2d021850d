// What a stripper takes out and what it leaves, where the fixtures do not go.

import LLMWire
import Testing

@Suite struct `A usage stripper` {
    private let usage = #"{"prompt_tokens":1}"#

    @Test(
        arguments: [
            (#"{"a":1,"usage":null}"#, #"{"a":1}"#), (#"{"usage":null,"a":1}"#, #"{"a":1}"#),
            (#"{"a":1,"usage":null,"b":2}"#, #"{"a":1,"b":2}"#), (#"{"usage":null}"#, "{}"),
            (#"{ "a" : 1 , "usage" : null , "b" : 2 }"#, #"{ "a" : 1  , "b" : 2 }"#),
            (#"{ "usage" : null , "b" : 2 }"#, #"{  "b" : 2 }"#), (#"{"a":1,"us\u0061ge":null}"#, #"{"a":1}"#),
            (#"{"usage":null,"usage":{"x":1}}"#, "{}"), (#"{"usage":1,"a":0,"usage":2}"#, #"{"a":0}"#),
            (#"{"choices":[{"x":1}],"usage":{"x":1}}"#, #"{"choices":[{"x":1}]}"#),
            (#"{"choices":[],"usage":null}"#, #"{"choices":[]}"#), (#"{"choices":{},"usage":{}}"#, #"{"choices":{}}"#),
            (#"{"usage":{"x":1},"object":"x"}"#, #"{"object":"x"}"#),
            (#"{"choices":[{"delta":{"usage":null,"content":"\"usage\":null"}}]}"#, nil),
            (#"{"choices":[],"usage":null"#, nil), (#"[{"usage":null}]"#, nil), (#"{"usage":null}x"#, nil),
            ("[DONE]", nil),
            ("", nil), (#"{"a":"usage"}"#, nil),
        ] as [(String, String?)]
    )
    func `takes out the member and keeps every other byte`(data: String, left: String?) {
        for end in ["\n", "\r\n", "\r"] {
            let event = "id: 7\(end)data: \(data)\(end): note\(end)\(end)"
            let expected = "id: 7\(end)data: \(left ?? data)\(end): note\(end)\(end)"
            for pieces in splittings(Array(event.utf8), [9, 14, 20]) { #expect(text(stripped(pieces)) == expected) }
        }
    }

    @Test(arguments: ["\n", "\r\n", "\r"])
    func `drops the chunk that has usage and no choices, and keeps comments`(end: String) {
        let before = "data: {\"choices\":[{\"a\":1}]}\(end)\(end)"
        let chunk = ": ping\(end)id: 9\(end)data: {\"usage\":\(usage),\"choices\":[ ]}\(end)\(end)"
        let after = "data: [DONE]\(end)\(end)"
        for pieces in splittings(Array((before + chunk + after).utf8), [5, 40, 60]) {
            #expect(text(stripped(pieces)) == before + ": ping\(end)" + after)
        }
    }

    @Test func `cuts across data lines without touching the lines between`() {
        let event = "data: {\"a\":1\n: note\ndata: ,\"usage\"\nid: 3\ndata: :null\ndata:}\n\n"
        let expected = "data: {\"a\":1\n: note\ndata: \nid: 3\ndata: \ndata:}\n\n"
        for pieces in splittings(Array(event.utf8), [12, 30]) { #expect(text(stripped(pieces)) == expected) }
    }

    @Test func `sends each event when its blank line has come, and holds no more than it`() {
        var stripper = UsageStripper()
        var output: [UInt8] = []
        stripper.filter(Array("data: {\"a\":1}\r\n\r".utf8).span, into: &output)
        #expect(text(output) == "data: {\"a\":1}\r\n\r")
        stripper.filter(Array("\n".utf8).span, into: &output)
        #expect(text(output) == "data: {\"a\":1}\r\n\r\n")
        stripper.filter(Array("data: {\"b\"".utf8).span, into: &output)
        #expect(stripper.heldByteCount == 10)
        #expect(text(output) == "data: {\"a\":1}\r\n\r\n")
        stripper.discardHeld()
        stripper.finish(into: &output)
        #expect(text(output) == "data: {\"a\":1}\r\n\r\n")
    }

    @Test func `judges a last event without a blank line too`() {
        #expect(text(stripped([Array("data: {\"choices\":[],\"usage\":\(usage)}".utf8)])) == "")
        #expect(
            text(stripped([Array("data: {\"choices\":[1],\"usage\":\(usage)}\n".utf8)])) == "data: {\"choices\":[1]}\n"
        )
        #expect(
            text(stripped([Array("data: {\"choices\":[],\"usage\":{\"p".utf8)]))
                == "data: {\"choices\":[],\"usage\":{\"p"
        )
    }

    @Test func `lets an event pass that is too long to hold, and judges the next`() {
        let filler = String(repeating: "x", count: UsageStripper.maxHeldBytes)
        let long = "data: {\"choices\":[\"\(filler)\"],\"usage\":null}\n\n"
        let next = "data: {\"choices\":[1],\"usage\":null}\n\n"
        let bytes = Array((long + next).utf8)
        for size in [bytes.count, 65_536, 1_000] {
            let cuts = Array(stride(from: 0, to: bytes.count, by: size))
            #expect(text(stripped(pieces(bytes, at: cuts))) == long + "data: {\"choices\":[1]}\n\n")
        }
    }
}
