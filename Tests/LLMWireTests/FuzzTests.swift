// Mutated bodies and streams, seeded: nothing crashes, nothing is taken that a strict reader refuses, nothing changes
// that should not, and no outcome depends on how the bytes were split.

import Testing

@testable import LLMWire

/// Breaks bytes in the ways that parsers are broken.
struct Mutator {
    var generator: SeededGenerator

    private static let tokens: [[UInt8]] =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\u006d", "\\ud83d", "\\ude00", "null", "true", "false",
            "0", "-1", "1e2", "1.5", "1e999", "9223372036854775808", "\"model\":\"x\",", "\"stream\":true,",
            "\"stream_options\":{},", "\"stream_options\":null,", "\"include_usage\":false,", "\"usage\":null,",
            "\"usage\":{\"prompt_tokens\":-1},", "\"n\":2,", "\"metadata\":{\"a\":\"b\"},", "\n", "\r", "\r\n", "\n\n",
            "data: ", "data:", ": c\n", "[DONE]", " ", "\u{0}", "é", "\u{2028}", "😀", "[[[[[[[[", "]]]]",
        ].map { Array($0.utf8) } + [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xff], [0xf0, 0x9f]]

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(bound, 1), using: &generator) }

    mutating func mutate(_ input: [UInt8], with others: [[UInt8]]) -> [UInt8] {
        var bytes = input
        for _ in 0...below(3) {
            let at = below(bytes.count + 1)
            let end = min(at + below(12), bytes.count)
            switch below(9) {
            case 0 where at < bytes.count: bytes[at] = UInt8(below(256))
            case 1 where at < bytes.count: bytes[at] ^= 1 << UInt8(below(8))
            case 2: bytes.removeSubrange(at..<end)
            case 3: bytes.insert(contentsOf: bytes[at..<end], at: below(bytes.count + 1))
            case 4: bytes.removeSubrange(at...)
            case 5: bytes.append(contentsOf: others[below(others.count)].suffix(below(60)))
            default: bytes.insert(contentsOf: Self.tokens[below(Self.tokens.count)], at: at)
            }
        }
        return bytes
    }

    /// Random pieces of the bytes.
    mutating func split(_ bytes: [UInt8]) -> [[UInt8]] {
        let cuts = (0..<below(8)).map { _ in below(bytes.count) }
        return pieces(bytes, at: Array(Set(cuts)))
    }
}

@Suite struct `Mutated JSON` {
    /// Short, so that mutations hit what matters; their union has every shape the scanner knows.
    private static let bodies: [[UInt8]] = [
        #"{"model":"gpt","messages":[{"role":"user","content":"Hi \u00e9\n"}],"stream":true}"#,
        #"{"mod\u0065l":"g\u0070t","stream":true,"stream_options":{"include_usage":false,"x":[1,{}]},"n":2}"#,
        #"{ "stream_options" : { "a" : 1 } , "stream" : true , "model" : "m" , "max_tokens" : 1e2 }"#,
        #"{"model":"m","stream":true,"stream_options":null,"metadata":{"a":"b","c":"d"},"user":"u"}"#,
        #"{"model":"m","stream":true,"stream_options":{}}"#,
        #"{"model":"m","input":[[1,2],[3]],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
        #"{"model":"m","prompt":["a","b"],"best_of":3,"max_completion_tokens":10.0,"temperature":-0.5e-3}"#,
        #"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},{"type":"image","source":{"media_type":"image/png","data":"AA=="}}]}]}"#,
        #"{"model":"é😀","system":[{"type":"text","text":"\ud83d\ude00"}],"messages":[{"role":"user","content":null}]}"#,
        #"{"model":"m","a":[[],{},[{"b":[true,false,null]}],-0,1E+2]}"#,
    ].map { Array($0.utf8) }

    private static let grammar: Set<ScanError.Reason> = [
        .truncated, .unexpectedByte, .trailingBytes, .controlCharacter, .badEscape, .loneSurrogate, .badUTF8,
        .badNumber,
    ]

    /// 50 × 600 = 30,000 cases.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func `is taken only when a strict reader takes it, and refused for its grammar only when that refuses it`(
        seed: UInt64
    ) throws {
        var mutator = Mutator(generator: SeededGenerator(seed: seed))
        var taken = 0
        for round in 0..<600 {
            let body = mutator.mutate(Self.bodies[(round + Int(seed)) % Self.bodies.count], with: Self.bodies)
            let endpoint = Endpoint.allCases[mutator.below(Endpoint.allCases.count)]
            do throws(ScanError) {
                let request = try ParsedRequest.scan(body.span, endpoint: endpoint)
                taken += 1
                try check(request, body)
            } catch {
                #expect(error.offset >= 0 && error.offset <= body.count)
                if Self.grammar.contains(error.reason) {
                    #expect(throws: ReferenceJSON.Refused.self, "\(text(body))") { try ReferenceJSON(parsing: body) }
                }
            }
        }
        #expect(taken > 20)  // mutations that break everything would test nothing
    }

    private func check(_ request: ParsedRequest, _ body: [UInt8]) throws(ScanError) {
        guard let document = ReferenceJSON.reading(body) else {
            Issue.record("taken, but no JSON: \(text(body))")
            return
        }
        let keys = document.members.map { $0.0 }
        #expect(Set(keys).count == keys.count, "\(text(body))")
        let model = request.model?.decoded(in: body.span) ?? []
        #expect(document["model"] == .string(model), "\(text(body))")
        #expect((document["stream"] == .bool(true)) == request.stream)
        #expect((document["stream_options"]?["include_usage"] == .bool(true)) == request.includesUsage)
        #expect(request.choices >= 1 && request.promptBytes >= 0 && (request.outputCap ?? 0) >= 0)
        #expect(request.promptBytes <= 4 * body.count + 64)
        checkForwarding(request, body, document)
    }

    /// The body that goes upstream says the same, but for the two edits.
    private func checkForwarding(_ request: ParsedRequest, _ body: [UInt8], _ document: ReferenceJSON) {
        let name = Array("up\"stream/é".utf8)
        guard let forwarded = request.forwardedBody(body, model: name, injectUsage: true) else {
            Issue.record("not renamed: \(text(body))")
            return
        }
        guard let after = ReferenceJSON.reading(forwarded), case .object(var members) = document else {
            Issue.record("no JSON any more: \(text(forwarded))")
            return
        }
        for index in members.indices where members[index].key == Array("model".utf8) {
            members[index].value = .string(name)
        }
        if request.canInjectUsage {
            let asked = ReferenceJSON.Member(key: Array("include_usage".utf8), value: .bool(true))
            let key = Array("stream_options".utf8)
            if let place = members.firstIndex(where: { $0.key == key }) {
                var options: [ReferenceJSON.Member] = []
                if case .object(let found) = members[place].value { options = found }
                if let old = options.firstIndex(where: { $0.key == asked.key }) {
                    options[old].value = .bool(true)
                } else {
                    options.insert(asked, at: 0)
                }
                members[place].value = .object(options)
            } else {
                members.insert(ReferenceJSON.Member(key: key, value: .object([asked])), at: 0)
            }
        }
        #expect(after == .object(members), "\(text(body)) became \(text(forwarded))")
        // What was rewritten is read again as what it was meant to be.
        do throws(ScanError) {
            let again = try ParsedRequest.scan(forwarded.span, endpoint: request.endpoint)
            #expect(again.stream == request.stream)
            if request.canInjectUsage { #expect(again.includesUsage) }
        } catch {
            Issue.record("refused when read again, \(error): \(text(forwarded))")
        }
    }
}

@Suite struct `Mutated answers` {
    private static let streams: [[UInt8]] = Fixture.contents(Fixture.ofKind("stream"))
    private static let bodies: [[UInt8]] = Fixture.contents(Fixture.ofKind("response") + Fixture.ofKind("error"))

    /// 30 × 100 streams and as many bodies, each in four formats' hands in turn.
    @Test(arguments: 0..<30 as Range<UInt64>)
    func `are read the same however they are split, and never become a credit`(seed: UInt64) {
        var mutator = Mutator(generator: SeededGenerator(seed: seed &+ 1_000))
        for round in 0..<100 {
            let isEventStream = round % 2 == 0
            let corpus = isEventStream ? Self.streams : Self.bodies
            let bytes = mutator.mutate(corpus[mutator.below(corpus.count)], with: corpus)
            for format in WireFormat.allCases {
                let whole = tapped([bytes], format, isEventStream: isEventStream)
                #expect(tapped(mutator.split(bytes), format, isEventStream: isEventStream) == whole)
                let usage = whole.usage ?? TokenUsage()
                #expect((usage.prompt ?? 0) >= (usage.cached ?? 0) + (usage.cacheWrite ?? 0))
                #expect((usage.completion ?? 0) >= (usage.reasoning ?? 0))
                for count in [usage.prompt, usage.completion, usage.cached, usage.cacheWrite, usage.reasoning] {
                    #expect((count ?? 0) >= 0)
                }
            }
        }
    }

    /// 30 × 100 streams against a slow model of the rules.
    @Test(arguments: 0..<30 as Range<UInt64>)
    func `are stripped as the rules say, however they are split`(seed: UInt64) throws {
        var mutator = Mutator(generator: SeededGenerator(seed: seed &+ 2_000))
        let corpus = Fixture.contents(Fixture.ofKind("stream").filter { $0.endpoint == .chatCompletions })
        for _ in 0..<100 {
            let bytes = mutator.mutate(corpus[mutator.below(corpus.count)], with: corpus)
            let output = stripped([bytes])
            #expect(stripped(mutator.split(bytes)) == output)
            let expected = events(of: bytes).compactMap { allowed($0) }
            #expect((events(of: output) == expected) == true, "seed \(seed): \(text(bytes))\nbecame \(text(output))")
        }
    }

    private enum Event: Equatable {
        case document(ReferenceJSON)
        case other([UInt8])
    }

    /// What a client sees of a stream, line by line.
    private func events(of stream: [UInt8]) -> [Event] {
        var bytes = stream
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
        var events: [Event] = []
        var data: [[UInt8]] = []
        func end() {
            defer { data = [] }
            guard !data.isEmpty else { return }
            let joined = Array(data.joined(separator: [0x0a]))
            events.append(
                ReferenceJSON.reading(joined, isStrict: false).map { .document($0) } ?? .other(joined)
            )
        }
        var line: [UInt8] = []
        func endLine() {
            defer { line = [] }
            if line.isEmpty { return end() }
            let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.count
            guard line[..<colon].elementsEqual("data".utf8) else { return }
            var value = line.dropFirst(colon + 1)
            if value.first == 0x20 { value.removeFirst() }
            data.append(Array(value))
        }
        var wasReturn = false
        for byte in bytes {
            defer { wasReturn = byte == 0x0d }
            if byte == 0x0a, wasReturn { continue }
            if byte == 0x0a || byte == 0x0d { endLine() } else { line.append(byte) }
        }
        if !line.isEmpty { endLine() }
        end()
        return events
    }

    /// The event as a client that did not ask may see it; nil when it may not.
    private func allowed(_ event: Event) -> Event? {
        guard case .document(.object(let members)) = event else { return event }
        let usages = members.filter { $0.key == Array("usage".utf8) }
        let choices = members.last { $0.key == Array("choices".utf8) }?.value
        if choices == .array([]), usages.contains(where: { $0.value != .null }) { return nil }
        return .document(.object(members.filter { $0.key != Array("usage".utf8) }))
    }
}
