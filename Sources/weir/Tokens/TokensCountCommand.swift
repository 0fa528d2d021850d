// `weir tokens count`: a file's tokens for a model, or an answer for each row on standard input.

import ArgumentParser
import Foundation
import LLMWire
import Tokens

struct TokensCountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "count",
        abstract: "Count the tokens of a file, or of rows on standard input.",
        discussion: """
            With --jsonl each line of standard input is a row {"id", "encoding" or "model", "text" or "text_b64" or \
            "body"} and answered by a line {"id", "tokens", "ids_sha"}: ids_sha is the SHA-1 of the ids in decimal joined \
            by commas. A row that cannot be counted is answered with an "error", and the next one is read.
            """
    )

    @Flag(help: "Answer rows from standard input.")
    var jsonl = false

    @Option(help: "The model that the file is for.")
    var model = "gpt-4o"

    @Option(help: "Count with this encoding, whatever the model: o200k_base, cl100k_base, p50k_base, r50k_base.")
    var encoding: String?

    @Option(help: "The file is a request body for this path, such as /v1/chat/completions.")
    var body: String?

    @Argument(help: "The file; - for standard input.")
    var file: String?

    func validate() throws {
        guard jsonl == (file == nil) else { throw ValidationError("name a FILE or --jsonl, and not both") }
    }

    func run() throws {
        if jsonl { return answerRows() }
        guard let file else { return }
        let input: FileHandle
        if file == "-" {
            input = .standardInput
        } else {
            input = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
        }
        let text = [UInt8](try input.readToEnd() ?? Data())
        let profile = try profile()
        let tokenizer = try Tokenizer.shared(profile.encoding)
        guard let body else {
            let worth = profile.basis == .known ? "" : ", not known for this model: an estimate"
            return print("\(tokenizer.count(text.span)) tokens of \(profile.encoding.name)\(worth)")
        }
        guard let endpoint = Endpoint.allCases.first(where: { Array("\($0.path)".utf8) == Array(body.utf8) }) else {
            throw ValidationError("--body is one of \(Endpoint.allCases.map { "\($0.path)" }.joined(separator: ", "))")
        }
        var counter = PromptCounter()
        let count = try counter.count(text.span, endpoint: endpoint, model: profile, with: tokenizer)
        print("\(count.tokens) tokens\(count.isExact ? "" : ", an estimate")")
    }

    private func profile() throws -> ModelProfile {
        let name = Array(model.utf8)
        let profile = ModelTable.profile(name.span)
        guard let encoding else { return profile }
        let encodingName = Array(encoding.utf8)
        guard let named = EncodingName(name: encodingName.span) else {
            throw ValidationError("there is no encoding \(encoding)")
        }
        return profile.counted(with: named)
    }

    private func answerRows() {
        var counter = TokenRowCounter()
        // Bytes, not readLine: a row that is not UTF-8 gets an error and not a repair.
        var pending: [UInt8] = []
        while true {
            let chunk = FileHandle.standardInput.availableData
            var answers: [UInt8] = []
            pending.append(contentsOf: chunk)
            if chunk.isEmpty, !pending.isEmpty { pending.append(UInt8(ascii: "\n")) }
            var start = 0
            while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
                if end > start {
                    answers += counter.answer(pending.span.extracting(start..<end))
                    answers.append(UInt8(ascii: "\n"))
                }
                start = end + 1
            }
            pending.removeSubrange(0..<start)
            FileHandle.standardOutput.write(Data(answers))
            if chunk.isEmpty { return }
        }
    }
}
