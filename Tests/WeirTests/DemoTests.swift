// The pure parts of the command line: ports, the demo model's answers, the reading of its streams, the demo's policies.

import Policy
import Stack
import Testing

@testable import weir

@Suite struct `Development ports` {
    @Test func `are apart from each other and from the next stack's`() throws {
        let ports = try #require(DevPorts(base: 8080, gateways: 16))
        let all = ports.named(withUpstream: true).map(\.port)
        #expect(Set(all).count == 20)
        #expect(all.allSatisfy { (8080..<8100).contains($0) })
        #expect(ports.gateways.first == 8080)
    }

    @Test(arguments: [(8080, 0), (8080, 17), (80, 1), (65_530, 1)])
    func `are refused when they cannot be`(base: Int, gateways: Int) {
        #expect(DevPorts(base: base, gateways: gateways) == nil)
    }
}

@Suite struct `The demo's policies` {
    @Test func `cover every registered kind, with configs that compile`() throws {
        #expect(Set(DemoPolicies.configs.map(\.kind)) == Set(PolicyRegistry.standard.names))
        for (kind, config) in DemoPolicies.configs {
            let known = try #require(PolicyRegistry.standard.kind(named: kind))
            #expect(throws: Never.self, "\(kind)") { _ = try known.compile(value(config)) }
        }
    }

    private func value(_ json: JSONValue) -> ConfigValue {
        switch json {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .number(let value): .number(value)
        case .string(let value): .string(value)
        case .array(let elements): .array(elements.map(value))
        case .object(let members): .object(members.mapValues(value))
        }
    }
}

@Suite struct `The demo model` {
    @Test func `answers the same to the same, and bills its words`() {
        let reply = DemoReply(messages: ["Hello there"], lastUserText: "Hello there", cap: nil)
        #expect(reply.text == "You said: “Hello there” I am Weir's demo model, and I always answer the same.")
        #expect(reply.promptTokens == 8)
        #expect(reply.completionTokens == 15)
        #expect(!reply.isCut)
        let cut = DemoReply(messages: ["Hello there"], lastUserText: "Hello there", cap: 2)
        #expect(cut.text == "You said:")
        #expect(cut.isCut)
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func `streams what a reader puts together again, however the bytes are cut`(size: Int) throws {
        let body =
            #"{"model":"mock","messages":[{"role":"user","content":"é \"q\""}],"stream_options":{"include_usage":true}}"#
        let request = try JSONValue(parsing: Array(body.utf8)).decoded(as: DemoRequest.self)
        let answers = DemoAnswers(request)
        let bytes = Array(answers.chat.events.joined().utf8)
        var reading = StreamReading()
        for start in stride(from: 0, to: bytes.count, by: size) {
            _ = reading.take(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect(reading.isDone)
        #expect(reading.text == answers.reply.text)
        #expect(reading.usage?["total_tokens"]?.int == Int64(answers.reply.totalTokens))
    }

    @Test func `writes every body and event as JSON`() throws {
        let body =
            #"{"model":"m\"\n","messages":[{"role":"user","content":[{"type":"text","text":"a\tb\\"}]}],"input":"x"}"#
        let request = try JSONValue(parsing: Array(body.utf8)).decoded(as: DemoRequest.self)
        let answers = DemoAnswers(request)
        for answer in [answers.chat, answers.completion, answers.message, answers.response] {
            let whole = try JSONValue(parsing: Array(answer.body.utf8))
            #expect(whole["model"]?.text == "m\"\n")
            for line in answer.events.joined().split(separator: "\n") where line.hasPrefix("data: {") {
                _ = try JSONValue(parsing: Array(line.dropFirst(6).utf8))
            }
        }
        #expect(try JSONValue(parsing: Array(answers.embeddings.utf8))["data"]?[0]?["embedding"]?.elements?.count == 8)
    }
}
