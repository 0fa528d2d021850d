// Every answer of ours is JSON in the shape of the API that was called, and large enough to be shown whole here.

import LLMWire
import Testing

@Suite struct `An answer of ours` {
    @Test func `has OpenAI's shape for OpenAI's clients`() {
        #expect(
            text(ClientError.modelNotAllowed.body(.openAI, requestID: Array("req_1".utf8)))
                == #"""
                {"error":{"message":"model not allowed","type":"permission_error","param":null,"code":"model_not_allowed"}}
                """#
        )
        #expect(
            text(ClientError.badRequest("No.").body(.openAI, requestID: []))
                == #"{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":null}}"#
        )
    }

    @Test func `has Anthropic's shape for Anthropic's clients, with the request's id escaped`() {
        #expect(
            text(ClientError.rateLimited.body(.anthropic, requestID: Array("req_\"1\n".utf8)))
                == #"""
                {"type":"error","error":{"type":"rate_limit_error","message":"rate limit exceeded","details":{"error_code":"rate_limit_exceeded"}},"request_id":"req_\"1\u000a"}
                """#
        )
    }

    @Test(arguments: ClientError.all)
    func `is JSON, whatever it is`(error: ClientError) throws {
        let openAI = try ReferenceJSON(parsing: error.body(.openAI, requestID: [0x22, 0x5c, 0x01]))
        #expect(openAI["error"]?["message"] != nil)
        let anthropic = try ReferenceJSON(parsing: error.body(.anthropic, requestID: [0x22, 0x5c, 0x01]))
        #expect(anthropic["request_id"] == .string([0x22, 0x5c, 0x01]))
        #expect(anthropic["type"] == .string(Array("error".utf8)))
        #expect((400...599).contains(error.status))
        // litellm takes this text for a 400, whatever the status is.
        if error.status != 400 { #expect(!text(error.body(.openAI, requestID: [])).contains("invalid_request_error")) }
    }

    @Test(arguments: [
        (Endpoint.chatCompletions, WireFormat.openAIChat), (.completions, .openAIChat), (.responses, .openAIResponses),
        (.messages, .anthropic),
    ])
    func `is read as an error in a stream that has begun`(endpoint: Endpoint, format: WireFormat) throws {
        let event = ClientError.interrupted.eventStreamError(endpoint: endpoint, requestID: [0x78], sequenceNumber: 12)
        #expect(text(event).hasSuffix("\n\n"))
        #expect(!text(event).contains("[DONE]"))
        let result = tapped([event], format, isEventStream: true)
        #expect(result.ended == .error)
        #expect(result.events == 1)
        if endpoint == .responses { #expect(text(event).contains("\"sequence_number\":12}")) }
    }

    @Test func `follows from what the scanner says`() {
        #expect(ClientError.badRequest(ScanError(.duplicateKey, at: 3)).status == 400)
        #expect(ClientError.badRequest(ScanError(.tooLarge, at: 0)).status == 413)
    }
}
