// What goes upstream is what came in, but for the two edits.

import LLMWire
import Testing

@Suite struct `A forwarded body` {
    private func forward(_ body: String, model: String?, inject: Bool = true) throws -> String? {
        let bytes = Array(body.utf8)
        let request = try ParsedRequest.scan(bytes.span, endpoint: .chatCompletions)
        return request.forwardedBody(bytes, model: model.map { Array($0.utf8) }, injectUsage: inject).map(text)
    }

    @Test(
        arguments: [
            (
                #"{"model":"m","stream":true}"#,
                #"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#
            ),
            (
                #" { "stream" : true , "model" : "m" } "#,
                #" {"stream_options":{"include_usage":true}, "stream" : true , "model" : "m" } "#
            ),
            (
                #"{"stream":true,"stream_options":null,"model":"m"}"#,
                #"{"stream":true,"stream_options":{"include_usage":true},"model":"m"}"#
            ),
            (
                #"{"stream":true,"stream_options":{ },"model":"m"}"#,
                #"{"stream":true,"stream_options":{"include_usage":true },"model":"m"}"#
            ),
            (
                #"{"stream":true,"stream_options":{"include_obfuscation":false},"model":"m"}"#,
                #"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},"model":"m"}"#
            ),
            (
                #"{"stream":true,"stream_options":{"include_obfuscation":1e2,"include_usage": false },"model":"m"}"#,
                #"{"stream":true,"stream_options":{"include_obfuscation":1e2,"include_usage": true },"model":"m"}"#
            ),
            (
                #"{"stream":true,"stream_options":{"includ\u0065_usage":null,"a":1},"model":"m"}"#,
                #"{"stream":true,"stream_options":{"includ\u0065_usage":true,"a":1},"model":"m"}"#
            ),
            (#"{"stream":true,"stream_options":{"include_usage":true},"model":"m"}"#, nil),
            (#"{"stream":false,"model":"m"}"#, nil),
            (#"{"model":"m"}"#, nil),
        ] as [(String, String?)]
    )
    func `asks for usage on every stream`(body: String, forwarded: String?) throws {
        #expect(try forward(body, model: nil) == forwarded)
        #expect(try forward(body, model: nil, inject: false) == nil)
    }

    @Test(
        arguments: [
            (
                #"{"model":"m","temperature":1e2,"big":123456789012345678901234567890}"#, "n",
                #"{"model":"n","temperature":1e2,"big":123456789012345678901234567890}"#
            ),
            (#"{"mod\u0065l" : "\u006d" ,"x":"\u006d"}"#, "org/m-7b", #"{"mod\u0065l" : "org/m-7b" ,"x":"\u006d"}"#),
            (#"{"model":"m"}"#, "m", nil),
            (#"{"model":"\u006d"}"#, "m", #"{"model":"m"}"#),
            (#"{"model":"m"}"#, "a\"b\\c\n", #"{"model":"a\"b\\c\u000a"}"#),
            (#"{"metadata":{"model":"m"},"model":"m"}"#, "n", #"{"metadata":{"model":"m"},"model":"n"}"#),
        ] as [(String, String, String?)]
    )
    func `names the upstream's model`(body: String, model: String, forwarded: String?) throws {
        #expect(try forward(body, model: model) == forwarded)
    }

    @Test func `can have both edits, in either order`() throws {
        #expect(
            try forward(#"{"model":"m","stream":true,"stream_options":{"include_usage":false}}"#, model: "n")
                == #"{"model":"n","stream":true,"stream_options":{"include_usage":true}}"#
        )
        #expect(
            try forward(#"{"stream":true,"stream_options":{"include_usage":false},"model":"m"}"#, model: "n")
                == #"{"stream":true,"stream_options":{"include_usage":true},"model":"n"}"#
        )
    }

    @Test(arguments: [Endpoint.responses, .messages, .embeddings])
    func `asks for usage only where streams are asked that way`(endpoint: Endpoint) throws {
        let body = Array(#"{"model":"m","stream":true}"#.utf8)
        let request = try ParsedRequest.scan(body.span, endpoint: endpoint)
        #expect(!request.canInjectUsage)
        #expect(request.forwardedBody(body, model: nil, injectUsage: true) == nil)
    }
}
