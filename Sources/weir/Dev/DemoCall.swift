// The demo's request: streamed through a gateway to the screen, then looked for in the control plane's records. It is
// a success only if both are really right.

import Stack
import Synchronization

/// One streaming request and what was recorded of it.
struct DemoCall {
    static let question = "What does a weir do?"

    let gateway: String
    let admin: AdminClient
    let app: DemoApp
    let model: String

    /// Sends it, prints it, checks it.
    func run() async throws(StackError) {
        Console.line("\nA streaming request through \(gateway), model \(model): “\(Self.question)”\n")
        let body: JSONValue = [
            "model": .string(model), "stream": true, "stream_options": ["include_usage": true], "max_tokens": 256,
            "messages": [["role": "user", "content": .string(Self.question)]],
        ]
        let request = LoopbackRequest(
            "POST",
            "\(gateway)/v1/chat/completions",
            headers: [("Authorization", "Bearer \(app.key)"), ("Content-Type", "application/json")],
            body: body.bytes,
            deadline: .seconds(120)
        )
        let printer = Mutex(StreamReading())
        Console.write("  ")
        let response = try await LoopbackClient.send(request) { bytes in
            printer.withLock { reading in
                for text in reading.take(bytes) { Console.write(text) }
            }
            return true
        }
        Console.line("\n")
        let reading = printer.withLock { $0 }
        try check(response, reading)
        try await checkRecord(response, reading)
    }

    private func check(_ response: LoopbackResponse, _ reading: StreamReading) throws(StackError) {
        guard response.status == 200 else {
            throw .other("the demo request was answered \(response.status): \(response.text)")
        }
        guard response.end == .complete, reading.isDone else {
            throw .other("the demo's stream was cut off before its [DONE]: \(response.text.suffix(500))")
        }
        guard !reading.text.isEmpty else { throw .other("the demo's answer has no text: \(response.text.prefix(500))") }
    }

    private func checkRecord(_ response: LoopbackResponse, _ reading: StreamReading) async throws(StackError) {
        guard let id = response.header("x-request-id") else { throw .other("the answer has no x-request-id") }
        let record = try await record(of: id)
        let totals = try await admin.call("GET", "/v1/usage?group_by=app,model&app=\(app.id)")
        let row = totals["data"]?.elements?.first { $0["model"]?.text == model }
        guard let row else { throw .other("GET /v1/usage has no row for the demo's model: \(totals.pretty)") }
        func number(_ value: JSONValue?, _ name: String) -> String { value?[name]?.int.map { "\($0)" } ?? "?" }
        Console.line("What was recorded (GET /v1/requests/\(id)):")
        Console.step("request", "outcome \(record["outcome"]?.text ?? "?"), status \(number(record, "status"))")
        Console.step(
            "tokens",
            "\(number(record, "prompt_tokens")) prompt + \(number(record, "completion_tokens")) completion = "
                + "\(number(record, "total_tokens")), as the \(record["usage_source"]?.text ?? "?") said"
        )
        Console.step("took", "\(number(record, "latency_us")) µs, first byte \(number(record, "first_byte_us")) µs")
        Console.step(
            "all of the app",
            "\(number(row, "requests")) requests, \(number(row, "total_tokens")) tokens (GET /v1/usage)"
        )
        guard record["outcome"]?.text == "completed", record["app_id"]?.text == app.id,
            record["model"]?.text == model, record["stream"] == true
        else { throw .other("the record is not of the demo's request: \(record.pretty)") }
        // A provider that reports no usage leaves nothing to compare with.
        guard let usage = reading.usage else { return }
        for name in ["prompt_tokens", "completion_tokens", "total_tokens"] where record[name] != usage[name] {
            throw .other("recorded \(name) is \(number(record, name)), the provider said \(number(usage, name))")
        }
    }

    /// Nodes ship their records in batches, within about a second.
    private func record(of id: String) async throws(StackError) -> JSONValue {
        let end = ContinuousClock.now + .seconds(15)
        while true {
            let answer = try await admin.send("GET", "/v1/requests/\(id)")
            if answer.status == 200 { return answer.json }
            guard ContinuousClock.now < end else {
                throw .other("no record of request \(id) came within 15 s (\(answer.status))")
            }
            await pause(for: .milliseconds(50))
        }
    }
}

/// What a chat stream has said so far.
struct StreamReading: Sendable {
    private(set) var text = ""
    private(set) var usage: JSONValue?
    private(set) var isDone = false
    private var line: [UInt8] = []

    /// Takes the next bytes in, however they were cut.
    ///
    /// - Returns: the pieces of text in them.
    mutating func take(_ bytes: [UInt8]) -> [String] {
        var pieces: [String] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            if let piece = event() { pieces.append(piece) }
            line.removeAll(keepingCapacity: true)
        }
        return pieces
    }

    private mutating func event() -> String? {
        let prefix = Array("data: ".utf8)
        guard line.starts(with: prefix) else { return nil }
        let payload = Array(line.dropFirst(prefix.count)).filter { $0 != UInt8(ascii: "\r") }
        if payload.elementsEqual("[DONE]".utf8) {
            isDone = true
            return nil
        }
        do throws(StackError) {
            let json = try JSONValue(parsing: payload)
            if let usage = json["usage"], usage != .null { self.usage = usage }
            guard let piece = json["choices"]?[0]?["delta"]?["content"]?.text else { return nil }
            text += piece
            return piece
        } catch {
            return nil  // not an event of this protocol; the check for [DONE] and text tells
        }
    }
}
