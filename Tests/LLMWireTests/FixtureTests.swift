// Every row of the provider fixtures holds.

import LLMWire
import Testing

@Suite struct `Provider fixtures` {
    @Test func `are all here`() {
        #expect(Fixture.ofKind("request").count == 18)
        #expect(Fixture.ofKind("response").count == 21)
        #expect(Fixture.ofKind("error").count == 20)
        #expect(Fixture.ofKind("stream").count == 36)
    }

    @Test(arguments: Fixture.ofKind("request"))
    func `read as the requests they are`(fixture: Fixture) throws {
        // Gemini's own path is not served; only the API that it is compatible with is.
        guard let endpoint = fixture.endpoint else { return }
        let body = try fixture.bytes
        let expected = try fixture.expected
        let refusals: [String: ScanError.Reason] = [
            "requests/openai-chat-duplicate-model.json": .duplicateKey,
            "requests/openai-chat-odd-types.json": .wrongType,
            "requests/openai-chat-broken.json": .truncated,
            "requests/openai-chat-deep.json": .tooDeep,
            // The deployment is in Azure's path, which is not served.
            "requests/azure-chat.json": .missingModel,
        ]
        if let reason = refusals[fixture.file] {
            let error = #expect(throws: ScanError.self) {
                _ = try ParsedRequest.scan(body.span, endpoint: endpoint)
            }
            #expect(error?.reason == reason)
            return
        }
        let request = try ParsedRequest.scan(body.span, endpoint: endpoint)
        #expect(text(try #require(request.model).decoded(in: body.span)) == expected["model"] as? String)
        #expect(request.stream == expected["stream"] as? Bool ?? request.stream)
        #expect(request.includesUsage == expected["include_usage"] as? Bool ?? false)
        #expect(request.outputCap == expected["max_output_tokens"] as? Int)
        #expect(request.choices == expected["n"] as? Int ?? 1)
        #expect(request.messageCount == (expected["message_count"] ?? expected["input_count"]) as? Int)
        #expect(request.hasTools == !(expected["tool_names"] as? [String] ?? []).isEmpty)
        #expect(request.user.map { text($0.decoded(in: body.span)) } == expected["user"] as? String)
        #expect(request.hasImages == expected["has_images"] as? Bool ?? false)
        #expect(request.byteCount == body.count)
        if let metadata = expected["metadata"] as? [String: String] {
            let slice = try #require(request.metadata)
            let members = try ReferenceJSON(parsing: slice.raw(in: body.span)).members
            #expect(members.count == metadata.count)
            for (key, value) in members { #expect(.string(Array((metadata[text(key)] ?? "").utf8)) == value) }
        }
        if let tokens = expected["exact_prompt_tokens"] as? Int {
            #expect(request.tokenIDCount == tokens)
            #expect(request.promptBytes == tokens)
        }
        if let last = expected["last_text"] as? String { #expect(request.promptBytes >= last.utf8.count) }
    }

    @Test(arguments: Fixture.ofKind("response") + Fixture.ofKind("stream"))
    func `tell their usage and their end, however they are split`(fixture: Fixture) throws {
        guard let format = fixture.format else { return }  // the list of models is no metered answer
        let bytes = try fixture.bytes
        let expected = try fixture.expected
        for pieces in splittings(bytes, fixture.splits) {
            let result = tapped(pieces, format, isEventStream: fixture.isEventStream)
            #expect(result.usage?.prompt == expected["prompt_tokens"] as? Int)
            #expect(result.usage?.completion == expected["completion_tokens"] as? Int)
            #expect(result.usage?.total == expected["total_tokens"] as? Int)
            #expect(result.usage?.cached == expected["cached_tokens"] as? Int)
            #expect(result.usage?.cacheWrite == expected["cache_write_tokens"] as? Int)
            #expect(result.usage?.reasoning == expected["reasoning_tokens"] as? Int)
            #expect(result.model.map(text) == expected["model"] as? String)
            let reasons = (expected["finish_reasons"] as? [Any])?.map { $0 as? String }
            #expect(result.finishReasons.map { $0.map(text) } == reasons)
            if fixture.kind == "stream" {
                #expect(result.events == expected["events"] as? Int)
                #expect(result.usageEvents == expected["usage_events"] as? Int)
                let ends: [StreamEnd: String] = [
                    .proper: "proper", .noMarker: "no_marker", .truncated: "truncated", .error: "error",
                ]
                #expect(ends[result.ended] == expected["ended"] as? String)
                let type = (expected["error"] as? [String: Any])?["type"] as? String
                #expect(result.errorType.map(text) == type)
            } else {
                let hasFailed = expected["error"] != nil
                #expect(result.ended == (hasFailed ? .error : .proper))
            }
            // What the model wrote: the texts of all choices, tool calls, and reasoning beyond that.
            let texts = expected["texts"] as? [String] ?? [expected["text"] as? String ?? ""]
            let calls = (expected["tool_calls"] as? [[String]] ?? []).flatMap { $0 }
            let isEncoded = format == .anthropic && fixture.kind == "response"  // there arguments are an object
            let least = (isEncoded ? texts : texts + calls).reduce(0) { $0 + $1.utf8.count }
            #expect(result.outputTextBytes >= least)
            #expect(result.outputTextBytes <= least + 64)
            #expect(!result.gaveUp)
        }
    }

    @Test(arguments: Fixture.ofKind("error"))
    func `class provider errors`(fixture: Fixture) throws {
        let expected = try fixture.expected
        let error = ProviderError.classify(
            status: fixture.status,
            headers: fixture.headers.map { (name: $0.key, value: $0.value) },
            body: try fixture.bytes
        )
        #expect("\(error.errorClass.name)" == expected["class"] as? String)
        #expect(error.isRetryable == expected["retryable"] as? Bool)
        let code = expected["code"] as? String ?? (expected["code"] as? Int).map { String($0) }
        #expect(error.code.map(text) == code)
        #expect(error.type.map(text) == expected["type"] as? String)
        let seconds = expected["retry_after_s"] as? Double
        #expect(error.retryAfterMilliseconds == seconds.map { Int(($0 * 1_000).rounded()) })
    }

    @Test(arguments: Fixture.ofKind("stream").filter { $0.endpoint == .chatCompletions })
    func `lose their usage and nothing else for a client that did not ask`(fixture: Fixture) throws {
        let bytes = try fixture.bytes
        let whole = stripped([bytes])
        for pieces in splittings(bytes, fixture.splits) { #expect(stripped(pieces) == whole) }
        let result = tapped([whole], .openAIChat, isEventStream: true)
        let before = tapped([bytes], .openAIChat, isEventStream: true)
        #expect(result.usageEvents == 0)
        #expect(!text(whole).contains("\"usage\""))
        #expect(result.finishReasons == before.finishReasons)
        #expect(result.outputTextBytes == before.outputTextBytes)
        #expect(result.ended == before.ended)
        #expect(result.events == before.events - usageChunks(bytes))
        if fixture.mustStrip { #expect(result.events == before.events - 1) }
        if before.usageEvents == 0, !text(bytes).contains("\"usage\"") { #expect(whole == bytes) }
    }

    /// The fixtures spell an empty list without a blank, or over data lines with one.
    private func usageChunks(_ bytes: [UInt8]) -> Int {
        let events = text(bytes).replacing("\r\n", with: "\n").replacing("\r", with: "\n").components("\n\n")
        return events.count {
            ($0.contains("\"choices\":[]") || $0.contains("\"choices\": []")) && $0.contains("_tokens")
        }
    }

    @Test func `leave exactly the stream of a client that did not ask`() throws {
        func bytes(_ file: String) throws -> [UInt8] { try #require(Fixture.all.first { $0.file == file }).bytes }
        let plain = text(try bytes("streams/openai-chat.sse"))
            .replacing(#/,"obfuscation":"[^"]*"/#, with: "")
        #expect(text(stripped([try bytes("streams/openai-chat-usage.sse")])) == plain)
        let crlf = plain.replacing("\n", with: "\r\n")
        #expect(text(stripped([try bytes("streams/openai-chat-usage-crlf.sse")])) == crlf)
        let cr = plain.replacing("\n", with: "\r")
        #expect(text(stripped([try bytes("streams/openai-chat-usage-cr.sse")])) == cr)
    }
}

extension String {
    func components(_ separator: String) -> [String] { split(separator: separator).map { String($0) } }
}
